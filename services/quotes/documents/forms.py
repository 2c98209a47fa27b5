"""The forms of the page, as browsers send them."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as BadBase64
from dataclasses import dataclass
from urllib.parse import parse_qsl

from services.quotes.documents.pictures import is_signature

MEDIA_TYPE = "application/x-www-form-urlencoded"
MOST_BYTES = 256 * 1024
_MOST_FIELDS = 20
_DATA_URL = "data:image/png;base64,"
_LENGTHS = {"name": 200, "order_number": 100, "reason": 500, "question": 4000, "email": 320}


class BadForm(Exception):
    """Something is wrong with a form; says which label tells the customer."""

    def __init__(self, label: str, values: dict[str, str] | None = None) -> None:
        super().__init__(label)
        self.label = label
        self.values = values or {}


@dataclass(frozen=True, slots=True)
class Form:
    """One form, each field once."""

    action: str
    values: dict[str, str]
    signature: bytes = b""

    def __getitem__(self, name: str) -> str:
        return self.values.get(name, "")


def form_of(content_type: str, data: bytes) -> Form:
    """The form of a body.

    Raises:
        BadForm: it cannot be read, or a text is too long.
    """
    if content_type.partition(";")[0].strip().lower() != MEDIA_TYPE or len(data) > MOST_BYTES:
        raise BadForm("malformed")
    try:
        pairs = parse_qsl(
            data.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict",
            max_num_fields=_MOST_FIELDS,
        )  # fmt: skip
    except ValueError:
        raise BadForm("malformed") from None
    values = {name: _clean(value) for name, value in pairs}
    if len(values) != len(pairs) or values.get("action") not in ("accept", "reject", "ask"):
        raise BadForm("malformed")
    drawn = values.pop("signature", "")
    if any(len(values.get(name, "")) > most for name, most in _LENGTHS.items()):
        raise BadForm("too_long", values)
    return Form(values["action"], values, _signature(drawn, values))


def _clean(text: str) -> str:
    return text.replace("\0", "").replace("\r\n", "\n").strip()


def _signature(drawn: str, values: dict[str, str]) -> bytes:
    if not drawn:
        return b""
    try:
        content = b64decode(drawn.removeprefix(_DATA_URL), validate=True)
    except (BadBase64, ValueError):
        raise BadForm("signature_bad", values) from None
    if not drawn.startswith(_DATA_URL) or not is_signature(content):
        raise BadForm("signature_bad", values)
    return content
