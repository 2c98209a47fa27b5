"""One short method for each RPC. One module a noun."""

from services.forecast.servicer.forecast import ForecastServicer

__all__ = ["ForecastServicer"]
