"""What a selection comes to: phase by phase, then floors, rounding, manual discounts and tax.

`compute` answers in plain integers and is what searching asks; `services.quotes.pricing.report` makes a
`Result` of it. The rules, in words and with examples, are in `docs/promotions.md`.
"""

from __future__ import annotations

from services.quotes.pricing.charges import settle_charges, settle_gifts
from services.quotes.pricing.computed import Computed
from services.quotes.pricing.floors import check_document_floors
from services.quotes.pricing.legality import violations
from services.quotes.pricing.limits import check_limits
from services.quotes.pricing.model import NOTHING, Selection
from services.quotes.pricing.phases import Phases, stages
from services.quotes.pricing.pieces import IllegalSelection, take_apart
from services.quotes.pricing.problem import Problem
from services.quotes.pricing.settlement import settle_lines


def compute(problem: Problem, selection: Selection = NOTHING) -> Computed:
    """Price a selection.

    Raises:
        IllegalSelection: it breaks a rule, a floor or a limit.
    """
    choice = take_apart(problem, selection)
    broken = list(violations(problem, choice))
    if broken:
        raise IllegalSelection(tuple(broken))
    done = Computed(problem, choice)
    phases = Phases(done)
    for offers in stages(problem, choice.selected):
        phases.stage(offers)
    settle_lines(done)
    settle_charges(done)
    settle_gifts(done)
    check_limits(done)
    document = problem.document
    if choice.selected and (document.price_floor is not None or document.margin_floor is not None):
        check_document_floors(done, plain_of(problem))
    if done.broken:
        raise IllegalSelection(tuple(done.broken))
    return done


def plain_of(problem: Problem) -> Computed:
    """The document without promotions."""
    found = problem.allocations.get("plain")
    if not isinstance(found, Computed):
        found = problem.allocations["plain"] = compute(problem, NOTHING)
    return found
