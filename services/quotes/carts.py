"""The price of a cart: what the catalogue knows of it, the promotions that are live, and the best of them.
Nothing is written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from chassis.call import Call
from chassis.money import Money
from chassis.store import EntityNotFound
from services.quotes.best_offer import best_offer
from services.quotes.domain.carts import Cart, Found, document_of
from services.quotes.domain.price_resolution import PriceContext, PriceLine
from services.quotes.domain.products import Product
from services.quotes.live_promotions import LivePromotions, Offers
from services.quotes.pricing import model
from services.quotes.store import CostStore, FamilyStore, PriceStore, ProductStore

_IS_ID: Final = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class PricedCart:
    """The answer, with what it takes to read it."""

    result: model.Result
    offers: Offers
    products: Mapping[UUID, Product]


class CartPricing:
    """Prices carts."""

    def __init__(self, live: LivePromotions) -> None:
        self.live = live

    async def price(self, call: Call, cart: Cart, budget_ms: int = 0) -> PricedCart:
        """The best offer for a cart.

        Raises:
            EntityNotFound: a line names no product.
            CartPriceNotFound and what `Cart.check` refuses: it cannot be priced.
        """
        cart.check()
        offers = await self.live.offers(
            call, day=cart.day, account_id=cart.account_id, coupon_codes=cart.coupon_codes
        )
        products = await ProductStore(call).get_many(
            list({line.product_id for line in cart.lines} | offers.gifts)
        )
        for index, line in enumerate(cart.lines):
            if line.product_id not in products:
                raise EntityNotFound("product", line.product_id, f"cart.lines[{index}].product_id")
        found = await self._found(call, cart, offers, products)
        offers = offers.with_gifts_worth(
            await self._worth(call, cart, offers, products),
            {id: product.name for id, product in products.items()},
        )
        document = document_of(
            cart,
            found,
            offers.settings,
            coupons=offers.coupon_codes,
            first_order=offers.is_first_order,
            budget_ms=budget_ms,
        )
        result = await best_offer(document, offers.promotions)
        if mentioned := _mentioned(result) - products.keys():
            products |= await ProductStore(call).get_many(list(mentioned))
        return PricedCart(result, offers, products)

    async def _found(self, call: Call, cart: Cart, offers: Offers, products: Mapping[UUID, Product]) -> Found:
        lines = [PriceLine(products[line.product_id], line.quantity) for line in cart.lines]
        resolutions = await PriceStore(call).resolve(lines, _context(cart)) if lines else []
        costs: Mapping[UUID, Money] = {}
        if offers.settings.needs_costs or "costs.read" in call.caller.permissions:
            costs = await CostStore(call).on(
                {line.product_id for line in cart.lines}, cart.currency, cart.day
            )
        lineages = await FamilyStore(call).lineages() if offers.names_families else {}
        return Found(
            products=products,
            prices=[each.unit_price for each in resolutions],
            costs=costs,
            families={name: frozenset(each.name for each in above) for name, above in lineages.items()},
        )

    async def _worth(
        self, call: Call, cart: Cart, offers: Offers, products: Mapping[UUID, Product]
    ) -> dict[UUID, Money]:
        """What gifts are worth whose promotions do not say."""
        gifts = [products[id] for id in offers.gifts_to_value if id in products]
        if not gifts:
            return {}
        resolutions = await PriceStore(call).resolve([PriceLine(each) for each in gifts], _context(cart))
        return {
            gift.id: each.unit_price
            for gift, each in zip(gifts, resolutions, strict=True)
            if each.unit_price is not None
        }


def _context(cart: Cart) -> PriceContext:
    return PriceContext(
        day=cart.day,
        currency=cart.currency,
        account_id=cart.account_id,
        segments=cart.segments,
        territories=cart.territories,
        channel=cart.channel,
        price_book_id=cart.price_book_id,
    )


def _mentioned(result: model.Result) -> set[UUID]:
    """The products that the explanation names, which are in it by their ids."""
    named = {name for each in result.unused for reason in each.reasons for name in reason.wanted}
    for threshold in result.thresholds:
        named |= threshold.matching.products | threshold.matching.excluded_products
    return {UUID(name) for name in named if _IS_ID.fullmatch(name)}
