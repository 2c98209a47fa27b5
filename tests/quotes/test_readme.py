"""The service's map is true: it names every module at the package's root, every service and every event."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sfa.quotes.v1 import events_pb2

import services.quotes

_HERE = Path(next(iter(services.quotes.__path__)))
_PROTOS = _HERE.parents[1] / "protos" / "sfa" / "quotes" / "v1"


@pytest.fixture
def readme() -> str:
    return (_HERE / "README.md").read_text()


def test_every_module_has_its_place_in_the_map(readme: str) -> None:
    modules = {path.name for path in _HERE.glob("*.py")} - {"__init__.py"}
    modules |= {f"{path.parent.name}/" for path in _HERE.glob("*/__init__.py")}
    the_map = readme.partition("**The map**")[2].partition("**Worth knowing**")[0]
    assert modules <= set(re.findall(r"`([^`]+)`", the_map))


def test_every_service_is_named(readme: str) -> None:
    declared = {
        name
        for path in _PROTOS.glob("*.proto")
        for name in re.findall(r"(?m)^service (\w+)", path.read_text())
    }
    assert declared <= set(re.findall(r"`(\w+Service)`", readme))


def test_every_event_is_named(readme: str) -> None:
    told = readme.partition("**Events out**")[2].partition("**Events in**")[0]
    named = set()
    last = ""
    for word in re.findall(r"`(…?\w+)`", told):
        last = word if not word.startswith("…") else last
        named |= {f"{last[:end]}{word.removeprefix('…')}" for end in range(len(last) + 1)} | {word}
    assert set(events_pb2.DESCRIPTOR.message_types_by_name) <= named
