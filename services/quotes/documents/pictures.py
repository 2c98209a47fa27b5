"""Pictures that come from outside: logos and drawn signatures. Looked into before anything shows them."""

from __future__ import annotations

import re
import struct
from xml.etree import ElementTree

import typst

from chassis.errors import InvalidArgument
from services.quotes.documents.typesetting import Picture, set_picture

MOST_LOGO_BYTES = 256 * 1024
MOST_SIGNATURE_BYTES = 96 * 1024
_MOST_PIXELS = 4000
_MOST_ELEMENTS = 5000
_SVG = "{http://www.w3.org/2000/svg}"
_SVG_ELEMENTS = frozenset(
    {
        *("svg", "g", "defs", "symbol", "use", "title", "desc", "metadata", "style"),
        *("path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "text", "tspan"),
        *("linearGradient", "radialGradient", "stop", "clipPath", "mask", "pattern"),
    }
)
_OUTSIDE = re.compile(r"(?i)url\s*\(\s*['\"]?\s*(?!#)|@import|javascript:|expression\s*\(")


class PictureTooLarge(InvalidArgument):
    """More bytes or pixels than anything needs."""

    def __init__(self, field: str) -> None:
        super().__init__(
            f"A logo has at most {MOST_LOGO_BYTES // 1024} KiB, and {_MOST_PIXELS} pixels a side.",
            field=field,
        )


class PictureUnreadable(InvalidArgument):
    """It is damaged, or of another kind than those that are known."""

    def __init__(self, field: str) -> None:
        super().__init__("This is no sound PNG, JPEG or SVG picture.", field=field)


class PictureNotPlain(InvalidArgument):
    """An SVG that does, or refers to, more than it shows."""

    def __init__(self, what: str, field: str) -> None:
        super().__init__(f"The SVG has {what}, which a logo cannot have.", field=field)


def logo_of(content: bytes, field: str = "logo") -> Picture:
    """The picture that the bytes are, whatever it was said to be.

    Raises:
        PictureTooLarge, PictureUnreadable, PictureNotPlain: it is not taken.
    """
    if len(content) > MOST_LOGO_BYTES:
        raise PictureTooLarge(field)
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        picture, size = Picture(content, "image/png"), _png_size(content)
    elif content.startswith(b"\xff\xd8\xff"):
        picture, size = Picture(content, "image/jpeg"), _jpeg_size(content)
    else:
        _check_svg(content, field)
        picture, size = Picture(content, "image/svg+xml"), (1, 1)
    if size is None:
        raise PictureUnreadable(field)
    if not all(0 < side <= _MOST_PIXELS for side in size):
        raise PictureTooLarge(field)
    try:
        set_picture(picture)
    except typst.TypstError:
        raise PictureUnreadable(field) from None
    return picture


def is_signature(content: bytes) -> bool:
    """Whether the bytes are a PNG of a size that a drawn signature has."""
    size = _png_size(content) if content.startswith(b"\x89PNG\r\n\x1a\n") else None
    return (
        size is not None and len(content) <= MOST_SIGNATURE_BYTES and all(0 < side <= 2000 for side in size)
    )


def _png_size(content: bytes) -> tuple[int, int] | None:
    if len(content) < 33 or content[12:16] != b"IHDR":
        return None
    width, height = struct.unpack(">II", content[16:24])
    return width, height


def _jpeg_size(content: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 < len(content):
        if content[at] != 0xFF:
            return None
        marker = content[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", content[at + 5 : at + 9])
            return width, height
        at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return None


def _check_svg(content: bytes, field: str) -> None:
    lowered = content[:MOST_LOGO_BYTES].lower()
    if b"<!doctype" in lowered or b"<!entity" in lowered or b"<?xml-stylesheet" in lowered:
        raise PictureNotPlain("a document type or a style sheet of its own", field)
    try:
        text = content.decode("utf-8-sig")
        root = ElementTree.fromstring(text)  # noqa: S314  # it has no entities: see above
    except (UnicodeDecodeError, ElementTree.ParseError, ValueError):
        raise PictureUnreadable(field) from None
    if root.tag != f"{_SVG}svg":
        raise PictureUnreadable(field)
    for number, element in enumerate(root.iter()):
        if number > _MOST_ELEMENTS:
            raise PictureTooLarge(field)
        name = str(element.tag)
        if name.startswith(_SVG) and name.removeprefix(_SVG) not in _SVG_ELEMENTS:
            raise PictureNotPlain(f"the element {name.removeprefix(_SVG)[:40]}", field)
        for attribute, value in element.attrib.items():
            bare = attribute.rpartition("}")[2].lower()
            if bare.startswith("on"):
                raise PictureNotPlain(f"the attribute {bare[:40]}", field)
            if (bare == "href" and not value.strip().startswith("#")) or _OUTSIDE.search(value):
                raise PictureNotPlain("a reference to something outside", field)
        if element.text and name == f"{_SVG}style" and _OUTSIDE.search(element.text):
            raise PictureNotPlain("a reference to something outside", field)
