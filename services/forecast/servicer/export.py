"""The forecast as a file."""

from google.api.httpbody_pb2 import HttpBody
from sfa.forecast.v1 import export_pb2 as pb

from chassis.call import Call
from services.forecast.book import Books
from services.forecast.edges import Edge
from services.forecast.exporting import Export
from services.forecast.watermarks import Watermarks


class ForecastExportServicer:
    """Exports."""

    def __init__(self, books: Books, watermarks: Watermarks) -> None:
        self.books, self.watermarks = books, watermarks

    async def ExportForecast(self, request: pb.ExportForecastRequest, call: Call) -> HttpBody:
        edge = await Edge.of(call, self.watermarks, request)
        return await Export(call, self.books, edge).file(request)
