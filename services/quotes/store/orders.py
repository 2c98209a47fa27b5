"""Queries of orders."""

from chassis.store import EntityStore
from services.quotes.domain.orders import Order
from services.quotes.tables.orders import ORDER


class OrderStore(EntityStore[Order]):
    """The orders."""

    type = ORDER
