"""Reporting lines."""

from uuid import UUID

from sfa.identity.v1 import organisation_pb2 as pb

from chassis.call import Call
from chassis.convert import external_ids_of, uuid_of
from chassis.ids import new_id
from services.identity import lines, wire
from services.identity.domain.people import UserUnknown
from services.identity.domain.reporting import ReportingLine, ReportingLineChanged
from services.identity.store import ReportingLineStore, TenantStore, UserStore


class ReportingLineServicer:
    """Who reports to whom."""

    async def CreateReportingLine(
        self, request: pb.CreateReportingLineRequest, call: Call
    ) -> pb.ReportingLine:
        asked = request.reporting_line
        new = ReportingLine(
            id=uuid_of(asked.id) or new_id(),
            user_id=UUID(asked.user_id),
            manager_id=UUID(asked.manager_id),
            external_ids=external_ids_of(asked.external_ids),
            **wire.dates_of(asked, "reporting_line"),
        )
        known = await UserStore(call).get_many([new.user_id, new.manager_id])
        for name in ("user_id", "manager_id"):
            if getattr(new, name) not in known:
                raise UserUnknown(f"reporting_line.{name}")
        all_lines = await lines.reporting_lines(call)
        all_lines.put(new)
        await all_lines.store.flush()
        return wire.reporting_line_to_proto(new)

    async def GetReportingLine(self, request: pb.GetReportingLineRequest, call: Call) -> pb.ReportingLine:
        return wire.reporting_line_to_proto(await ReportingLineStore(call).get(request.id, deleted=True))

    async def ListReportingLines(
        self, request: pb.ListReportingLinesRequest, call: Call
    ) -> pb.ListReportingLinesResponse:
        page = await ReportingLineStore(call).page(request)
        return pb.ListReportingLinesResponse(
            reporting_lines=map(wire.reporting_line_to_proto, page.items),
            next_page_token=page.next_page_token,
        )

    async def EndReportingLine(self, request: pb.EndReportingLineRequest, call: Call) -> pb.ReportingLine:
        store = ReportingLineStore(call)
        tenant = await TenantStore(call).own()
        line = await store.get(request.id, request.etag)
        line.end(wire.day_of(request.end_date, "end_date") or tenant.day_of(call.now))
        line.dated(tenant)
        await store.save(line, ReportingLineChanged())
        return wire.reporting_line_to_proto(line)

    async def DeleteReportingLine(
        self, request: pb.DeleteReportingLineRequest, call: Call
    ) -> pb.ReportingLine:
        store = ReportingLineStore(call)
        line = await store.get(request.id, request.etag)
        line.mark_deleted(call.now)
        await store.save(line, ReportingLineChanged())
        return wire.reporting_line_to_proto(line)
