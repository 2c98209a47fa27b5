"""Document templates: how a tenant's quotes look, and what they say besides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chassis.entity import Entity, Event
from chassis.errors import AlreadyExists, InvalidArgument, NotFound

DEFAULT_COLOUR = "#17457a"
DEFAULT_LANGUAGE = "en"


@dataclass(frozen=True, slots=True)
class DocumentTemplateCreated(Event):
    """A template was made."""


@dataclass(frozen=True, slots=True)
class DocumentTemplateUpdated(Event):
    """A template was changed, or gave way to another as the default one."""


@dataclass(frozen=True, slots=True)
class DocumentTemplateDeleted(Event):
    """A template was deleted."""


class TemplateNameMissing(InvalidArgument):
    """A template is called something."""

    def __init__(self) -> None:
        super().__init__("A template needs a name.", field="document_template.name")


class TemplateNameTaken(AlreadyExists):
    """No two templates are called the same."""

    def __init__(self) -> None:
        super().__init__("Another template has this name already.", field="document_template.name")


class TemplateTextsRepeated(InvalidArgument):
    """The texts of one language stand in one place."""

    def __init__(self, index: int) -> None:
        super().__init__(
            "There are texts in this language already.",
            field=f"document_template.translations[{index}].language",
        )


class LogoMissing(NotFound):
    """The template has no logo."""

    def __init__(self) -> None:
        super().__init__("The template has no logo.", field="id")


@dataclass(frozen=True, slots=True)
class DocumentTexts:
    """What a template says in one language."""

    language: str
    introduction: str = ""
    terms: str = ""
    footer: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class DocumentTemplate(Entity):
    """A template. Languages are known to be ones that documents are made in."""

    name: str
    is_default: bool = False
    language: str = DEFAULT_LANGUAGE
    colour: str = DEFAULT_COLOUR
    paper: str = "a4"
    sender_name: str = ""
    sender_address: str = ""
    introduction: str = ""
    terms: str = ""
    footer: tuple[str, ...] = ()
    translations: tuple[DocumentTexts, ...] = ()
    logo_hash: str = ""
    logo_media_type: str = ""

    def create(self) -> DocumentTemplateCreated:
        """Makes it known.

        Raises:
            TemplateNameMissing, TemplateTextsRepeated: it makes no sense.
        """
        self._check()
        return DocumentTemplateCreated()

    def change(self, values: Mapping[str, Any]) -> DocumentTemplateUpdated:
        """Sets the fields that `values` names; raises as `create` does."""
        for field, value in values.items():
            setattr(self, field, value)
        self._check()
        return DocumentTemplateUpdated()

    def set_logo(self, hash: str, media_type: str) -> DocumentTemplateUpdated:
        """Gives it a logo, or none."""
        self.logo_hash, self.logo_media_type = hash, media_type
        return DocumentTemplateUpdated()

    def give_way(self) -> DocumentTemplateUpdated:
        """Another one becomes the default."""
        self.is_default = False
        return DocumentTemplateUpdated()

    def texts(self, language: str) -> DocumentTexts:
        """What it says in a language: of the same place, else of the same language, else its own."""
        own = DocumentTexts(self.language, self.introduction, self.terms, self.footer)
        base = language.partition("-")[0]
        candidates = {texts.language: texts for texts in (*self.translations, own)}
        bases = {texts.language.partition("-")[0]: texts for texts in (*self.translations, own)}
        return candidates.get(language) or bases.get(base) or own

    def _check(self) -> None:
        self.language = self.language or DEFAULT_LANGUAGE
        self.colour = self.colour or DEFAULT_COLOUR
        if not self.name.strip():
            raise TemplateNameMissing
        seen = {self.language}
        for index, texts in enumerate(self.translations):
            if texts.language in seen:
                raise TemplateTextsRepeated(index)
            seen.add(texts.language)


PLAIN = DocumentTemplate(id=UUID(int=0), name="Plain")
"""What a tenant without templates has."""
