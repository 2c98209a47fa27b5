"""The best combination of promotions, exactly: `best` answers, and says how far from the best it may be."""

from services.quotes.pricing.solver.answer import best
from services.quotes.pricing.solver.memory import Memory

__all__ = ["Memory", "best"]
