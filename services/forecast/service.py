"""Forecast: what the quarter will bring, live."""

from sfa.forecast.v1 import forecast_pb2 as pb

from chassis.service import Service, ServiceContext
from services.forecast.book import Books
from services.forecast.servicer import ForecastServicer
from services.forecast.streaming import Changes
from services.forecast.subscribers import subscriptions
from services.forecast.watermarks import Watermarks


def build(context: ServiceContext) -> Service:
    """The service, wired."""
    changes, books = Changes(), Books(context.database)
    heard = subscriptions(books, changes)
    watermarks = Watermarks(heard.sources, context.positions)
    return Service(
        name="forecast",
        servicers={
            pb.DESCRIPTOR.services_by_name["ForecastService"]: ForecastServicer(
                books, changes, watermarks, context.peers
            ),
        },
        subscriptions=heard,
    )
