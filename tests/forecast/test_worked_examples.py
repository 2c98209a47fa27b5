"""Every worked example of the page on what each number means."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.forecast.worked_examples import Example

PAGE = Path(__file__).parent.parent.parent / "docs" / "forecast.md"
EXAMPLES = re.findall(r"^#+ ([^\n]+)$|^```forecast\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def examples() -> list[tuple[str, str]]:
    """Each example with the heading that it stands below."""
    found, heading = [], ""
    for title, text in EXAMPLES:
        heading = title or heading
        if text:
            found.append((heading, text))
    return found


@pytest.mark.parametrize(("heading", "text"), examples())
def test_the_page_says_what_is_so(heading: str, text: str) -> None:
    example = Example()
    example.run(text)
    assert example.checked, heading


def test_every_kind_of_number_has_an_example() -> None:
    headings = {heading for heading, _ in examples()}
    assert {
        "Which period", "Which category", "Which node", "Which organisation", "Whose credit", "Which currency",
        "As of any instant", "What changed",
    } <= headings  # fmt: skip


def test_an_example_that_is_wrong_is_found() -> None:
    text = "on 2030-04-01\n  stage Closing: commit 90 %\n  Alpha: Ann, Closing, 100 EUR, closes 2030-05-15\n"
    Example().run(f"{text}asked on 2030-06-24 for 2030-Q2\n  All: commit 100\n")
    with pytest.raises(AssertionError):
        Example().run(f"{text}asked on 2030-06-24 for 2030-Q2\n  All: commit 101\n")
