"""From what a quote says to the pages that say it: Typst, in a thread, a few at a time.

Typst lets go of the interpreter while it works, so that the event loop runs on. Nothing of a quote becomes
program text: the template reads a JSON file, and the files that it may read are in a folder of its own.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

import orjson
import typst

from chassis.errors import Unavailable
from services.quotes.documents.fonts import fonts

_TEMPLATE = "quote.typ"
_QUEUE = 20


class TooManyDocuments(Unavailable):
    """More documents are asked for at once than are made."""

    def __init__(self) -> None:
        super().__init__("Many documents are being made at this moment; try again shortly.")


@dataclass(frozen=True, slots=True)
class Picture:
    """A logo, as it was uploaded and found to be sound."""

    content: bytes
    media_type: str

    @property
    def file_name(self) -> str:
        """Under what name the template reads it: Typst goes by the ending."""
        return {"image/png": "logo.png", "image/jpeg": "logo.jpg", "image/svg+xml": "logo.svg"}[
            self.media_type
        ]


class Typesetter:
    """Sets documents, `at_once` of them at the same time; some more wait, others are refused."""

    def __init__(self, at_once: int = 2, own_fonts: str = "") -> None:
        self._turn = asyncio.Semaphore(at_once)
        self._most = at_once + _QUEUE
        self._asked = 0
        self._own_fonts = own_fonts

    async def pdf(self, content: Mapping[str, Any], logo: Picture | None, at: datetime) -> bytes:
        """The PDF; the same bytes for the same content, logo and instant.

        Raises:
            TooManyDocuments: too many are waiting.
        """
        if self._asked >= self._most:
            raise TooManyDocuments
        self._asked += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(set_pages, content, logo, at, own_fonts=self._own_fonts)
        finally:
            self._asked -= 1


def set_pages(
    content: Mapping[str, Any], logo: Picture | None, at: datetime, *, own_fonts: str = ""
) -> bytes:
    """The PDF, in this thread."""
    return bytes(_compile(content, logo, own_fonts, format="pdf", timestamp=int(at.timestamp())))


def set_pictures(
    content: Mapping[str, Any], logo: Picture | None = None, dots_per_inch: int = 90
) -> list[bytes]:
    """The same as one PNG a page, for whoever looks at them."""
    pages = _compile(content, logo, "", format="png", ppi=dots_per_inch)
    return [pages] if isinstance(pages, bytes) else list(pages)


def set_picture(logo: Picture) -> None:
    """Sets a picture alone; raises typst.TypstError where it cannot be."""
    with tempfile.TemporaryDirectory(prefix="sfa-logo-") as name:
        (Path(name) / logo.file_name).write_bytes(logo.content)
        (Path(name) / "logo.typ").write_text(f'#image("{logo.file_name}", width: 5cm)')
        _compiler(Path(name) / "logo.typ", "").compile(format="pdf")


def _compile(content: Mapping[str, Any], logo: Picture | None, own_fonts: str, **options: Any) -> Any:
    with tempfile.TemporaryDirectory(prefix="sfa-document-") as name:
        folder = Path(name)
        template = (resources.files("services.quotes.documents") / _TEMPLATE).read_bytes()
        (folder / _TEMPLATE).write_bytes(template)
        (folder / "data.json").write_bytes(orjson.dumps({**content, "logo": logo.file_name if logo else ""}))
        if logo is not None:
            (folder / logo.file_name).write_bytes(logo.content)
        return _compiler(folder / _TEMPLATE, own_fonts).compile(**options)


def _compiler(template: Path, own_fonts: str) -> typst.Compiler:
    """It reads what is in the template's folder, and no package."""
    folder = str(template.parent)
    return typst.Compiler(
        str(template), root=folder, font_paths=fonts(own_fonts), ignore_system_fonts=True,
        package_path=folder, package_cache_path=folder,
    )  # fmt: skip


def hash_of(document: bytes) -> str:
    """What a document is known by: SHA-256, in hexadecimal digits."""
    return hashlib.sha256(document).hexdigest()
