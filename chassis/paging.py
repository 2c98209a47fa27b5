"""Pages of a list by keyset: where the next page begins is said by the last row's values, so that no
row is met twice or missed while others come and go, and a deep page costs what the first one costs.
"""

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa

from chassis.errors import InvalidArgument
from chassis.fields import Condition, Field, bound, field_named

_VERSION = 1
_LONG, _LONGEST = 900, 50_000
_COMPRESSED = b"z"  # what is not compressed begins with a bracket
MAX_TERMS = 5


class OrderInvalid(InvalidArgument):
    """The order cannot be understood, or not for this list."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, field="order_by")


class PageTokenInvalid(InvalidArgument):
    """The page token was not given out by this list for these arguments."""

    def __init__(self) -> None:
        super().__init__(
            "The page token belongs to another list, filter or order: send `next_page_token` as it came, with the"
            " same arguments, or begin again without it.",
            field="page_token",
        )


class Row(Protocol):
    """What a page is made of: an asyncpg Record, a mapping."""

    def __getitem__(self, name: str, /) -> Any: ...


@dataclass(frozen=True, slots=True)
class Term:
    """One field to order by."""

    name: str
    field: Field
    descending: bool

    @property
    def clause(self) -> sa.UnaryExpression[Any]:
        # PostgreSQL's own place for nulls (last ascending, first descending): a plain index has them there.
        return self.field.column.desc() if self.descending else self.field.column.asc()

    def equal(self, value: Any) -> Condition:
        """At the same place as a row with this value."""
        return self.field.column.is_(None) if value is None else self.field.column == bound(self.field, value)

    def beyond(self, value: Any) -> Condition:
        """After all rows with this value; null counts as greater than everything."""
        column = self.field.column
        if value is None:
            return column.is_not(None) if self.descending else sa.false()
        if self.descending:
            return column < bound(self.field, value)
        after = column > bound(self.field, value)
        return sa.or_(after, column.is_(None)) if self.field.nullable else after

    def not_before(self, value: Any) -> Condition | None:
        """What holds for all later rows and bounds the range that an index has to be read in."""
        column = self.field.column
        if self.descending:
            return None if value is None else column <= bound(self.field, value)
        if value is None:
            return column.is_(None)
        return None if self.field.nullable else column >= bound(self.field, value)


class Order:
    """The order of a list; `id` is always its last word, so that no two rows are equal."""

    def __init__(self, terms: Sequence[Term]) -> None:
        self.terms = tuple(terms)

    @classmethod
    def parse(cls, text: str, fields: Mapping[str, Field], default: str = "id") -> "Order":
        """Reads `close_date desc, name`; the default where the text is empty.

        Fields may be written in snake_case or camelCase; only sortable ones are taken, and `id`.
        """
        terms: list[Term] = []
        for part in (text.strip() or default).split(","):
            term = _term(part, fields)
            if any(term.field.column is known.field.column for known in terms):
                raise OrderInvalid(f"{term.name} stands twice in the order.")
            terms.append(term)
        if len(terms) > MAX_TERMS:
            raise OrderInvalid(f"A list is ordered by at most {MAX_TERMS} fields.")
        names = [term.name for term in terms]
        if "id" in names:
            return cls(terms[: names.index("id") + 1])
        # In the direction of the last term, so that one index, read one way, gives this order.
        return cls([*terms, Term("id", fields["id"], terms[-1].descending)])

    @property
    def clauses(self) -> list[sa.UnaryExpression[Any]]:
        """What goes into ORDER BY."""
        return [term.clause for term in self.terms]

    def __str__(self) -> str:
        return ",".join(f"{term.name} desc" if term.descending else term.name for term in self.terms)

    def after(self, values: Sequence[Any]) -> Condition:
        """The rows that follow the one with these values."""
        terms = self.terms
        same_direction = len({term.descending for term in terms}) == 1
        if same_direction and not any(term.field.nullable for term in terms):
            here = sa.tuple_(*(term.field.column for term in terms))
            there = sa.tuple_(*(bound(term.field, value) for term, value in zip(terms, values, strict=True)))
            return here < there if terms[0].descending else here > there
        steps = [
            sa.and_(
                *(term.equal(value) for term, value in zip(terms[:index], values, strict=False)),
                last.beyond(value),
            )
            for index, (last, value) in enumerate(zip(terms, values, strict=True))
        ]
        bound_of_first = terms[0].not_before(values[0])
        return sa.or_(*steps) if bound_of_first is None else sa.and_(bound_of_first, sa.or_(*steps))


class Keyset:
    """The place in a list between two pages, for one order and one set of arguments.

    `arguments` is whatever else decides which rows the list has (filter, parent, show_deleted): a
    token given out for other arguments is refused.
    """

    def __init__(self, order: Order, *arguments: object) -> None:
        self.order = order
        self._digest = hashlib.blake2b(
            json.dumps([str(order), *map(str, arguments)]).encode(), digest_size=8
        ).hexdigest()

    def after(self, page_token: str) -> Condition | None:
        """What the page's rows must fulfil; None for the first page."""
        values = self.values(page_token)
        return None if values is None else self.order.after(values)

    def values(self, page_token: str) -> list[Any] | None:
        """What the last row of the page before is ordered by; None for the first page."""
        if not page_token:
            return None
        try:
            document = json.loads(_opened(page_token))
            version, digest, texts = document
            terms = self.order.terms
            if (version, digest, len(texts)) != (_VERSION, self._digest, len(terms)):
                raise PageTokenInvalid
            values = [
                None if text is None else term.field.read(text)
                for term, text in zip(terms, texts, strict=True)
            ]
            if any(
                value is None and not term.field.nullable for term, value in zip(terms, values, strict=True)
            ):
                raise PageTokenInvalid
        except (ValueError, TypeError, AttributeError, RecursionError, zlib.error):
            raise PageTokenInvalid from None
        return values

    def token(self, row: Row) -> str:
        """Where the page after this row begins. The row has the columns that the list is ordered by."""
        values = [row[term.field.column.key or term.name] for term in self.order.terms]
        texts = [
            None if value is None else term.field.write(value)
            for term, value in zip(self.order.terms, values, strict=True)
        ]
        return _sealed(json.dumps([_VERSION, self._digest, texts], ensure_ascii=False, separators=(",", ":")))


def _sealed(document: str) -> str:
    """The document as letters and digits. A long one is compressed: the longest name that a list can be
    ordered by has to fit into a token of 2,000 characters."""
    content = document.encode()
    if len(content) > _LONG:
        content = _COMPRESSED + zlib.compress(content)
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _opened(page_token: str) -> bytes:
    content = base64.urlsafe_b64decode(page_token + "=" * (-len(page_token) % 4))
    if not content.startswith(_COMPRESSED):
        return content
    return zlib.decompressobj().decompress(content[len(_COMPRESSED) :], _LONGEST)


def _term(part: str, fields: Mapping[str, Field]) -> Term:
    words = part.split()
    if not words or len(words) > 2 or words[1:] not in ([], ["asc"], ["desc"]):
        raise OrderInvalid(
            f"{part.strip()!r} is no order: write a field, and desc after it for the other direction."
        )
    field = field_named(fields, words[0])
    if field is None or not (field.sortable or words[0] == "id"):
        sortable = ", ".join(
            ["id", *(name for name, each in fields.items() if each.sortable and name != "id")]
        )
        raise OrderInvalid(f"This list cannot be ordered by {words[0]!r}, but by {sortable}.")
    return Term(words[0], field, words[-1] == "desc")
