"""The best combination of promotions, exactly: `best` answers, and says how far from the best it may be."""

from services.quotes.pricing.solver.answer import best

__all__ = ["best"]
