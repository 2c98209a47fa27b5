"""The page about pipelines says what is so: its expressions work, and those that it calls wrong are refused."""

import re

import pytest

from deploy.settings import ROOT
from services.opportunities.criteria.expressions import Expression, ExpressionError

PAGE = (ROOT / "docs" / "pipelines.md").read_text()


def lines(kind: str) -> list[str]:
    blocks: list[str] = re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


@pytest.mark.parametrize("text", lines("cel"))
def test_an_expression_of_the_page_can_be_used(text: str) -> None:
    assert Expression(text).fields


@pytest.mark.parametrize("line", lines("refused"))
def test_what_the_page_calls_wrong_is_refused_in_its_words(line: str) -> None:
    text, _, why = line.partition(" -- ")
    with pytest.raises(ExpressionError) as caught:
        Expression(text)
    assert str(caught.value) == why
