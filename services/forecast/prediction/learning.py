"""Learning, with the model's own record: it is learnt as of past months as well, and compared with what came."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from services.forecast.prediction.expectation import expected_amounts, won_in
from services.forecast.prediction.histories import Calendar, Histories
from services.forecast.prediction.model import Beliefs, Model, learn
from services.forecast.prediction.refusals import HistoryTooShort
from services.forecast.prediction.track import MOST_MONTHS, RunRate, Track, fit_run_rate

_MOST_DEALS: Final = 60_000
"""The record is kept on a part of the deals where there are more: it compares sums of the same deals."""


class Learner:
    """Learns from one tenant's histories, as of any day; what was learnt as of past months is kept."""

    def __init__(
        self, histories: Histories, calendar: Calendar, beliefs: Beliefs | None = None, seed: int = 0
    ) -> None:
        self.histories, self.calendar, self.beliefs, self.seed = histories, calendar, beliefs, seed
        self.part = histories
        if histories.deals > _MOST_DEALS:
            chosen = np.random.default_rng(seed).random(histories.deals) < _MOST_DEALS / histories.deals
            self.part = histories.only(chosen[histories.deal])
        self._errors: dict[int, tuple[float, float] | None] = {}
        self._plain: dict[int, Model] = {}

    def learn(self, day: int) -> Model:
        """What is learnt from what was known at the end of a day.

        Raises:
            HistoryTooShort: there is too little to learn from.
        """
        model = self._learnt(self.histories, day)
        month = int(self.calendar.index(np.array([day + 1], np.int32))[0])
        errors = [
            error
            for past in range(max(month - MOST_MONTHS, 0), month)
            if (error := self._error(past, day)) is not None
        ]
        run_rate = self._run_rate(self.histories, model.first_day, month, day)
        if not errors or run_rate is None:
            return model
        track = Track(tuple(each for each, _ in errors), tuple(each for _, each in errors), run_rate)
        return replace(model, track=track)

    def _learnt(self, histories: Histories, day: int) -> Model:
        if histories is not self.histories:
            return learn(histories, self.calendar, day, self.beliefs, self.seed)
        if day not in self._plain:
            self._plain[day] = learn(histories, self.calendar, day, self.beliefs, self.seed)
        return self._plain[day]

    def _error(self, month: int, day: int) -> tuple[float, float] | None:
        """Came ÷ said of a month that was over by `day`, as logarithms: of the model, and of the run rate."""
        if month not in self._errors:
            self._errors[month] = self._compared(month, day)
        return self._errors[month]

    def _compared(self, month: int, day: int) -> tuple[float, float] | None:
        start, end = int(self.calendar.starts[month]), int(self.calendar.starts[month + 1])
        try:
            model = self._learnt(self.part, start - 1)
        except HistoryTooShort:
            return None
        run_rate = self._run_rate(self.part, model.first_day, month, start - 1)
        coming = self.calendar.slice(month, month)
        said = float(expected_amounts(model, self.part.known(start - 1), coming)[0])
        came = won_in(self.part.known(day), start, end)
        if run_rate is None or said <= 0 or came <= 0:
            return None
        return float(np.log(came / said)), float(np.log(came) - run_rate.at(coming)[0])

    def _run_rate(self, histories: Histories, first_day: int, month: int, day: int) -> RunRate | None:
        first = int(np.searchsorted(self.calendar.starts, first_day - 7))
        return (
            fit_run_rate(histories.lives(day), self.calendar.slice(first, month - 1))
            if first < month
            else None
        )
