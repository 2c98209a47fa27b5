"""What the attribution takes, made of the book: how deals stood at two instants, and who had what of them."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from services.forecast.book import exact
from services.forecast.book.exact import Amounts
from services.forecast.book.parts import Shares
from services.forecast.book.valuing import Factors, categories_of, factors_of
from services.forecast.book.versions import NONE, Rows
from services.forecast.domain.figures import Category, State
from services.forecast.waterfall.attribution import Bools, Codes, Pairs, Portions, Standing
from services.forecast.waterfall.history import History, Instant
from services.forecast.waterfall.places import OUTSIDE
from services.forecast.wire.heard import Kind

_COLUMNS: Final = 6

Placing = Callable[[Rows], Shares]
"""The parts of some versions, each with the place where it stands, -1 for outside."""
RateDays = Callable[[Rows, Instant], NDArray[np.int32]]
"""The days (since 1970) whose rates some versions are converted at, at an instant."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is measured, and where."""

    first_day: int
    """The period's first day, since 1970."""
    last_day: int
    currency: str
    categories: frozenset[Category]
    rate_days: RateDays
    opening: Placing
    """Where versions stood at the opening."""
    closing: Placing
    """Where versions stand at the closing."""
    owner: Placing | None = None
    """Where the whole of a version stands with its owner at the closing, if credit can be split."""
    is_split: Callable[[Rows], Bools] | None = None
    """Which versions' credit is split; None where deals stand elsewhere than with people."""


@dataclass(frozen=True, slots=True)
class Compared:
    """The deals in question, at both ends."""

    pairs: Pairs
    portions: Portions
    steady: Bools
    """The pairs whose both ends are the same in every respect: no step does anything to them."""

    def changed(self) -> Portions:
        """The portions of the others."""
        return taken(self.portions, ~self.steady[self.portions.pair])


@dataclass(frozen=True, slots=True)
class _End:
    """Some versions as they count at one end, and as what they are worth."""

    rows: Rows
    is_there: Bools
    standing: Standing
    amount: Amounts
    currency: NDArray[np.int16]
    rate_day: NDArray[np.int32]


class Comparison:
    """Deals at two instants."""

    def __init__(self, history: History, question: Question) -> None:
        self.history, self.question, self.book = history, question, history.book
        self.opening, self.closing = history.at(history.opening), history.at(history.closing)
        self.lacking: list[tuple[int, int]] = []
        """The currency and the day (since 1970) of each rate that a deal waits for."""

    def at_once(self) -> Compared:
        """Each deal that was or is in the period, its closing against its opening."""
        deals = np.flatnonzero(self._in_period(self.opening) | self._in_period(self.closing))
        return self._compared(
            deals.astype(np.int32), self.opening[deals], self.closing[deals], self.history.opening
        )

    def by_event(self) -> Compared:
        """Each deal that was in the period at any time, version against version."""
        rows = self.history.between
        deal = self.book.versions.deal[rows]
        ever = self._in_period(self.opening) | self._in_period(self.closing)
        ever[deal[self._in_period(rows)]] = True
        kept = ever[deal]
        rows, deal = rows[kept], deal[kept]
        is_first = np.ones(len(rows), bool)
        is_first[1:] = deal[1:] != deal[:-1]
        ever[deal] = False
        still = np.flatnonzero(ever).astype(np.int32)  # nothing happened to these
        firsts = np.concatenate([still, deal[is_first]])
        after = np.concatenate([self.closing[still], rows[is_first]])
        later = np.flatnonzero(~is_first)
        return _joined(
            self._compared(firsts, self.opening[firsts], after, self.history.opening, by_event=True),
            self._compared(deal[later], rows[later - 1], rows[later], self.history.closing, by_event=True),
        )

    def _in_period(self, rows: Rows) -> Bools:
        closes_on = self.book.versions.closes_on[rows]
        inside: Bools = (closes_on >= self.question.first_day) & (closes_on <= self.question.last_day)
        found: Bools = inside & (rows != NONE)
        return found

    def _compared(
        self, deal: Codes, before: Rows, after: Rows, opening: Instant, *, by_event: bool = False
    ) -> Compared:
        """Pairs of versions: one end at `opening`, the other at the closing."""
        closing = self.history.closing
        partings = self._partings(deal, after, by_event)
        base = np.where(before != NONE, before, partings.first)
        end = np.where(after != NONE, after, base)
        was, now = self._end(base, before != NONE, opening), self._end(end, after != NONE, closing)
        known = was.is_there & ~self.history.converting(base, opening)
        pairs = Pairs(deal, was.standing, now.standing, known, partings.merged, partings.split_off)
        portions, steady = self._portions(was, now, opening, partings)
        return Compared(pairs, portions, steady)

    def _end(self, rows: Rows, is_there: Bools, instant: Instant) -> _End:
        versions = self.book.versions
        money = self.history.last_open(rows)
        money = np.where(versions.state[rows] == State.LOST, money, rows)
        standing = Standing(
            is_there & self.history.counted(rows, instant),
            self._in_period(rows),
            versions.state[rows],
            categories_of(self.book, rows, instant.tenant)[0],
        )
        amount = np.where(versions.has_amount[money], versions.amount[money], 0)
        return _End(
            rows, is_there, standing, amount, versions.currency[money], self.question.rate_days(rows, instant)
        )

    def _partings(self, deal: Codes, after: Rows, by_event: bool) -> "_Partings":
        """What came of splitting deals and of merging them, for each pair."""
        versions, rows, count = self.book.versions, self.history.parting, len(deal)
        found = _Partings.none(count, after)
        if not len(rows) or not count:
            return found
        place = np.full(len(versions) if by_event else len(self.opening), NONE, np.int32)
        place[after if by_event else deal] = np.arange(count, dtype=np.int32)
        pair = place[rows if by_event else versions.deal[rows]]
        rows, pair = rows[pair != NONE], pair[pair != NONE]
        before, split = self.history.before(rows), versions.kind[rows] == Kind.SPLIT
        begun = split & (before == NONE)
        found.split_off[pair[begun]] = True
        found.first[pair[begun]] = rows[begun]
        gone = ~split & versions.deleted[rows]
        found.merged[pair[gone]] = ~found.split_off[pair[gone]] & versions.deleted[after[pair[gone]]]
        # an amount in another currency than before is none to be taken from the other
        less = (before != NONE) & ~gone & (versions.currency[rows] == versions.currency[before])
        change = np.where(less, versions.amount[rows] - versions.amount[before], 0)
        np.add.at(found.parted, pair[split], change[split])
        np.add.at(found.joined, pair[~split], change[~split])
        return found

    # What the places have

    def _portions(
        self, was: _End, now: _End, opening: Instant, partings: "_Partings"
    ) -> tuple[Portions, Bools]:
        question, closing = self.question, self.history.closing
        at_opening = factors_of(opening.tenant, was.currency, was.rate_day, question.currency)
        at_closing = factors_of(closing.tenant, was.currency, now.rate_day, question.currency)
        same = bool((was.currency == now.currency).all())
        finally_ = at_closing if same else factors_of(
            closing.tenant, now.currency, now.rate_day, question.currency
        )  # fmt: skip
        self._note_lacking(was, at_opening)
        self._note_lacking(now, finally_)
        place = question.opening if opening is self.history.opening else question.closing
        credit_was = place(was.rows)
        credit_is = question.closing(now.rows)
        credit_moved = self._moved(was, now, credit_is)
        parted = _plus(was.amount, np.where(was.currency == now.currency, partings.parted, 0))
        joined = _plus(parted, np.where(was.currency == now.currency, partings.joined, 0))
        amount = self.book.versions.amount
        stock = [
            _Stock(credit_was, amount[was.rows], was.amount, at_opening),
            _Stock(credit_was, amount[was.rows], was.amount, at_closing),
            _Stock(credit_moved.shares, amount[credit_moved.rows], was.amount, at_closing),
            _Stock(credit_is, amount[now.rows], parted, at_closing),
            _Stock(credit_is, amount[now.rows], joined, at_closing),
            _Stock(credit_is, amount[now.rows], now.amount, finally_),
        ]
        return _portions(stock, _alike(was, now, at_opening, finally_))

    def _note_lacking(self, end: _End, factors: Factors) -> None:
        gate = end.standing.counted & end.standing.in_period
        waiting = np.flatnonzero(~factors.known & (end.amount != 0) & gate)
        pairs = zip(end.currency[waiting].tolist(), end.rate_day[waiting].tolist(), strict=True)
        self.lacking.extend(pairs)

    def _moved(self, was: _End, now: _End, credit_is: Shares) -> "_Moved":
        """Whose the opening's credit is where the deal stands at the closing.

        What nobody shared went from one owner to the next; shares stay with whom they belong to, in the
        tree of the closing, until the credit is split otherwise.
        """
        question = self.question
        if question.is_split is None or question.owner is None:
            return _Moved(credit_is, now.rows)
        was_split = question.is_split(was.rows)
        if not was_split.any() and not question.is_split(now.rows).any():
            return _Moved(credit_is, now.rows)
        rows = np.where(was_split, was.rows, now.rows)
        split, whole = question.closing(rows), question.owner(rows)
        return _Moved(_concatenated(_of(split, was_split), _of(whole, ~was_split)), rows)


@dataclass(frozen=True, slots=True)
class _Moved:
    shares: Shares
    rows: Rows


@dataclass(frozen=True, slots=True)
class _Partings:
    """What came of splitting and merging deals, one entry for each pair."""

    parted: Amounts
    """What the amount changed by where parts became deals of their own."""
    joined: Amounts
    """What it changed by where the deal took on others."""
    split_off: Bools
    """It is such a part, which is new."""
    merged: Bools
    """It went into another."""
    first: Rows
    """Its first version, where it was split off."""

    @classmethod
    def none(cls, count: int, after: Rows) -> "_Partings":
        return cls(
            np.zeros(count, np.int64),
            np.zeros(count, np.int64),
            np.zeros(count, bool),
            np.zeros(count, bool),
            after.copy(),
        )


@dataclass(frozen=True, slots=True)
class _Stock:
    """One column of the portions: whose what is, of how much, at which rate."""

    shares: Shares
    whole: Amounts
    """The amounts that the shares are shares of."""
    amount: Amounts
    """The amounts that are shared out."""
    factors: Factors

    def converted(self, which: Codes) -> Amounts:
        """Some of the amounts as they are, unshared."""
        factors = self.factors
        amount, by, over = self.amount[which], factors.by[which], factors.over[which]
        amount = np.where(factors.known[which], amount, 0)
        other = np.flatnonzero(by != over)
        if not len(other):
            return amount
        converted = exact.scaled(amount[other], by[other], over[other])
        amount = amount.astype(np.result_type(amount, converted))
        amount[other] = converted
        return amount

    def worth(self, parts: Shares) -> Amounts:
        """What some of the shares are worth: the difference of converted running totals."""
        is_first = np.ones(len(parts.index), bool)
        is_first[1:] = parts.index[1:] != parts.index[:-1]
        whole, amount = self.whole[parts.index], self.amount[parts.index]
        start, end = parts.start, parts.end
        other = np.flatnonzero(whole != amount)
        if len(other):
            start, end = start.copy(), end.copy()
            for ends in (start, end):
                ends[other] = _in_proportion(ends[other], amount[other], whole[other])
            start[is_first & (whole == 0)] = 0  # of nothing, the first has all
        return self._converted(end, parts.index) - self._converted(start, parts.index)

    def _converted(self, ends: Amounts, index: Codes) -> Amounts:
        factors = self.factors
        ends = np.where(factors.known[index], ends, 0)
        return exact.scaled(ends, factors.by[index], factors.over[index])


def _plus(amount: Amounts, more: Amounts) -> Amounts:
    """The sum; the same array where there is nothing more."""
    return amount + more if more.any() else amount


def _alike(was: _End, now: _End, at_opening: Factors, at_closing: Factors) -> Bools:
    """The pairs that are one version, which counts for the same at both ends, wherever it stands."""
    alike: Bools = (was.rows == now.rows) & (was.is_there == now.is_there)
    for each in fields(Standing):
        alike &= getattr(was.standing, each.name) == getattr(now.standing, each.name)
    for factor in ("by", "over", "known"):
        alike &= getattr(at_opening, factor) == getattr(at_closing, factor)
    return alike


def _portions(stock: list[_Stock], alike: Bools) -> tuple[Portions, Bools]:
    """The columns put together, and the pairs that nothing happened to.

    Pairs that one place has all of are quick, the others are looked up.
    """
    count = len(alike)
    was, moved, now = stock[0].shares, stock[2].shares, stock[5].shares
    whole = np.ones(count, bool)
    columns = [(was, stock[0].whole), (now, stock[5].whole)]
    if moved is not now:
        columns.append((moved, stock[2].whole))
    for each, of in columns:
        whole &= np.bincount(each.index, minlength=count) == 1
        whole[each.index[(each.start != 0) | (each.end != of[each.index])]] = False
    places = tuple(_place_of(each, count) for each in (was, moved, now))
    steady = alike & whole & (places[0] == places[2])
    parts = [
        _undivided(stock, np.flatnonzero(pairs).astype(np.int32), places, pairs is steady)
        for pairs in (steady, whole & ~steady)
        if pairs.any()
    ]
    if not whole.all():
        parts.append(_divided(stock, ~whole))
    return (_end_to_end(parts) if parts else _nothing()), steady


def _place_of(shares: Shares, count: int) -> Codes:
    """The place of each pair, of those that one place has all of."""
    place = np.full(count, OUTSIDE, np.int32)
    place[shares.index] = shares.member
    return place


def _undivided(stock: list[_Stock], pairs: Codes, places: tuple[Codes, ...], is_steady: bool) -> Portions:
    """Of pairs that one place has all of at each step."""
    was, moved, now = (place[pairs] for place in places)
    if is_steady:
        pairs, place = pairs[was != OUTSIDE], was[was != OUTSIDE]
        there = np.ones(len(pairs), bool)
        return _portion(pairs, place, [stock[0].converted(pairs)] * _COLUMNS, (there, there, there))
    known: dict[tuple[int, int], Amounts] = {}
    amounts = []
    for each in stock:  # most of them are the same amount at the same rate
        key = id(each.amount), id(each.factors)
        if key not in known:
            known[key] = each.converted(pairs)
        amounts.append(known[key])
    parts = []
    for place, there in (
        (was, was != OUTSIDE),
        (moved, (moved != OUTSIDE) & (moved != was)),
        (now, (now != OUTSIDE) & (now != was) & (now != moved)),
    ):
        at = np.flatnonzero(there)
        if not len(at):
            continue
        had, came, has = was[at] == place[at], moved[at] == place[at], now[at] == place[at]
        gates = (had, had, came, has, has, has)
        columns = [np.where(gate, amount[at], 0) for gate, amount in zip(gates, amounts, strict=True)]
        parts.append(_portion(pairs[at], place[at], columns, (had, came, has)))
    return _end_to_end(parts) if parts else _nothing()


def _divided(stock: list[_Stock], pairs: Bools) -> Portions:
    """Of pairs that several places have a share of."""
    keys: list[NDArray[np.int64]] = []
    worths: list[Amounts] = []
    for each in stock:
        parts = _of(each.shares, pairs)
        inside = parts.member != OUTSIDE
        keys.append(((parts.index.astype(np.int64) << 32) + parts.member)[inside])
        worths.append(each.worth(parts)[inside])
    distinct, inverse = np.unique(np.concatenate(keys), return_inverse=True)
    starts = np.cumsum([0, *map(len, keys)])
    columns, there = [], []
    for number, worth in enumerate(worths):
        places = inverse[starts[number] : starts[number + 1]]
        columns.append(exact.sums(places, worth, len(distinct)))
        has = np.zeros(len(distinct), bool)
        has[places] = True
        there.append(has)
    pair, place = (distinct >> 32).astype(np.int32), (distinct & 0xFFFFFFFF).astype(np.int32)
    return _portion(pair, place, columns, (there[0], there[2], there[5]))


def _portion(pair: Codes, place: Codes, amounts: list[Amounts], there: tuple[Bools, ...]) -> Portions:
    columns: list[Any] = [pair, place, *amounts, *there]
    return Portions(*columns)


def _in_proportion(ends: Amounts, amount: Amounts, whole: Amounts) -> Amounts:
    """Running totals of one amount as those of another; of nothing, each is all."""
    sign = np.where(whole < 0, -1, 1)
    divisor = np.where(whole == 0, 1, whole * sign)
    factor = amount * sign
    # a factor must be above zero: a negative amount is shared out as its opposite, and turned round
    turned = np.where(factor < 0, -1, 1)
    shared = exact.scaled(ends, np.where(factor == 0, 1, factor * turned), divisor) * turned
    result: Amounts = np.where(factor == 0, 0, np.where(whole == 0, amount, shared))
    return result


def taken(portions: Portions, which: Bools) -> Portions:
    """Some of the portions."""
    columns: list[Any] = [getattr(portions, each.name)[which] for each in fields(Portions)]
    return Portions(*columns)


def _of(shares: Shares, pairs: Bools) -> Shares:
    kept = pairs[shares.index]
    return Shares(shares.index[kept], shares.member[kept], shares.start[kept], shares.end[kept])


def _concatenated(one: Shares, other: Shares) -> Shares:
    return Shares(
        np.concatenate([one.index, other.index]),
        np.concatenate([one.member, other.member]),
        np.concatenate([one.start, other.start]),
        np.concatenate([one.end, other.end]),
    )


def _end_to_end(parts: list[Portions]) -> Portions:
    if len(parts) == 1:
        return parts[0]
    columns: list[Any] = [
        np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(Portions)
    ]
    return Portions(*columns)


def _joined(one: Compared, other: Compared) -> Compared:
    """Two lots of pairs as one."""

    def both(name: str, one: Any, other: Any) -> Any:
        return np.concatenate([getattr(one, name), getattr(other, name)])

    def standing(one: Standing, other: Standing) -> Standing:
        return Standing(*(both(each.name, one, other) for each in fields(Standing)))

    first, second = one.pairs, other.pairs
    pairs = Pairs(
        both("deal", first, second),
        standing(first.opening, second.opening),
        standing(first.closing, second.closing),
        both("known", first, second),
        both("merged", first, second),
        both("split_off", first, second),
    )
    shifted = replace(other.portions, pair=other.portions.pair + np.int32(len(first.deal)))
    return Compared(pairs, _end_to_end([one.portions, shifted]), both("steady", one, other))


def _nothing() -> Portions:
    columns: list[Any] = [np.empty(0, np.int32) for _ in range(2)]
    columns += [np.empty(0, np.int64) for _ in range(_COLUMNS)]
    columns += [np.empty(0, bool) for _ in range(3)]
    return Portions(*columns)
