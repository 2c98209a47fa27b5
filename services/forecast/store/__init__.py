"""Every query of the forecast: what it keeps of events. What it answers is computed from `book`."""

from services.forecast.store.projections import Batch, HistoryStore

__all__ = ["Batch", "HistoryStore"]
