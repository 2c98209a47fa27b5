"""Every query of the forecast: what it keeps of events, the organisation as of a day, and the figures."""

from services.forecast.store.figures import Choice, DealRow, FigureStore, Lacking, Selection
from services.forecast.store.organisation import OrganisationStore, Settings, SettingsUnknown
from services.forecast.store.projections import ProjectionStore

__all__ = [
    "Choice",
    "DealRow",
    "FigureStore",
    "Lacking",
    "OrganisationStore",
    "ProjectionStore",
    "Selection",
    "Settings",
    "SettingsUnknown",
]
