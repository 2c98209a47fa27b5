"""Predictions for callers: models and worlds are made in a thread, and kept while they are what is asked for."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeVar
from uuid import UUID

import numpy as np

from chassis.call import Call
from chassis.errors import InvalidArgument
from services.forecast.book import Book, Books, day_number
from services.forecast.dimensions import Axis, Question, axis_of
from services.forecast.domain.periods import Granularity, Period
from services.forecast.predicting.reading import TREE, Record, Seats, calendar_between, first_day_of, read
from services.forecast.prediction.histories import Calendar, Histories, Longs, Status
from services.forecast.prediction.refusals import HistoryTooShort
from services.forecast.rollup import known_tenant
from services.forecast.standing import Asked, question_of, seen_by

MOST_MONTHS: Final = 18
_KEPT_MODELS: Final = 8
_STEP: Final = float(np.log(1.05))
_KEPT_WORLDS: Final = 6
T = TypeVar("T")

if TYPE_CHECKING:  # scikit-learn is loaded when something is predicted, not when the service starts
    from services.forecast.prediction.model import Model
    from services.forecast.prediction.prediction import Prediction


class PeriodNotPredicted(InvalidArgument):
    """A period was asked for that is over, has no days, or is too far ahead."""

    def __init__(self, period: Period, why: str) -> None:
        super().__init__(f"{period.name} is not predicted: {why}.", field="periods")


@dataclass(frozen=True, slots=True)
class Basis:
    """What a prediction is made of."""

    question: Question
    axis: Axis
    record: Record
    model: Model
    months: Calendar
    """The first has the day of the answer."""
    all_months: Calendar
    """From the first of the periods on."""
    prediction: Prediction
    past: Longs
    """[node, month] of all months: what is won already, of the node itself."""

    @property
    def skipped(self) -> int:
        """How many of the months are over."""
        return len(self.all_months) - len(self.months)

    def totals(self, of: Longs) -> Longs:
        """[node, …]: with everything below each."""
        found = of.copy()
        above = self.axis.tree.above
        for place in range(len(found) - 1, 0, -1):
            found[above[place]] += found[place]
        return found

    def months_of(self, period: Period) -> tuple[slice, slice]:
        """The months of a period, among those that are predicted and among all."""
        assert period.start
        assert period.end
        low = int(np.searchsorted(self.all_months.starts, day_number(period.start)))
        high = int(np.searchsorted(self.all_months.starts, day_number(period.end) + 1))
        return slice(max(low - self.skipped, 0), max(high - self.skipped, 0)), slice(low, high)


class Predictions:
    """Of all tenants of a process."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self._models: OrderedDict[Hashable, Model] = OrderedDict()
        self._bases: OrderedDict[Hashable, Basis] = OrderedDict()
        self._locks: dict[UUID, asyncio.Lock] = {}
        self._making: dict[UUID, tuple[Hashable, asyncio.Task[Basis]]] = {}

    async def question(self, call: Call, asked: Asked, group_by: int, periods: Sequence[str]) -> Question:
        """What a request asks for.

        Raises:
            PeriodUnknown, PeriodRangeWrong, TooManyPeriods, PeriodNotPredicted: it is wrong.
            SettingsUnknown: the tenant's settings have not been heard.
        """
        within = await seen_by(call)
        book = await self.books.of(call)
        plain = question_of(call, book, asked, within=within)
        question = replace(plain, group_by=type(plain.group_by)(group_by or plain.group_by))
        calendar = known_tenant(book, question.recorded_at).settings.calendar
        chosen = tuple(
            period
            for period in calendar.selected(list(periods), question.today)
            if period.granularity is not Granularity.UNDATED
        )
        for period in chosen:
            assert period.end
            if period.end < question.today:
                raise PeriodNotPredicted(period, "it is over")
            if period.end > question.today + timedelta(31 * MOST_MONTHS):
                raise PeriodNotPredicted(period, f"it ends more than {MOST_MONTHS} months ahead")
        return replace(question, periods=chosen)

    async def basis(self, call: Call, question: Question) -> Basis:
        """Everything for a question; from what was made before, where nothing has changed since.

        Raises:
            HistoryTooShort: there is too little to learn from.
        """
        tenant = call.caller.tenant
        book = await self.books.of(call)
        model_key = _model_key(tenant, book, question)
        spans = tuple((period.start, period.end) for period in question.periods)
        key = (
            model_key, book.epoch, book.seen, spans, question.group_by, question.hierarchy, question.credit,
            question.within,
        )  # fmt: skip
        async with self._locks.setdefault(tenant, asyncio.Lock()):
            if key not in self._bases:
                await _leave(call)
                return await self._made(tenant, key, model_key, book, question)
            self._bases.move_to_end(key)
            return self._bases[key]

    async def _made(
        self, tenant: UUID, key: Hashable, model_key: Hashable, book: Book, question: Question
    ) -> Basis:
        """What is being made, or is begun now, one for a tenant at a time. It is finished and kept, too,
        where the request that began it ends before: whoever asks again finds it."""
        while tenant in self._making:
            known, task = self._making[tenant]
            if known == key:
                return await asyncio.shield(task)
            await asyncio.wait([task])

        async def make() -> Basis:
            try:
                made = await asyncio.to_thread(self._make, book, question, self._models.get(model_key))
                _keep(self._models, model_key, made.model, _KEPT_MODELS)
                _keep(self._bases, key, made, _KEPT_WORLDS)
                return made
            finally:
                del self._making[tenant]

        task = asyncio.create_task(make())
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # somebody has looked
        self._making[tenant] = key, task
        return await asyncio.shield(task)

    async def learnt(self, call: Call, question: Question) -> Model:
        """Learns anew, whatever was learnt before."""
        tenant = call.caller.tenant
        book = await self.books.of(call)
        model_key = _model_key(tenant, book, question)
        async with self._locks.setdefault(tenant, asyncio.Lock()):
            record = read(book, question, known_tenant(book, question.recorded_at))
            await _leave(call)
            model = await asyncio.to_thread(_learn, book, question, record.histories)
            for key in [key for key in self._bases if isinstance(key, tuple) and key[0] == model_key]:
                del self._bases[key]
            _keep(self._models, model_key, model, _KEPT_MODELS)
            return model

    def _make(self, book: Book, question: Question, model: Model | None) -> Basis:
        from services.forecast.prediction.prediction import predict, won_already

        tenant = known_tenant(book, question.recorded_at)
        record = read(book, question, tenant)
        histories = record.histories
        model = model or _learn(book, question, histories)
        axis = axis_of(book, question)
        seats = Seats(book, tenant, axis, question)
        calendar = tenant.settings.calendar
        first = min((period.start for period in question.periods if period.start), default=question.today)
        last = max((period.end for period in question.periods if period.end), default=question.today)
        months = calendar_between(calendar, question.today, last)
        all_months = calendar_between(calendar, min(first, question.today), last)
        prediction = predict(model, histories, months, seats, seed=(0,))
        rows = histories.rows_at(model.until)
        past = won_already(histories, rows, all_months, seats)[TREE]
        return Basis(question, axis, record, model, months, all_months, prediction, past)


def _model_key(tenant: UUID, book: Book, question: Question) -> Hashable:
    """What a model is kept by. It serves the whole day, until a twentieth more is known of deals: while
    history is being imported, what was learnt of its beginning does not stay."""
    versions = book.versions
    known = np.ones(len(versions), np.bool_)
    if question.recorded is not None:
        known &= versions.recorded_at <= question.recorded
    if question.effective is not None:
        known &= versions.effective_at <= question.effective
    steps = int(np.log1p(np.count_nonzero(known)) / _STEP)
    return tenant, question.currency, question.recorded, question.effective, question.today, steps


async def _leave(call: Call) -> None:
    """Holds no transaction open while something takes long."""
    if not call.tx.wrote:
        await call.tx.commit()


def _learn(book: Book, question: Question, histories: Histories) -> Model:
    from services.forecast.prediction.learning import Learner

    if not len(histories.deal) or not (histories.status != Status.OPEN).any():
        raise HistoryTooShort("no deal has been won or lost yet.")
    fiscal = known_tenant(book, question.recorded_at).settings.calendar
    calendar = calendar_between(fiscal, first_day_of(histories), question.today + timedelta(1))
    return Learner(histories, calendar).learn(day_number(question.today))


def _keep(kept: OrderedDict[Hashable, T], key: Hashable, value: T, most: int) -> None:
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > most:
        kept.popitem(last=False)
