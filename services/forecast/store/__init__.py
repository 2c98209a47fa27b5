"""Every query of the forecast: what it keeps of events, the organisation as of a day, and the figures."""

from services.forecast.store.counting import Choice, Selection
from services.forecast.store.figures import FigureStore
from services.forecast.store.organisation import OrganisationStore, Settings, SettingsUnknown
from services.forecast.store.projections import ProjectionStore

__all__ = [
    "Choice",
    "FigureStore",
    "OrganisationStore",
    "ProjectionStore",
    "Selection",
    "Settings",
    "SettingsUnknown",
]
