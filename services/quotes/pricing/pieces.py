"""A selection taken apart: units of one line that are treated alike, and which offers they carry."""

from __future__ import annotations

from dataclasses import dataclass

from services.quotes.pricing.model import ReasonKind, Segment, Selection
from services.quotes.pricing.problem import ON_UNITS, LineFacts, Problem
from services.quotes.pricing.rounding import digits, scaled


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """Why a selection may not be: what it breaks, whose, and where."""

    kind: ReasonKind | None  # None: it does not fit the document or itself
    message: str
    code: str = ""
    line: str = ""
    against: tuple[str, ...] = ()


class IllegalSelection(Exception):
    """A selection breaks rules; the violations say which."""

    def __init__(self, violations: tuple[Violation, ...]) -> None:
        super().__init__("; ".join(f"{one.code} {one.line} {one.message}".strip() for one in violations))
        self.violations = violations


@dataclass(slots=True)
class Piece:
    """Units of one line that are treated alike: `now` is what they all together cost, in ticks."""

    line: int
    units: int
    is_rest: bool
    offers: tuple[int, ...]  # ascending
    bought_for: int  # -1: for none
    now: int = 0


@dataclass(slots=True)
class Choice:
    """A selection in its one canonical form: lines in order, equal pieces joined, nothing left out."""

    pieces: list[Piece]
    by_line: list[list[int]]  # pieces
    by_offer: dict[int, list[int]]  # pieces that an offer takes something off
    bought: dict[int, list[int]]  # pieces bought for an offer
    document: tuple[int, ...]
    selected: tuple[int, ...]  # all offers, ascending


def take_apart(problem: Problem, selection: Selection) -> Choice:
    """The choice that a selection stands for.

    Raises:
        IllegalSelection: it names lines, units or promotions that are not there.
    """
    joined: dict[tuple[int, bool, tuple[int, ...], int], int] = {}
    left = list(problem.quoted.whole)
    rest_left = [bool(facts.rest_size) for facts in problem.lines]
    for segment in selection.segments:
        line = problem.line_index.get(segment.line)
        if line is None:
            raise _misfit("There is no such line.", line=segment.line)
        offers = tuple(sorted({_offer(problem, code) for code in segment.promotions}))
        bought_for = _offer(problem, segment.bought_for) if segment.bought_for else -1
        if segment.is_rest:
            if segment.units or not rest_left[line] or bought_for >= 0:
                raise _misfit("The rest of a quantity is there once, and no unit.", line=segment.line)
            rest_left[line] = False
        else:
            left[line] -= segment.units
            if segment.units < 1 or left[line] < 0:
                raise _misfit("There are not so many units.", line=segment.line)
        if offers or bought_for >= 0:
            key = (line, segment.is_rest, offers, bought_for)
            joined[key] = joined.get(key, 0) + segment.units
        else:
            _give_back(segment, line, left, rest_left)
    for line, facts in enumerate(problem.lines):
        if left[line]:
            joined[line, False, (), -1] = left[line]
        if rest_left[line] and facts.rest_size:
            joined[line, True, (), -1] = 0
    document = tuple(sorted({_offer(problem, code) for code in selection.document}))
    return _choice(problem, joined, document)


def _give_back(segment: Segment, line: int, left: list[int], rest_left: list[bool]) -> None:
    if segment.is_rest:
        rest_left[line] = True
    else:
        left[line] += segment.units


def _choice(
    problem: Problem, joined: dict[tuple[int, bool, tuple[int, ...], int], int], document: tuple[int, ...]
) -> Choice:
    pieces: list[Piece] = []
    by_line: list[list[int]] = [[] for _ in problem.lines]
    by_offer: dict[int, list[int]] = {}
    bought: dict[int, list[int]] = {}
    for key in sorted(joined):
        line, is_rest, offers, bought_for = key
        place = len(pieces)
        facts = problem.lines[line]
        now = facts.rest if is_rest else facts.unit * joined[key]
        pieces.append(Piece(line, joined[key], is_rest, offers, bought_for, now))
        by_line[line].append(place)
        for offer in offers:
            by_offer.setdefault(offer, []).append(place)
        if bought_for >= 0:
            bought.setdefault(bought_for, []).append(place)
    selected = tuple(sorted({*by_offer, *bought, *document}))
    for offer in document:
        if problem.offers[offer].kind in ON_UNITS:
            raise _misfit("Stands on units, not on the document.", code=problem.offers[offer].code)
    for offer in (*by_offer, *bought):
        if problem.offers[offer].kind not in ON_UNITS:
            raise _misfit("Stands on the document, not on units.", code=problem.offers[offer].code)
    return Choice(pieces, by_line, by_offer, bought, document, selected)


def _offer(problem: Problem, code: str) -> int:
    index = problem.offer_index.get(code)
    if index is None:
        reasons = problem.obstacles.get(code, ())
        kind = reasons[0].kind if reasons else None
        message = " ".join(reason.message for reason in reasons) or "There is no such promotion."
        raise IllegalSelection((Violation(kind=kind, message=message, code=code),))
    return index


def _misfit(message: str, code: str = "", line: str = "") -> IllegalSelection:
    return IllegalSelection((Violation(kind=None, message=message, code=code, line=line),))


def selection_of(problem: Problem, choice: Choice) -> Selection:
    """The canonical selection: by line, what carries nothing left out."""
    codes = [offer.code for offer in problem.offers]
    segments = tuple(
        Segment(
            line=problem.lines[piece.line].key,
            units=piece.units,
            promotions=tuple(sorted(codes[offer] for offer in piece.offers)),
            bought_for=codes[piece.bought_for] if piece.bought_for >= 0 else "",
            is_rest=piece.is_rest,
        )
        for piece in choice.pieces
        if piece.offers or piece.bought_for >= 0
    )
    return Selection(segments, tuple(sorted(codes[offer] for offer in choice.document)))


def size_of(facts: LineFacts, piece: Piece, ticks: int) -> int:
    """So many ticks for each unit of a piece, the rest in proportion."""
    if not piece.is_rest:
        return ticks * piece.units
    places = digits(facts.rest_size)
    return int(ticks * scaled(facts.rest_size, places) // 10**places)
