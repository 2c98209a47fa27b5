"""Language tags (BCP 47) in their canonical writing, and what is said in each language."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from chassis.errors import InvalidArgument

T = TypeVar("T")

# RFC 5646, 2.1: language, script, region, variants, extensions, private use. Grandfathered tags and
# extended language subtags are left out: each has a preferred tag that is written like the others.
_TAG: Final = re.compile(
    r"(?P<language>[a-z]{2,3}|[a-z]{5,8})"
    r"(-(?P<script>[a-z]{4}))?"
    r"(-(?P<region>[a-z]{2}|[0-9]{3}))?"
    r"(?P<rest>(-([a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*(-[0-9a-wyz](-[a-z0-9]{2,8})+)*(-x(-[a-z0-9]{1,8})+)?)"
)


class NotALanguage(InvalidArgument):
    """A text is no language tag."""

    def __init__(self, tag: str, field: str) -> None:
        super().__init__(f"{tag!r} is no language tag such as de, pt-BR or zh-Hant-TW.", field=field)


class LanguageRepeated(InvalidArgument):
    """Two translations are for one language."""

    def __init__(self, tag: str, field: str) -> None:
        super().__init__(f"There is one translation for each language; {tag} is there twice.", field=field)


def canonical(tag: str, field: str = "language") -> str:
    """The tag as it is always written: `ZH-hant-tw` is `zh-Hant-TW`.

    Raises:
        NotALanguage: it is not well-formed.
    """
    match = _TAG.fullmatch(tag.lower())
    if match is None:
        raise NotALanguage(tag, field)
    parts = [match["language"]]
    if match["script"]:
        parts.append(match["script"].title())
    if match["region"]:
        parts.append(match["region"].upper())
    return "-".join(parts) + match["rest"]


def best(wanted: str, offered: Mapping[str, T]) -> T | None:
    """What is offered for a language, or for the nearest that contains it (RFC 4647, lookup).

    `de-AT` is served by `de-AT`, else by `de`; None where neither is there.
    """
    parts = wanted.split("-")
    while parts:
        if (tag := "-".join(parts)) in offered:
            return offered[tag]
        parts.pop()
        if parts and len(parts[-1]) == 1:
            parts.pop()
    return None


@dataclass(frozen=True, slots=True)
class Translation:
    """What a product is called in a language, and what there is to say about it."""

    language: str
    name: str
    description: str = ""


def check_translations(translations: Sequence[Translation], field: str) -> tuple[Translation, ...]:
    """The translations, their languages in canonical writing.

    Raises:
        NotALanguage, LanguageRepeated: naming the one.
    """
    checked: dict[str, Translation] = {}
    for index, each in enumerate(translations):
        path = f"{field}[{index}].language"
        tag = canonical(each.language, path)
        if tag in checked:
            raise LanguageRepeated(tag, path)
        checked[tag] = Translation(tag, each.name, each.description)
    return tuple(checked.values())
