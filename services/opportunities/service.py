"""Opportunities: the deals and the pipelines that they move through."""

from typing import cast

import grpc
from sfa.opportunities.v1 import alerts_pb2, competitors_pb2, history_pb2, merging_pb2, metrics_pb2
from sfa.opportunities.v1 import opportunities_pb2 as pb
from sfa.quotes.v1.quotes_pb2_grpc import QuoteServiceStub

from chassis import operations
from chassis.service import Service, ServiceContext
from services.opportunities import watching
from services.opportunities.servicer import (
    OpportunityMergingServicer,
    OpportunityServicer,
    PipelineServicer,
    QuoteSettingsServicer,
)
from services.opportunities.servicer.alerts import AlertServicer, AlertSettingsServicer
from services.opportunities.servicer.competitors import BattleCardServicer, CompetitorServicer
from services.opportunities.servicer.deal_history import OpportunityHistoryServicer
from services.opportunities.servicer.metrics import PipelineMetricsServicer
from services.opportunities.servicer.pipelines import MIGRATION, SWEEP, migrate, sweep
from services.opportunities.servicer.win_loss import WinLossServicer
from services.opportunities.store import Pipelines
from services.opportunities.subscribers import subscriptions
from services.opportunities.tables import OPPORTUNITY, PIPELINE, QUOTE_SETTINGS
from services.opportunities.tables.alerts import ALERT, ALERT_SETTINGS
from services.opportunities.tables.competitors import BATTLE_CARD, COMPETITOR


def build(context: ServiceContext) -> Service:
    """The service, wired."""
    pipelines = Pipelines()
    quotes = QuoteServiceStub(cast("grpc.aio.Channel", context.peers.channel("quotes")))
    services = {
        **pb.DESCRIPTOR.services_by_name,
        **merging_pb2.DESCRIPTOR.services_by_name,
        **competitors_pb2.DESCRIPTOR.services_by_name,
        **history_pb2.DESCRIPTOR.services_by_name,
        **alerts_pb2.DESCRIPTOR.services_by_name,
        **metrics_pb2.DESCRIPTOR.services_by_name,
    }
    return Service(
        name="opportunities",
        servicers={
            services["OpportunityService"]: OpportunityServicer(pipelines, quotes),
            services["OpportunityMergingService"]: OpportunityMergingServicer(),
            services["CompetitorService"]: CompetitorServicer(),
            services["BattleCardService"]: BattleCardServicer(),
            services["WinLossService"]: WinLossServicer(),
            services["PipelineService"]: PipelineServicer(pipelines),
            services["OpportunityHistoryService"]: OpportunityHistoryServicer(),
            services["AlertService"]: AlertServicer(),
            services["AlertSettingsService"]: AlertSettingsServicer(),
            services["PipelineMetricsService"]: PipelineMetricsServicer(context.positions),
            services["QuoteSettingsService"]: QuoteSettingsServicer(pipelines),
        },
        entities=[OPPORTUNITY, PIPELINE, QUOTE_SETTINGS, COMPETITOR, BATTLE_CARD, ALERT, ALERT_SETTINGS],
        subscriptions=subscriptions,
        due={
            **operations.due_handlers({MIGRATION: migrate}),
            SWEEP: sweep,
            watching.LOOK: watching.look,
            watching.LEARN: watching.learn,
        },
    )
