"""The RPCs of the prediction."""

import asyncio
from collections.abc import AsyncIterator

from sfa.forecast.v1 import prediction_pb2 as pb

from chassis.call import Call
from services.forecast.book import Books
from services.forecast.dimensions import GroupBy
from services.forecast.edges import Edge
from services.forecast.judgement import judged_before
from services.forecast.predicting import Predictions
from services.forecast.predicting.training import train
from services.forecast.rollup import known_tenant
from services.forecast.store import HistoryStore
from services.forecast.watermarks import Watermarks


class PredictionServicer:
    """What periods will bring."""

    def __init__(self, books: Books, predictions: Predictions, watermarks: Watermarks) -> None:
        self.books, self.predictions, self.watermarks = books, predictions, watermarks

    async def GetPrediction(self, request: pb.GetPredictionRequest, call: Call) -> pb.Prediction:
        from services.forecast.predicting.answers import answer

        edge = await Edge.of(call, self.watermarks, request)
        question = await self.predictions.question(call, request, request.group_by, request.periods)
        basis = await self.predictions.basis(call, question)
        prediction = await asyncio.to_thread(answer, basis, request)
        edge.mark(prediction)
        return prediction

    async def ListPredictedDeals(
        self, request: pb.ListPredictedDealsRequest, call: Call
    ) -> pb.ListPredictedDealsResponse:
        from services.forecast.predicting.answers import PredictedDeals

        await Edge.of(call, self.watermarks, request)
        question = await self.predictions.question(call, request, request.group_by, request.periods)
        basis = await self.predictions.basis(call, question)
        book = await self.books.of(call)
        deals = await asyncio.to_thread(PredictedDeals, basis, book, request.node_id)
        numbers, token = deals.page(request.page_token, request.page_size)
        names = await HistoryStore(call).names([deals.key(int(number)) for number in numbers])
        return pb.ListPredictedDealsResponse(
            deals=deals.to_proto(numbers.tolist(), names), next_page_token=token
        )

    async def TrainPrediction(self, request: pb.TrainPredictionRequest, call: Call) -> pb.PredictionModel:
        return await train(call, self.predictions)

    async def BacktestForecast(
        self, request: pb.BacktestForecastRequest, call: Call
    ) -> AsyncIterator[pb.BacktestProgress]:
        from services.forecast.predicting.replaying import Backtesting, Wanted, month_named

        plain = await self.predictions.question(
            call, pb.GetPredictionRequest(currency=request.currency), request.group_by, ()
        )
        book = await self.books.of(call)
        calendar = known_tenant(book, None).settings.calendar
        wanted = Wanted(
            plain,
            month_named(calendar, request.first_period, "first_period"),
            month_named(calendar, request.last_period, "last_period"),
            request.depth if request.HasField("depth") else 1,
            request.months or 1,
        )
        testing = await asyncio.to_thread(Backtesting, book, wanted)
        periods = {month: period for month in testing.chosen if (period := testing.period(month))}
        said = {}
        if testing.question.group_by is GroupBy.TEAM:
            said = await judged_before(call, self.books, testing.question, list(periods.values()))
        found = []
        for month in testing.chosen:
            one = await asyncio.to_thread(testing.replay.month, month)
            if month in periods and (judged := said.get(periods[month].id)):
                one = testing.with_judgement(one, judged)
            found.append(one)
            yield testing.progress(one)
        yield testing.result(found)
