"""One short method for each RPC. One module a noun."""

from services.forecast.servicer.changes import ForecastChangesServicer
from services.forecast.servicer.forecast import ForecastServicer
from services.forecast.servicer.judgement import JudgementServicer
from services.forecast.servicer.quotas import QuotaServicer

__all__ = ["ForecastChangesServicer", "ForecastServicer", "JudgementServicer", "QuotaServicer"]
