"""One short method for each RPC. One module a noun."""

from services.forecast.servicer.changes import ForecastChangesServicer
from services.forecast.servicer.export import ForecastExportServicer
from services.forecast.servicer.forecast import ForecastServicer
from services.forecast.servicer.judgement import JudgementServicer
from services.forecast.servicer.prediction import PredictionServicer
from services.forecast.servicer.quotas import QuotaServicer
from services.forecast.servicer.rebuild import ForecastRebuildServicer

__all__ = [
    "ForecastChangesServicer", "ForecastExportServicer", "ForecastRebuildServicer", "ForecastServicer",
    "JudgementServicer", "PredictionServicer", "QuotaServicer",
]  # fmt: skip
