"""Forecast: what the quarter will bring, live."""

from sfa.forecast.v1 import changes_pb2, export_pb2, judgement_pb2, prediction_pb2, quotas_pb2, rebuild_pb2
from sfa.forecast.v1 import forecast_pb2 as pb

from chassis import operations
from chassis.service import Service, ServiceContext
from services.forecast.attainment import Attainment
from services.forecast.book import Books
from services.forecast.expiry import EXPIRY, expire
from services.forecast.judgement import Judgements
from services.forecast.predicting import Predictions
from services.forecast.predicting.training import TRAINING, Training
from services.forecast.rebuild import REBUILD, Rebuild
from services.forecast.servicer import (
    ForecastChangesServicer,
    ForecastExportServicer,
    ForecastRebuildServicer,
    ForecastServicer,
    JudgementServicer,
    PredictionServicer,
    QuotaServicer,
)
from services.forecast.streaming import Changes
from services.forecast.subscribers import subscriptions
from services.forecast.tables.judgement import FORECAST_SUBMISSION
from services.forecast.tables.quotas import QUOTA
from services.forecast.watermarks import Watermarks


def build(context: ServiceContext) -> Service:
    """The service, wired."""
    changes, books = Changes(), Books(context.database)
    heard = subscriptions(books, changes)
    watermarks = Watermarks(heard.sources, context.positions)
    rebuild = Rebuild(heard, context.peers)
    predictions = Predictions(books)
    return Service(
        name="forecast",
        servicers={
            pb.DESCRIPTOR.services_by_name["ForecastService"]: ForecastServicer(
                books, changes, watermarks, context.peers
            ),
            changes_pb2.DESCRIPTOR.services_by_name["ForecastChangesService"]: ForecastChangesServicer(
                books, watermarks
            ),
            export_pb2.DESCRIPTOR.services_by_name["ForecastExportService"]: ForecastExportServicer(
                books, watermarks
            ),
            rebuild_pb2.DESCRIPTOR.services_by_name["ForecastRebuildService"]: ForecastRebuildServicer(),
            judgement_pb2.DESCRIPTOR.services_by_name["JudgementService"]: JudgementServicer(
                books, Judgements(books, watermarks)
            ),
            prediction_pb2.DESCRIPTOR.services_by_name["PredictionService"]: PredictionServicer(
                books, predictions, watermarks
            ),
            quotas_pb2.DESCRIPTOR.services_by_name["QuotaService"]: QuotaServicer(
                books, Attainment(books, watermarks)
            ),
        },
        entities=[FORECAST_SUBMISSION, QUOTA],
        subscriptions=heard,
        due={
            EXPIRY: expire,
            TRAINING: Training(predictions),
            **operations.due_handlers({REBUILD: rebuild.step}),
        },
    )
