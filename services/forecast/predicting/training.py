"""Learning anew: on demand, and by itself every week. The model's card is kept, so that it can be seen how a
tenant's model came to be; the model itself is made from the history wherever it is needed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import sqlalchemy as sa
from google.protobuf import json_format
from sfa.forecast.v1 import prediction_pb2 as pb

from chassis import due
from chassis.call import Call
from services.forecast.predicting.predictions import Predictions
from services.forecast.prediction.refusals import HistoryTooShort
from services.forecast.tables.prediction import prediction_models

TRAINING: Final = "prediction.training"
EVERY: Final = timedelta(days=7)


async def train(call: Call, predictions: Predictions) -> pb.PredictionModel:
    """Learns up to now, keeps the card, and does so again in a week.

    Raises:
        HistoryTooShort: there is too little to learn from.
    """
    from services.forecast.wire.prediction import model_card

    question = await predictions.question(call, pb.GetPredictionRequest(), 0, ())
    model = await predictions.learnt(call, question)
    card = model_card(model, call.now)
    await call.tx.execute(
        sa.insert(prediction_models).values(
            trained_at=call.now, until=question.today, card=json_format.MessageToDict(card)
        )
    )
    await due.schedule(call, TRAINING, "weekly", call.now + EVERY)
    return card


class Training:
    """The weekly work."""

    def __init__(self, predictions: Predictions) -> None:
        self.predictions = predictions

    async def __call__(self, call: Call, key: str, payload: Any) -> None:
        """Learns anew; where the history is too short, it is tried again in a week."""
        try:
            await train(call, self.predictions)
        except HistoryTooShort:
            await due.schedule(call, TRAINING, key, call.now + EVERY)
