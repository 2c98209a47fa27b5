"""Promotions phase by phase: all of one are computed on the price that entered it, and added."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from services.quotes.pricing.computed import Computed
from services.quotes.pricing.grouping import group_size
from services.quotes.pricing.limits import over_limit
from services.quotes.pricing.model import Combine, ReasonKind, RoundAt, Rounding
from services.quotes.pricing.pieces import Piece, Violation, size_of
from services.quotes.pricing.problem import Kind, Offer, Problem, gain, rounded
from services.quotes.pricing.rounding import half_up, spread, spread_ticks


def stages(problem: Problem, selected: Sequence[int]) -> Iterable[list[Offer]]:
    """Offers that are computed on the same price, in the order in which phases compound."""
    priced = [problem.offers[i] for i in selected if problem.offers[i].kind not in (Kind.GIFT, Kind.SHIPPING)]
    priced.sort(key=lambda offer: (offer.phase, offer.index))
    if problem.document.settings.combine is Combine.COMPOUND:
        return [[offer] for offer in priced]
    return [list(offers) for _, offers in groupby(priced, key=lambda offer: offer.phase)]


class Phases:
    """The prices of a choice while one phase after another takes its discounts off."""

    __slots__ = ("choice", "done", "problem", "ties")

    def __init__(self, done: Computed) -> None:
        self.problem = done.problem
        self.choice = done.choice
        self.done = done
        self.ties = [facts.tie for facts in done.problem.lines]

    def stage(self, offers: list[Offer]) -> None:
        """Compute all on the price that entered, cut what may be cut, and take it off."""
        pieces = self.choice.pieces
        problem = self.problem
        cuts: list[tuple[Offer, dict[int, int]]] = []
        for offer in offers:
            cut = self._capped(offer, self._rounded(offer, self._discount(offer)))
            cuts.append((offer, cut))
        off: dict[int, int] = {}
        for _, cut in cuts:
            for place, ticks in cut.items():
                off[place] = off.get(place, 0) + ticks
        for place, ticks in off.items():
            if ticks > pieces[place].now:
                self._not_below_zero(place, ticks - pieces[place].now, cuts)
        for offer, cut in cuts:
            taken = self.done.taken.setdefault(offer.index, {})
            for place, ticks in cut.items():
                if ticks:
                    piece = pieces[place]
                    piece.now -= ticks
                    taken[piece.line] = taken.get(piece.line, 0) + ticks
        if problem.document.settings.round_at is RoundAt.PHASE:
            self._round_lines({pieces[place].line for place in off})

    def _not_below_zero(self, place: int, over: int, cuts: list[tuple[Offer, dict[int, int]]]) -> None:
        for offer, cut in reversed(cuts):
            if offer.truncatable and cut.get(place):
                back = min(over, cut[place])
                cut[place] -= back
                over -= back
                self.done.truncated.add(offer.index)
        if over:
            piece = self.choice.pieces[place]
            codes = [offer.code for offer, cut in cuts if cut.get(place)]
            self.done.broken.append(
                Violation(
                    kind=ReasonKind.ZERO,
                    message="Would bring the price below zero.",
                    code=codes[-1] if codes else "",
                    line=self.problem.lines[piece.line].key,
                    against=tuple(codes[:-1]),
                )
            )

    def _discount(self, offer: Offer) -> dict[int, int]:
        """Ticks off by piece, on the prices that entered; nothing cut yet."""
        pieces = self.choice.pieces
        lines = self.problem.lines
        places = self.choice.by_offer.get(offer.index, ())
        match offer.kind:
            case Kind.UNIT_PERCENT | Kind.BUY_GET:
                return {place: gain(offer, pieces[place].now) for place in places}
            case Kind.UNIT_AMOUNT:
                return {
                    place: size_of(lines[pieces[place].line], pieces[place], offer.amount) for place in places
                }
            case Kind.UNIT_PRICE:
                return {place: self._down_to(offer, pieces[place]) for place in places}
            case Kind.LINE_AMOUNT:
                return self._whole_lines(offer, places)
            case Kind.GROUP_AMOUNT:
                times = sum(pieces[place].units for place in places) // group_size(offer)
                return self._spread(times * offer.amount, offer, places)
            case Kind.BUNDLE:
                cost = sum(pieces[place].now for place in places)
                times = sum(pieces[place].units for place in places) // group_size(offer)
                return self._spread(max(0, cost - times * offer.amount), offer, places)
            case Kind.DOCUMENT_PERCENT:
                numerator, denominator = offer.percent
                return {
                    place: pieces[place].now * numerator // denominator for place in self._on_document(offer)
                }
            case _:
                return self._spread(offer.amount, offer, self._on_document(offer))

    def _on_document(self, offer: Offer) -> list[int]:
        return [place for line in offer.targets for place in self.choice.by_line[line]]

    def _down_to(self, offer: Offer, piece: Piece) -> int:
        return max(0, piece.now - size_of(self.problem.lines[piece.line], piece, offer.amount))

    def _whole_lines(self, offer: Offer, places: Iterable[int]) -> dict[int, int]:
        cut: dict[int, int] = {}
        for line in sorted({self.choice.pieces[place].line for place in places}):
            self._within_line(cut, line, offer.line_amounts[line], self.choice.by_line[line], offer)
        return cut

    def _spread(self, ticks: int, offer: Offer, places: Sequence[int]) -> dict[int, int]:
        """An amount over lines by their net value before tax, in whole minor units; in a line by value."""
        pieces = self.choice.pieces
        by_line: dict[int, list[int]] = {}
        for place in places:
            by_line.setdefault(pieces[place].line, []).append(place)
        order = sorted(by_line)
        weights = [
            sum([pieces[place].now for place in by_line[line]]) * self.problem.lines[line].weight
            for line in order
        ]
        shares = spread_ticks(
            ticks,
            self.problem.tick,
            self.problem.quanta[offer.phase],
            weights,
            [self.ties[line] for line in order],
            self.problem.document.settings.remainder,
        )
        cut: dict[int, int] = {}
        for line, share in zip(order, shares, strict=True):
            self._within_line(cut, line, share, by_line[line], offer)
        return cut

    def _within_line(
        self, cut: dict[int, int], line: int, ticks: int, places: Sequence[int], offer: Offer
    ) -> None:
        if not ticks:
            return
        if len(places) == 1:
            cut[places[0]] = ticks
            return
        pieces = self.choice.pieces
        self._share(cut, ticks, places, [pieces[place].now for place in places], offer)

    def _share(
        self, cut: dict[int, int], ticks: int, places: Sequence[int], weights: Sequence[int], offer: Offer
    ) -> None:
        quantum = self.problem.quanta[offer.phase]
        whole, rest = divmod(ticks, quantum)
        remainder = self.problem.document.settings.remainder
        shares = spread(whole, weights, range(len(places)), remainder)
        for place, share in zip(places, shares, strict=True):
            cut[place] = share * quantum
        if rest:
            heaviest = max(range(len(places)), key=lambda index: weights[index])
            cut[places[heaviest]] += rest

    def _rounded(self, offer: Offer, cut: dict[int, int]) -> dict[int, int]:
        """With `RoundAt.PROMOTION`: the whole discount in whole minor units, spread again."""
        settings = self.problem.document.settings
        if settings.round_at is not RoundAt.PROMOTION:
            return cut
        total = sum(cut.values())
        tick = self.problem.tick
        whole = total // tick if settings.rounding is Rounding.DOWN else half_up(total, tick)
        return cut if whole * tick == total else self._scaled(offer, cut, whole * tick)

    def _capped(self, offer: Offer, cut: dict[int, int]) -> dict[int, int]:
        total = sum(cut.values())
        if offer.limit is None or total <= offer.limit:
            return cut
        if not offer.truncatable:
            self.done.broken.append(over_limit(offer))
            return cut
        self.done.truncated.add(offer.index)
        return self._scaled(offer, cut, offer.limit)

    def _scaled(self, offer: Offer, cut: dict[int, int], ticks: int) -> dict[int, int]:
        """A discount brought to another sum: over the lines by what it took off them, in whole minor units."""
        pieces = self.choice.pieces
        by_line: dict[int, list[int]] = {}
        for place in cut:
            by_line.setdefault(pieces[place].line, []).append(place)
        order = sorted(by_line)
        shares = spread_ticks(
            ticks,
            self.problem.tick,
            self.problem.quanta[offer.phase],
            [sum(cut[place] for place in by_line[line]) for line in order],
            [self.ties[line] for line in order],
            self.problem.document.settings.remainder,
        )
        again: dict[int, int] = {}
        for line, share in zip(order, shares, strict=True):
            places = by_line[line]
            if len(places) == 1:
                again[places[0]] = share
            elif share:
                self._share(again, share, places, [cut[place] for place in places], offer)
        return again

    def _round_lines(self, touched: Iterable[int]) -> None:
        tick = self.problem.tick
        pieces = self.choice.pieces
        for line in touched:
            places = self.choice.by_line[line]
            now = sum(pieces[place].now for place in places)
            change = rounded(self.problem, self.problem.lines[line], now) * tick - now
            if change:
                heaviest = max(places, key=lambda place: pieces[place].now)
                pieces[heaviest].now += change
