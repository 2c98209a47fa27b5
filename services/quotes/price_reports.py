"""What the ERP says of prices: plain list prices, of the base unit and for every customer."""

from __future__ import annotations

from collections.abc import Sequence

from chassis.call import Call
from chassis.convert import date_of, money_of
from chassis.errors import NotFound, Refusal
from chassis.store import Conflict
from services.quotes.domain.prices import PriceBookEntry, PriceTaken
from services.quotes.domain.stock import ReportedProductUnknown
from services.quotes.reports import Effect, Outcome, Report, newer
from services.quotes.store import PriceBookStore, PriceStore, ProductStore


class PriceBookUnknown(NotFound):
    """A report names a price book that there is not."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no price book {name}: make it known, then retry.", field="price_book")


async def prices(call: Call, said: Sequence[Report]) -> list[Outcome]:
    """The ERP says what products cost: of one price the highest version counts."""
    messages = [report.message for report in said]
    books = PriceBookStore(call)
    standard = await books.standard()
    by_name = await books.by_name([each.price_book for each in messages if each.price_book])
    products = await ProductStore(call).by_code([each.product for each in messages])
    outcomes: list[Outcome] = [Effect.UNCHANGED] * len(said)
    meant: dict[int, PriceBookEntry] = {}
    for index, message in enumerate(messages):
        try:
            book = by_name.get(message.price_book) if message.price_book else standard
            if book is None:
                raise PriceBookUnknown(message.price_book)
            if message.product not in products:
                raise ReportedProductUnknown(message.product)
            entry = PriceBookEntry(
                price_book_id=book.id,
                product_id=products[message.product].id,
                unit_price=money_of(message.unit_price, "unit_price"),
                valid_from=date_of(message.valid_from, "valid_from")
                if message.HasField("valid_from")
                else None,
                valid_to=date_of(message.valid_to, "valid_to") if message.HasField("valid_to") else None,
            )
            book.must_take(entry.unit_price.currency)
            entry.create()  # refuses what makes no sense
            meant[index] = entry
        except Refusal as refusal:
            outcomes[index] = refusal
    keyed = [("|".join(map(str, entry.key)), messages[index].version) for index, entry in meant.items()]
    fresh = await newer(call, "price", keyed)
    store = PriceStore(call)
    standing = {
        entry.key: entry for entry in await store.of_products({entry.product_id for entry in meant.values()})
    }
    for (index, entry), is_new in zip(meant.items(), fresh, strict=True):
        if not is_new:
            continue
        known = standing.get(entry.key)
        if known is None:
            store.stage(entry, entry.create())
            outcomes[index] = Effect.CREATED
        else:
            is_changed = store.stage(known, known.change(entry.unit_price, entry.valid_to))
            outcomes[index] = Effect.UPDATED if is_changed else Effect.UNCHANGED
    try:
        await store.flush()
    except PriceTaken as refusal:  # somebody set it at this moment: look again
        raise Conflict from refusal
    return outcomes
