"""CSV as other systems write it: finds out encoding, separator and quoting, and gives the rows.

A file is either read right or refused with a sentence. What cannot be decided is never guessed row
by row: encoding and form are settled once, before the first row is given.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

from charset_normalizer import from_bytes

from deploy.importing.troubles import FileRefused

if TYPE_CHECKING:
    from _csv import Reader

_SAMPLE = 256 * 1024
_CELL_LIMIT = 16 * 1024 * 1024
_SEPARATORS = ",;\t|"
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_NOT_TEXT = (
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"%PDF", "a PDF"),
    (b"\x1f\x8b", "compressed with gzip"),
)


@dataclass(frozen=True, slots=True)
class Form:
    """How the cells stand in the text: what separates them, and whether `\\"` is a quote in a quoted one."""

    separator: str
    backslash: bool = False

    def reader(self, lines: IO[str]) -> Reader:
        return csv.reader(
            lines,
            delimiter=self.separator,
            doublequote=not self.backslash,
            escapechar="\\" if self.backslash else None,
            strict=True,
        )


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the file: the line that it begins on, and its cells by column."""

    number: int
    cells: dict[str, str]
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A file that is understood: ready to be read, any number of times."""

    path: Path
    encoding: str
    skip: int
    form: Form
    header: tuple[str, ...]
    digest: str
    lines: int

    @classmethod
    def open(cls, path: Path, *, encoding: str | None = None, separator: str | None = None) -> Table:
        """Looks at the whole file once; FileRefused where it is no table.

        `encoding` and `separator` overrule what would be found out.
        """
        try:
            sample = _head(path)
            if encoding is None:
                found, skip = _encoding_of(path, sample)
            else:
                found, skip = encoding, 0
            digest, lines, decodes = _read_through(path, found, skip)
        except OSError as error:
            raise FileRefused(path, f"cannot be read: {error.strerror}.") from None
        except LookupError:
            raise FileRefused(path, f"there is no encoding called {encoding}.") from None
        if not decodes:
            raise FileRefused(path, f"is not {found} throughout: say its encoding in the mapping.")
        text = _decoded(sample[skip:], found)
        if _is_binary(text):
            raise FileRefused(path, "is not text.")
        if text[:4].lower() == "sep=" and text[5:6] in ("\r", "\n"):  # Excel's way to say the separator
            separator = separator or text[4]
            first_line = text[: text.index("\n") + 1] if "\n" in text else text
            skip, text = skip + len(first_line.encode(found)), text.removeprefix(first_line)
        form = _form_of(path, text, is_whole=len(sample) < _SAMPLE, separator=separator)
        table = cls(path, found, skip, form, (), digest, lines)
        return replace(table, header=_header_of(path, next(table._records(), (1, []))[1]))

    def rows(self) -> Iterator[Line]:
        """The rows below the header, without blank ones. A row with too few or too many cells says so."""
        records = self._records()
        next(records, None)
        width = len(self.header)
        for number, cells in records:
            count = width if not any(cells[width:]) and len(cells) > width else len(cells)
            trouble = "" if count == width else f"The row has {count} cells where the header has {width}."
            yield Line(number, dict(zip(self.header, cells, strict=False)), trouble)

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """All records that are not blank, the header first, with the line that each begins on."""
        csv.field_size_limit(_CELL_LIMIT)
        with self.path.open("rb") as binary:
            binary.seek(self.skip)
            reader = self.form.reader(io.TextIOWrapper(binary, encoding=self.encoding, newline=""))
            begin = 1
            try:
                for cells in reader:
                    if cells:
                        yield begin, cells
                    begin = reader.line_num + 1
            except csv.Error as error:
                raise FileRefused(self.path, f"the quoting is broken ({error}).", begin) from None
            except UnicodeDecodeError:
                raise FileRefused(self.path, f"is not {self.encoding} throughout.", begin) from None


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_SAMPLE)


def _read_through(path: Path, encoding: str, skip: int) -> tuple[str, int, bool]:
    """The content's digest, about how many lines it has, and whether all of it is in the encoding."""
    digest, decoder, decodes, lines = hashlib.sha256(), codecs.getincrementaldecoder(encoding)(), True, 1
    with path.open("rb") as file:
        digest.update(file.read(skip))
        while decodes and (chunk := file.read(_SAMPLE)):
            digest.update(chunk)
            lines += chunk.count(b"\n")
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError:
                decodes = False
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        decodes = False
    return digest.hexdigest(), lines, decodes


def _encoding_of(path: Path, sample: bytes) -> tuple[str, int]:
    """The encoding, and how many bytes its mark takes."""
    if not sample:
        raise FileRefused(path, "is empty.")
    for start, what in _NOT_TEXT:
        if sample.startswith(start):
            raise FileRefused(path, f"is {what}: save it as CSV first.")
    mark, encoding = next(((mark, name) for mark, name in _BOMS if sample.startswith(mark)), (b"", ""))
    by_zeros = _encoding_by_zeros(sample[len(mark) :])
    if encoding.startswith("utf-16") and by_zeros.startswith("utf-32"):
        encoding = by_zeros  # the mark of UTF-16 was put before UTF-32: the zeros are right
    encoding = encoding or by_zeros
    if encoding:
        return encoding, len(mark)
    if _read_through(path, "utf-8", 0)[2]:
        return "utf-8", 0
    best = from_bytes(sample).best()
    if best is None:
        raise FileRefused(path, "is in no encoding that can be made out: say it in the mapping.")
    return best.encoding, 0


def _encoding_by_zeros(sample: bytes) -> str:
    """UTF-16 and UTF-32 show themselves by where their zero bytes are."""
    words = len(sample) // 4
    if not words or b"\0" not in sample:
        return ""
    shares = [sample[place : words * 4 : 4].count(0) / words for place in range(4)]
    if shares[0] > 0.99 and shares[1] > 0.99 and shares[3] < 0.5:
        return "utf-32-be"
    if shares[2] > 0.99 and shares[3] > 0.99 and shares[0] < 0.5:
        return "utf-32-le"
    if min(shares[0], shares[2]) > 0.3 and max(shares[1], shares[3]) < 0.1:
        return "utf-16-be"
    if min(shares[1], shares[3]) > 0.3 and max(shares[0], shares[2]) < 0.1:
        return "utf-16-le"
    return ""


def _decoded(sample: bytes, encoding: str) -> str:
    """As much of the sample as is whole characters."""
    return codecs.getincrementaldecoder(encoding)("replace").decode(sample)


def _is_binary(text: str) -> bool:
    odd = sum(1 for character in text if character < " " and character not in "\t\r\n\f")
    return "\0" in text or odd > len(text) / 100


def _form_of(path: Path, text: str, *, is_whole: bool, separator: str | None) -> Form:
    """The form in which the most rows have as many cells as the header, and the more cells the better."""
    best: tuple[float, int, Form] | None = None
    broken = ""
    # Python's reader is not strict about quotes that a backslash escapes: only where there are any.
    for backslash in (False, True) if '\\"' in text else (False,):
        for candidate in separator or _SEPARATORS:
            form = Form(candidate, backslash)
            try:
                widths = _widths(form, text, is_whole=is_whole)
            except csv.Error as error:
                broken = broken or str(error)
                continue
            agreeing = sum(width == widths[0] for width in widths) / len(widths) if widths else 0.0
            split = bool(widths) and widths[0] > 1
            score = (agreeing if split else 0.0, widths[0] if widths else 0)
            if best is None or score > best[:2]:
                best = (*score, form)
        # One column, where another separator would have met broken quotes: that one was meant.
        if best is not None and not (broken and best[1] == 1):
            return best[2]
    raise FileRefused(path, f"the quoting is broken ({broken}).")


def _widths(form: Form, text: str, *, is_whole: bool) -> list[int]:
    widths: list[int] = []
    try:
        # A loop, so that what was read before the text broke off is kept.
        for cells in form.reader(io.StringIO(text, newline="")):
            if cells:
                widths.append(len(cells))  # noqa: PERF401
    except csv.Error:
        if is_whole or not widths:
            raise
    if not is_whole and len(widths) > 1:
        widths.pop()  # the sample ends in the middle of it
    return widths


def _header_of(path: Path, cells: list[str]) -> tuple[str, ...]:
    names = [cell.strip() for cell in cells]
    while names and not names[-1]:
        names.pop()
    if not names:
        raise FileRefused(path, "has no header.")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise FileRefused(path, f"has more than one column called {twice!r}.")
    return tuple(names)
