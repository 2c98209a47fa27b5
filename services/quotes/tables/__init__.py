"""The tables, and which domain class a row becomes."""

from services.quotes.tables.approvals import APPROVAL, APPROVAL_DELEGATION, APPROVAL_RULE
from services.quotes.tables.costs import PRODUCT_COST
from services.quotes.tables.credit import CREDIT_SETTINGS, CUSTOMER_CREDIT
from services.quotes.tables.families import PRODUCT_FAMILY
from services.quotes.tables.orders import ORDER
from services.quotes.tables.prices import PRICE_BOOK, PRICE_BOOK_ENTRY
from services.quotes.tables.products import PRODUCT
from services.quotes.tables.promotions import COUPON, COUPON_BATCH, PRICING_SETTINGS, PROMOTION, REDEMPTION
from services.quotes.tables.quotes import QUOTE
from services.quotes.tables.stock import STOCK_ITEM, STOCK_SETTINGS, WAREHOUSE
from services.quotes.tables.taxes import TAX_EXEMPTION, TAX_RATE, TAX_SETTINGS

APPROVALS = (APPROVAL_RULE, APPROVAL, APPROVAL_DELEGATION)
CREDIT = (CUSTOMER_CREDIT, CREDIT_SETTINGS)
PROMOTIONS = (PROMOTION, COUPON_BATCH, COUPON, REDEMPTION, PRICING_SETTINGS)
STOCK = (WAREHOUSE, STOCK_ITEM, STOCK_SETTINGS)
TAXES = (TAX_RATE, TAX_EXEMPTION, TAX_SETTINGS)

__all__ = [
    "APPROVALS",
    "CREDIT",
    "ORDER",
    "PRICE_BOOK",
    "PRICE_BOOK_ENTRY",
    "PRODUCT",
    "PRODUCT_COST",
    "PRODUCT_FAMILY",
    "PROMOTIONS",
    "QUOTE",
    "STOCK",
    "TAXES",
]
