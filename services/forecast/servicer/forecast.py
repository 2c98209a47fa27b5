"""The RPCs of the forecast itself."""

from collections.abc import AsyncIterator

from sfa.forecast.v1 import forecast_pb2 as pb

from chassis.call import Call
from chassis.client import Peers
from services.forecast import wire
from services.forecast.audit import Audit
from services.forecast.book import Books
from services.forecast.edges import Edge
from services.forecast.lineage import Lineage
from services.forecast.rollup import RollUp
from services.forecast.streaming import Changes, ForecastStream
from services.forecast.watermarks import Watermarks


class ForecastServicer:
    """The forecast."""

    def __init__(self, books: Books, changes: Changes, watermarks: Watermarks, peers: Peers) -> None:
        self.books, self.changes, self.watermarks, self.peers = books, changes, watermarks, peers

    async def GetForecast(self, request: pb.GetForecastRequest, call: Call) -> pb.Forecast:
        edge = await Edge.of(call, self.watermarks, request)
        forecast = (await RollUp.of(call, self.books)).answer(request).to_proto()
        edge.mark(forecast)
        return forecast

    async def ListForecastDeals(
        self, request: pb.ListForecastDealsRequest, call: Call
    ) -> pb.ListForecastDealsResponse:
        edge = await Edge.of(call, self.watermarks, request)
        page = await Lineage(call, self.books).page(request)
        response = pb.ListForecastDealsResponse(
            deals=(wire.deal_row_to_proto(deal, page.currency) for deal in page.deals),
            next_page_token=page.next_page_token,
        )
        edge.mark(response)
        return response

    async def StreamForecast(
        self, request: pb.StreamForecastRequest, call: Call
    ) -> AsyncIterator[pb.ForecastChange]:
        stream = ForecastStream(request, call, self.books, self.watermarks)
        async for change in stream.messages(self.changes):
            yield change

    async def AuditForecast(self, request: pb.AuditForecastRequest, call: Call) -> pb.AuditForecastResponse:
        watermarks = await self.watermarks.of(call)
        answer = await Audit(call, self.books, self.peers).run(request.currency)
        answer.watermarks.extend(watermarks)
        return answer
