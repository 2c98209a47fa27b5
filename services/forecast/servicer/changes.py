"""What changed in the forecast."""

from sfa.forecast.v1 import changes_pb2 as pb

from chassis.call import Call
from services.forecast.book import Books
from services.forecast.changes import ForecastChanges, known_by
from services.forecast.edges import Edge
from services.forecast.watermarks import Watermarks


class ForecastChangesServicer:
    """What changed between two instants, and why."""

    def __init__(self, books: Books, watermarks: Watermarks) -> None:
        self.books, self.watermarks = books, watermarks

    async def GetForecastChanges(
        self, request: pb.GetForecastChangesRequest, call: Call
    ) -> pb.ForecastWaterfall:
        edge = await Edge.of(call, self.watermarks, known_by(request))
        waterfall = await ForecastChanges(call, self.books).answer(request)
        waterfall.is_open = edge.is_open
        waterfall.watermarks.extend(edge.watermarks)
        return waterfall

    async def ListForecastChangedDeals(
        self, request: pb.ListForecastChangedDealsRequest, call: Call
    ) -> pb.ListForecastChangedDealsResponse:
        return await ForecastChanges(call, self.books).page(request)
