"""Every query of this service."""

from services.quotes.store.base import ASIDE, next_number
from services.quotes.store.costs import CostStore
from services.quotes.store.currencies import ExchangeRates
from services.quotes.store.explanations import ExplanationStore
from services.quotes.store.families import FamilyStore
from services.quotes.store.orders import OrderStore
from services.quotes.store.prices import PriceBookStore, PriceStore
from services.quotes.store.products import ProductStore
from services.quotes.store.quotes import QuoteStore
from services.quotes.store.taxes import TaxExemptionStore, TaxRateStore, TaxSettingsStore

__all__ = [
    "ASIDE",
    "CostStore",
    "ExchangeRates",
    "ExplanationStore",
    "FamilyStore",
    "OrderStore",
    "PriceBookStore",
    "PriceStore",
    "ProductStore",
    "QuoteStore",
    "TaxExemptionStore",
    "TaxRateStore",
    "TaxSettingsStore",
    "next_number",
]
