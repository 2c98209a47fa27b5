"""What changed in the forecast."""

from sfa.forecast.v1 import changes_pb2 as pb

from chassis.call import Call
from services.forecast.book import Books
from services.forecast.changes import ForecastChanges
from services.forecast.watermarks import Watermarks


class ForecastChangesServicer:
    """What changed between two instants, and why."""

    def __init__(self, books: Books, watermarks: Watermarks) -> None:
        self.books, self.watermarks = books, watermarks

    async def GetForecastChanges(
        self, request: pb.GetForecastChangesRequest, call: Call
    ) -> pb.ForecastWaterfall:
        watermarks = await self.watermarks.of(call)
        waterfall = await ForecastChanges(call, self.books).answer(request)
        waterfall.watermarks.extend(watermarks)
        return waterfall

    async def ListForecastChangedDeals(
        self, request: pb.ListForecastChangedDealsRequest, call: Call
    ) -> pb.ListForecastChangedDealsResponse:
        return await ForecastChanges(call, self.books).page(request)
