"""What an ERP reports by REST, and what of its events could not be applied."""

from collections.abc import Sequence
from typing import Any

from sfa.quotes.v1 import reports_pb2 as pb

from chassis.call import Call
from chassis.errors import FailedPrecondition
from services.quotes.reports import Report, Reports, results
from services.quotes.store import parked_reports as store
from services.quotes.wire import reports as wire


class NobodyTakes(FailedPrecondition):
    """Reports of this kind have no taker here."""

    def __init__(self) -> None:
        super().__init__("Reports of this kind are not taken here.")


class ReportServicer:
    """The reports: each kind is given to whoever takes it as an event."""

    def __init__(self, reports: Reports) -> None:
        self._reports = reports

    async def BatchUpsertStockLevels(
        self, request: pb.BatchUpsertStockLevelsRequest, call: Call
    ) -> pb.BatchUpsertReportsResponse:
        return await self._take(request.rows, call)

    async def BatchUpsertShipments(
        self, request: pb.BatchUpsertShipmentsRequest, call: Call
    ) -> pb.BatchUpsertReportsResponse:
        return await self._take(request.rows, call)

    async def BatchUpsertReceipts(
        self, request: pb.BatchUpsertReceiptsRequest, call: Call
    ) -> pb.BatchUpsertReportsResponse:
        return await self._take(request.rows, call)

    async def BatchUpsertReportedPrices(
        self, request: pb.BatchUpsertReportedPricesRequest, call: Call
    ) -> pb.BatchUpsertReportsResponse:
        return await self._take(request.rows, call)

    async def BatchUpsertOrderConfirmations(
        self, request: pb.BatchUpsertOrderConfirmationsRequest, call: Call
    ) -> pb.BatchUpsertReportsResponse:
        return await self._take(request.rows, call)

    async def BatchUpsertOrderRejections(
        self, request: pb.BatchUpsertOrderRejectionsRequest, call: Call
    ) -> pb.BatchUpsertReportsResponse:
        return await self._take(request.rows, call)

    async def BatchUpsertInvoices(
        self, request: pb.BatchUpsertInvoicesRequest, call: Call
    ) -> pb.BatchUpsertReportsResponse:
        return await self._take(request.rows, call)

    async def BatchUpsertPayments(
        self, request: pb.BatchUpsertPaymentsRequest, call: Call
    ) -> pb.BatchUpsertReportsResponse:
        return await self._take(request.rows, call)

    async def BatchUpsertCredits(
        self, request: pb.BatchUpsertCreditsRequest, call: Call
    ) -> pb.BatchUpsertReportsResponse:
        return await self._take(request.rows, call)

    async def ListParkedReports(
        self, request: pb.ListParkedReportsRequest, call: Call
    ) -> pb.ListParkedReportsResponse:
        rows, token = await store.page(call, request.page_size, request.page_token)
        return pb.ListParkedReportsResponse(
            parked_reports=map(wire.parked_report_to_proto, rows), next_page_token=token
        )

    async def RetryParkedReport(self, request: pb.RetryParkedReportRequest, call: Call) -> pb.ParkedReport:
        return wire.parked_report_to_proto(await store.retry(call, int(request.id)))

    async def DismissParkedReport(
        self, request: pb.DismissParkedReportRequest, call: Call
    ) -> pb.ParkedReport:
        return wire.parked_report_to_proto(await store.dismiss(call, int(request.id)))

    async def _take(self, rows: Sequence[Any], call: Call) -> pb.BatchUpsertReportsResponse:
        if type(rows[0]) not in self._reports.kinds:
            raise NobodyTakes
        outcomes = await self._reports.take(call, [Report(row, call.now) for row in rows])
        return pb.BatchUpsertReportsResponse(results=results(outcomes))
