"""Deals as plain objects again, where each is looked at by itself."""

from collections.abc import Iterator
from decimal import Decimal
from uuid import UUID

from chassis.money import minor_unit
from services.forecast.book.book import Book
from services.forecast.book.interning import MISSING, Interner
from services.forecast.book.parts import Parts
from services.forecast.book.valuing import date_of
from services.forecast.book.versions import Rows
from services.forecast.domain.figures import Category, Deal, State


def deals_at(book: Book, rows: Rows) -> Iterator[Deal]:
    """The deals of some versions, as the book has them: without their names."""
    versions, codes = book.versions, book.codes
    columns = (
        versions.deal, versions.version, versions.owner, versions.account, versions.pipeline, versions.stage,
        versions.lead, versions.state, versions.amount, versions.has_amount, versions.currency,
        versions.closes_on, versions.deleted, versions.category,
    )  # fmt: skip
    for row, *values in zip(rows.tolist(), *(column[rows].tolist() for column in columns), strict=True):
        (deal, version, owner, account, pipeline, stage, lead, state, amount, has_amount, currency, closes_on,
         deleted, category) = values  # fmt: skip
        name = codes.currencies.id(currency)
        unit = minor_unit(name)
        yield Deal(
            id=codes.deals.id(deal),
            version=version,
            name="",
            owner_id=_id(codes.users, owner),
            account_id=_id(codes.accounts, account),
            stage_id=_id(codes.stages, stage),
            state=State(state),
            amount=amount * unit if has_amount else None,
            currency=name,
            close_date=date_of(closes_on),
            products=_shares(book.product_lines, row, codes.products, unit),
            splits=_shares(book.splits, row, codes.users, unit),
            overlays=_shares(book.overlays, row, codes.users, unit),
            lead_id=_id(codes.leads, lead),
            is_deleted=deleted,
            pipeline_id=_id(codes.pipelines, pipeline),
            category=Category(category) if category else None,
        )


def _id(interner: Interner, code: int) -> UUID | None:
    return None if code == MISSING else interner.id(code)


def _shares(parts: Parts, row: int, interner: Interner, unit: Decimal) -> tuple[tuple[UUID, Decimal], ...]:
    start = int(parts.start[row])
    place = slice(start, start + int(parts.count[row]))
    ends = parts.end[place].tolist()
    starts = [0, *ends]
    return tuple(
        (interner.id(member), (end - before) * unit)
        for member, end, before in zip(parts.member[place].tolist(), ends, starts, strict=False)
    )
