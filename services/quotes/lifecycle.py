"""Products become active, are phased out and discontinued by themselves, on the days that they state.

Whoever asks whether a product can be quoted looks at the dates (`Product.can_be_quoted_on`); what is
done here makes lists and events say the same.
"""

from datetime import UTC, datetime, time
from typing import Any, Final
from uuid import UUID

from chassis import due
from chassis.call import Call
from services.quotes.domain.products import Product
from services.quotes.store import ProductStore

LIFECYCLE: Final = "product.moves_on"


async def schedule(call: Call, product: Product) -> None:
    """Sees to it that the product moves on when its next date comes; nothing where there is none."""
    day = product.next_stage_on(call.now.date())
    if day is not None:
        await due.schedule(call, LIFECYCLE, str(product.id), datetime.combine(day, time.min, UTC))


async def move_on(call: Call, key: str, payload: Any) -> None:
    """The product of this id goes where its dates say."""
    store = ProductStore(call)
    product = await store.find(UUID(key))
    if product is None or product.deleted_at is not None:
        return
    if (moved := product.move_on(call.now.date())) is not None:
        await store.save(product, moved)
    await schedule(call, product)
