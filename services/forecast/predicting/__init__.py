"""The prediction for one tenant: histories out of the book, models and worlds kept, answers for callers."""

from services.forecast.predicting.predictions import Predictions

__all__ = ["Predictions"]
