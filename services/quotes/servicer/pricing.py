"""The RPCs of pricing: what promotions make of a cart, and by which rules they add up."""

from sfa.quotes.v1 import pricing_pb2 as pb

from chassis.call import Call
from chassis.convert import fields_to_change
from services.quotes.carts import CartPricing
from services.quotes.store.promotions import PricingSettingsStore
from services.quotes.wire import carts as wire
from services.quotes.wire import pricing_settings as settings_wire


class PricingServicer:
    """Pricing."""

    def __init__(self, carts: CartPricing) -> None:
        self.carts = carts

    async def EvaluatePromotions(self, request: pb.EvaluatePromotionsRequest, call: Call) -> pb.Pricing:
        cart = wire.cart_of(request.cart, call.now.date(), call.caller.user_id)
        priced = await self.carts.price(call, cart, request.budget_ms)
        costs_are_known = all(line.unit_cost is not None for line in cart.lines)
        writer = wire.PricingWriter(
            cart.currency,
            priced.offers.by_code,
            {id: product.name for id, product in priced.products.items()},
            shows_margin=costs_are_known or "costs.read" in call.caller.permissions,
        )
        return writer.pricing(priced.result, priced.offers.coupons)

    async def GetPricingSettings(
        self, request: pb.GetPricingSettingsRequest, call: Call
    ) -> pb.PricingSettings:
        return settings_wire.settings_to_proto(await PricingSettingsStore(call).current())

    async def UpdatePricingSettings(
        self, request: pb.UpdatePricingSettingsRequest, call: Call
    ) -> pb.PricingSettings:
        store = PricingSettingsStore(call)
        fields = fields_to_change(request.pricing_settings, request.update_mask, settings_wire.FIELDS)
        settings = await store.current(request.etag)
        await store.save(settings, settings.change(fields))
        return settings_wire.settings_to_proto(settings)
