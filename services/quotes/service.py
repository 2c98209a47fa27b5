"""Quotes: products and their prices, what customers are offered, and what they order."""

from typing import cast

import grpc
from sfa.opportunities.v1.opportunities_pb2_grpc import OpportunityServiceStub
from sfa.quotes.v1 import (
    approvals_pb2,
    costs_pb2,
    credit_pb2,
    families_pb2,
    inventory_pb2,
    orders_pb2,
    pricing_pb2,
    products_pb2,
    promotions_pb2,
    quotes_pb2,
    reports_pb2,
    taxes_pb2,
)

from chassis.service import Service, ServiceContext
from services.quotes.approvals import REMINDER, remind
from services.quotes.carts import CartPricing
from services.quotes.documents.wiring import DOCUMENTS, DocumentParts, documents
from services.quotes.expiry import EXPIRY, expire
from services.quotes.lifecycle import LIFECYCLE, move_on
from services.quotes.live_promotions import LivePromotions
from services.quotes.opportunities import Opportunities
from services.quotes.quote_pricing import QuotePricing
from services.quotes.quote_promotions import QuotePromotions
from services.quotes.servicer.approvals import (
    ApprovalDelegationServicer,
    ApprovalRuleServicer,
    ApprovalServicer,
)
from services.quotes.servicer.costs import ProductCostServicer
from services.quotes.servicer.coupons import CouponServicer
from services.quotes.servicer.credit import CreditServicer
from services.quotes.servicer.families import ProductFamilyServicer
from services.quotes.servicer.inventory import InventoryServicer
from services.quotes.servicer.orders import OrderServicer
from services.quotes.servicer.prices import PriceBookServicer
from services.quotes.servicer.pricing import PricingServicer
from services.quotes.servicer.products import ProductServicer
from services.quotes.servicer.promotions import PromotionServicer
from services.quotes.servicer.quotes import QuoteServicer
from services.quotes.servicer.reports import ReportServicer
from services.quotes.servicer.taxes import TaxServicer
from services.quotes.subscribers import reports, subscriptions
from services.quotes.tables import (
    APPROVALS,
    CREDIT,
    ORDER,
    PRICE_BOOK,
    PRICE_BOOK_ENTRY,
    PRODUCT,
    PRODUCT_COST,
    PRODUCT_FAMILY,
    PROMOTIONS,
    QUOTE,
    STOCK,
    TAXES,
)
from services.quotes.tax_calculators import OutsideTax, OutsideTaxSettings, TaxCalculators


def build(context: ServiceContext, paper: DocumentParts | None = None) -> Service:
    """The service, wired; `paper` for documents by settings of one's own."""
    channel = cast("grpc.aio.Channel", context.peers.channel("opportunities"))
    opportunities = Opportunities(OpportunityServiceStub(channel))
    live = LivePromotions()
    taxes = TaxCalculators(OutsideTax(OutsideTaxSettings()))
    paper = paper or documents(context)
    return Service(
        name="quotes",
        servicers={
            products_pb2.DESCRIPTOR.services_by_name["ProductService"]: ProductServicer(),
            products_pb2.DESCRIPTOR.services_by_name["PriceBookService"]: PriceBookServicer(),
            families_pb2.DESCRIPTOR.services_by_name["ProductFamilyService"]: ProductFamilyServicer(),
            promotions_pb2.DESCRIPTOR.services_by_name["PromotionService"]: PromotionServicer(),
            promotions_pb2.DESCRIPTOR.services_by_name["CouponService"]: CouponServicer(),
            pricing_pb2.DESCRIPTOR.services_by_name["PricingService"]: PricingServicer(CartPricing(live)),
            costs_pb2.DESCRIPTOR.services_by_name["ProductCostService"]: ProductCostServicer(),
            quotes_pb2.DESCRIPTOR.services_by_name["QuoteService"]: QuoteServicer(
                opportunities, QuotePricing(taxes, QuotePromotions(live))
            ),
            orders_pb2.DESCRIPTOR.services_by_name["OrderService"]: OrderServicer(),
            approvals_pb2.DESCRIPTOR.services_by_name["ApprovalRuleService"]: ApprovalRuleServicer(),
            approvals_pb2.DESCRIPTOR.services_by_name["ApprovalService"]: ApprovalServicer(),
            approvals_pb2.DESCRIPTOR.services_by_name[
                "ApprovalDelegationService"
            ]: ApprovalDelegationServicer(),
            credit_pb2.DESCRIPTOR.services_by_name["CreditService"]: CreditServicer(),
            inventory_pb2.DESCRIPTOR.services_by_name["InventoryService"]: InventoryServicer(),
            reports_pb2.DESCRIPTOR.services_by_name["ReportService"]: ReportServicer(reports),
            taxes_pb2.DESCRIPTOR.services_by_name["TaxService"]: TaxServicer(),
            **paper.servicers,
        },
        entities=[
            PRODUCT,
            PRODUCT_FAMILY,
            PRODUCT_COST,
            PRICE_BOOK,
            PRICE_BOOK_ENTRY,
            QUOTE,
            ORDER,
            *APPROVALS,
            *CREDIT,
            *PROMOTIONS,
            *STOCK,
            *TAXES,
            *DOCUMENTS,
        ],
        subscriptions=subscriptions,
        due={EXPIRY: expire, LIFECYCLE: move_on, REMINDER: remind, **paper.due},
    )
