"""Forecast: what the quarter will bring, live."""

from sfa.forecast.v1 import forecast_pb2 as pb

from chassis.service import Service, ServiceContext
from services.forecast.servicer import ForecastServicer
from services.forecast.streaming import Changes
from services.forecast.subscribers import subscriptions
from services.forecast.watermarks import Watermarks


def build(context: ServiceContext) -> Service:
    """The service, wired."""
    changes = Changes()
    heard = subscriptions(changes)
    watermarks = Watermarks(heard.sources, context.positions)
    return Service(
        name="forecast",
        servicers={
            pb.DESCRIPTOR.services_by_name["ForecastService"]: ForecastServicer(
                changes, watermarks, context.peers
            ),
        },
        subscriptions=heard,
    )
