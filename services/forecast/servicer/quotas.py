"""The RPCs of quotas."""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from sfa.forecast.v1 import quotas_pb2 as pb

from chassis import batch
from chassis.call import Call
from chassis.convert import datetime_of, fields_to_change, uuid_of
from chassis.entity import Event
from chassis.errors import Refusal
from chassis.ids import new_id
from chassis.store import Conflict
from services.forecast.attainment import Attainment
from services.forecast.book import Books
from services.forecast.domain.periods import FiscalCalendar, Period
from services.forecast.domain.quotas import Quota, QuotaDeleted, QuotaTaken, QuotaUndeleted
from services.forecast.store.quotas import Key, QuotaStore
from services.forecast.wire import quotas as wire


class QuotaServicer:
    """The quotas."""

    def __init__(self, books: Books, attainment: Attainment) -> None:
        self.books, self.attainment = books, attainment

    async def CreateQuota(self, request: pb.CreateQuotaRequest, call: Call) -> pb.Quota:
        effective_at = call.effective_at(request.effective_time)
        fields = fields_to_change(request.quota, None, wire.QUOTA_FIELDS)
        quota = Quota(id=uuid_of(request.quota.id) or new_id(), **fields)
        created = quota.create(_period(quota.period_id, await self._calendar(call)))
        await QuotaStore(call).add(quota, created, effective_at)
        return wire.quota_to_proto(quota)

    async def GetQuota(self, request: pb.GetQuotaRequest, call: Call) -> pb.Quota:
        store = QuotaStore(call)
        if request.HasField("as_of"):
            resource = await store.as_of(request.id, datetime_of(request.as_of))
            assert isinstance(resource, pb.Quota)
            return resource
        return wire.quota_to_proto(await store.get(request.id, deleted=True))

    async def ListQuotas(self, request: pb.ListQuotasRequest, call: Call) -> pb.ListQuotasResponse:
        page = await QuotaStore(call).page(request)
        return pb.ListQuotasResponse(
            quotas=map(wire.quota_to_proto, page.items), next_page_token=page.next_page_token
        )

    async def UpdateQuota(self, request: pb.UpdateQuotaRequest, call: Call) -> pb.Quota:
        store = QuotaStore(call)
        effective_at = call.effective_at(request.effective_time)
        fields = fields_to_change(request.quota, request.update_mask, wire.QUOTA_FIELDS)
        if fields.get("period_id"):
            fields["period_id"] = _period_id(fields["period_id"], await self._calendar(call))
        quota = await store.get(request.id, request.etag)
        await store.save(quota, quota.change(fields), effective_at)
        return wire.quota_to_proto(quota)

    async def DeleteQuota(self, request: pb.DeleteQuotaRequest, call: Call) -> pb.Quota:
        store = QuotaStore(call)
        quota = await store.get(request.id, request.etag)
        quota.mark_deleted(call.now)
        await store.save(quota, QuotaDeleted())
        return wire.quota_to_proto(quota)

    async def UndeleteQuota(self, request: pb.UndeleteQuotaRequest, call: Call) -> pb.Quota:
        store = QuotaStore(call)
        quota = await store.get(request.id, deleted=True)
        quota.restore(call.now)
        await store.save(quota, QuotaUndeleted())
        return wire.quota_to_proto(quota)

    async def BatchUpsertQuotas(
        self, request: pb.BatchUpsertQuotasRequest, call: Call
    ) -> pb.BatchUpsertQuotasResponse:
        store, calendar = QuotaStore(call), await self._calendar(call)
        known = await store.by_key([key for row in request.rows if (key := _key(row.quota, calendar))])
        rows = await _found_by_key(store, request, known, calendar)

        def put(row: batch.Row, quota: Quota | None) -> Iterator[tuple[Quota, Event, datetime | None]]:
            asked: pb.BatchUpsertQuotasRequest.Row = row.content
            effective_at = call.effective_at(asked.effective_time)
            fields = fields_to_change(asked.quota, None, wire.QUOTA_FIELDS)
            event: Event
            if quota is None:
                quota = Quota(id=row.id or new_id(), **fields)
                event = quota.create(_period(quota.period_id, calendar))
            else:
                if fields.get("period_id"):
                    fields["period_id"] = _period_id(fields["period_id"], calendar)
                event = quota.change(fields)
            assert quota.kind is not None
            assert quota.subject_id is not None
            key = quota.kind, quota.subject_id, quota.period_id
            if known.setdefault(key, quota.id) != quota.id:
                raise QuotaTaken
            yield quota, event, effective_at

        try:
            results = await batch.upsert(store, call, rows, put, validate_only=request.validate_only)
        except QuotaTaken as refusal:  # somebody took it at this moment: look again
            raise Conflict from refusal
        return pb.BatchUpsertQuotasResponse(results=results)

    async def ListQuotaVersions(
        self, request: pb.ListQuotaVersionsRequest, call: Call
    ) -> pb.ListQuotaVersionsResponse:
        versions, token = await QuotaStore(call).versions(UUID(request.id), request)
        return pb.ListQuotaVersionsResponse(
            versions=map(wire.quota_version_to_proto, versions), next_page_token=token
        )

    async def GetQuotaAttainment(
        self, request: pb.GetQuotaAttainmentRequest, call: Call
    ) -> pb.QuotaAttainment:
        return await self.attainment.answer(request, call)

    async def _calendar(self, call: Call) -> FiscalCalendar:
        return (await self.books.of(call)).at().settings.calendar


def _period(id: str, calendar: FiscalCalendar) -> Period | None:
    return calendar.named(id, "quota.period_id") if id else None


def _period_id(id: str, calendar: FiscalCalendar) -> str:
    return calendar.named(id, "quota.period_id").id


def _key(quota: pb.Quota, calendar: FiscalCalendar) -> Key | None:
    """Whose quota a row is about, and for which period; None where it does not say so, or wrongly."""
    kind, subject = wire.kind_of(quota.kind), uuid_of(quota.subject_id)
    if kind is None or subject is None or not quota.period_id:
        return None
    try:
        return kind, subject, _period_id(quota.period_id, calendar)
    except Refusal:  # it is refused where its outcome is written down
        return None


async def _found_by_key(
    store: QuotaStore, asked: pb.BatchUpsertQuotasRequest, known: dict[Key, UUID], calendar: FiscalCalendar
) -> list[batch.Row]:
    """The rows, those with neither id nor known external id by whose quota they are about and for which
    period. Two rows about one new quota are about one thing."""
    numbered = batch.numbered(asked.rows, "quota")
    external = await store.ids_of([key for row in numbered for key in row.external_ids])
    found = []
    for row in numbered:
        id = row.id or next((external[key] for key in row.external_ids if key in external), None)
        if key := _key(row.content.quota, calendar):
            id = id or known.get(key) or new_id()
            known.setdefault(key, id)
        found.append(batch.Row(id, row.external_ids, row.content))
    return found
