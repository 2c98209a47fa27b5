"""One short method for each RPC: load, ask the domain, save, answer."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from sfa.leads.v1 import leads_pb2 as pb

from chassis import batch, channels, sight
from chassis.call import Call, Sight
from chassis.convert import date_of, datetime_of, fields_to_change, money_of, uuid_of
from chassis.entity import Event
from chassis.ids import new_id
from services.leads import wire
from services.leads.conversion import Conversions
from services.leads.domain import Conversion, Lead, Queue, QueueNotFound
from services.leads.store import LeadStore, QueueStore


class LeadServicer:
    """The leads; `region` is the country of telephone numbers that name none."""

    def __init__(self, conversions: Conversions, region: str) -> None:
        self.conversions = conversions
        self.region = region

    async def CreateLead(self, request: pb.CreateLeadRequest, call: Call) -> pb.Lead:
        fields = self._new_fields(call, request.lead)
        await _check_assignee(call, fields["owner_id"], fields["queue_id"], "lead.owner_id")
        lead, created = Lead.create(fields, uuid_of(request.lead.id))
        await LeadStore(call).add(lead, created, call.effective_at(request.effective_time))
        return wire.lead_to_proto(lead)

    async def GetLead(self, request: pb.GetLeadRequest, call: Call) -> pb.Lead:
        store = LeadStore(call)
        as_of = datetime_of(request.as_of) if request.HasField("as_of") else None
        effective = datetime_of(request.effective_as_of) if request.HasField("effective_as_of") else None
        if as_of or effective:
            resource = await store.as_of(request.id, as_of, effective)
            assert isinstance(resource, pb.Lead)
            return resource
        return wire.lead_to_proto(await store.get(request.id, deleted=True))

    async def BatchGetLeads(self, request: pb.BatchGetLeadsRequest, call: Call) -> pb.BatchGetLeadsResponse:
        found = await LeadStore(call).batch(request.ids, request.external_ids)
        return pb.BatchGetLeadsResponse(leads=map(wire.lead_to_proto, found))

    async def ListLeads(self, request: pb.ListLeadsRequest, call: Call) -> pb.ListLeadsResponse:
        page = await LeadStore(call).page(request)
        return pb.ListLeadsResponse(
            leads=map(wire.lead_to_proto, page.items), next_page_token=page.next_page_token
        )

    async def SearchLeads(self, request: pb.SearchLeadsRequest, call: Call) -> pb.SearchLeadsResponse:
        found = await LeadStore(call).search(request.q, request.page_size)
        return pb.SearchLeadsResponse(leads=map(wire.lead_to_proto, found))

    async def UpdateLead(self, request: pb.UpdateLeadRequest, call: Call) -> pb.Lead:
        store = LeadStore(call)
        lead = await store.get(request.id, request.etag)
        readers = wire.lead_fields(channels.region_of(lead.addresses, self.region))
        fields = fields_to_change(request.lead, request.update_mask, readers)
        await store.save(lead, lead.change(fields), call.effective_at(request.effective_time))
        return wire.lead_to_proto(lead)

    async def AssignLead(self, request: pb.AssignLeadRequest, call: Call) -> pb.Lead:
        store = LeadStore(call)
        lead = await store.get(request.id, request.etag)
        owner, queue = uuid_of(request.owner_id), uuid_of(request.queue_id)
        event = lead.assign(owner_id=owner, queue_id=queue)
        await _check_assignee(call, owner, queue, "owner_id")
        await store.save(lead, event, call.effective_at(request.effective_time))
        return wire.lead_to_proto(lead)

    async def WorkLead(self, request: pb.WorkLeadRequest, call: Call) -> pb.Lead:
        store = LeadStore(call)
        lead = await store.get(request.id, request.etag)
        await store.save(lead, lead.work(), call.effective_at(request.effective_time))
        return wire.lead_to_proto(lead)

    async def QualifyLead(self, request: pb.QualifyLeadRequest, call: Call) -> pb.Lead:
        store = LeadStore(call)
        lead = await store.get(request.id, request.etag)
        await store.save(lead, lead.qualify(), call.effective_at(request.effective_time))
        return wire.lead_to_proto(lead)

    async def DisqualifyLead(self, request: pb.DisqualifyLeadRequest, call: Call) -> pb.Lead:
        store = LeadStore(call)
        lead = await store.get(request.id, request.etag)
        event = lead.disqualify(request.disqualify_reason)
        await store.save(lead, event, call.effective_at(request.effective_time))
        return wire.lead_to_proto(lead)

    async def RequalifyLead(self, request: pb.RequalifyLeadRequest, call: Call) -> pb.Lead:
        store = LeadStore(call)
        lead = await store.get(request.id, request.etag)
        await store.save(lead, lead.requalify(), call.effective_at(request.effective_time))
        return wire.lead_to_proto(lead)

    async def ConvertLead(self, request: pb.ConvertLeadRequest, call: Call) -> pb.Lead:
        store = LeadStore(call)
        lead = await store.get(request.id, request.etag)
        plan = _plan(lead, request, call)
        started = lead.convert(plan)
        await sight.check_owner(call, plan.owner_id, "owner_id")
        await self.conversions.check(call, lead, plan, allow_duplicates=request.allow_duplicates)
        if request.validate_only:
            return wire.lead_to_proto(lead)
        await store.save(lead, started)
        await self.conversions.begin(call, lead)
        await call.tx.commit()  # from here on it goes forward by itself; the rest is waiting for it
        return wire.lead_to_proto(await self.conversions.settled(call, lead.id))

    async def DeleteLead(self, request: pb.DeleteLeadRequest, call: Call) -> pb.Lead:
        store = LeadStore(call)
        lead = await store.get(request.id, request.etag)
        await store.save(lead, lead.delete(call.now))
        return wire.lead_to_proto(lead)

    async def UndeleteLead(self, request: pb.UndeleteLeadRequest, call: Call) -> pb.Lead:
        store = LeadStore(call)
        lead = await store.get(request.id, deleted=True)
        await store.save(lead, lead.undelete(call.now))
        return wire.lead_to_proto(lead)

    async def BatchUpsertLeads(
        self, request: pb.BatchUpsertLeadsRequest, call: Call
    ) -> pb.BatchUpsertLeadsResponse:
        owners = await sight.owners_within(call)
        rows = batch.numbered(request.rows, "lead")
        queues = await QueueStore(call).known(
            {UUID(row.lead.queue_id) for row in request.rows if row.lead.queue_id}
        )

        def check(owner: UUID | None, queue: UUID | None) -> None:
            if owner is not None or queue is None:
                owners.check(owner, "lead.owner_id")
            if queue is not None and queue not in queues:
                raise QueueNotFound

        def put(row: batch.Row, lead: Lead | None) -> Iterator[tuple[Lead, Event, datetime | None]]:
            asked: pb.Lead = row.content.lead
            effective_at = call.effective_at(row.content.effective_time)
            event: Event
            if lead is None:
                fields = self._new_fields(call, asked) | {"external_ids": row.external_ids}
                check(fields["owner_id"], fields["queue_id"])
                lead, event = Lead.create(fields, row.id)
                yield lead, event, effective_at
            else:
                readers = wire.lead_fields(channels.region_of(lead.addresses, self.region))
                if fields := fields_to_change(asked, None, readers):
                    yield lead, lead.change(fields), effective_at
                owner, queue = uuid_of(asked.owner_id), uuid_of(asked.queue_id)
                if (owner or queue) and (owner, queue or lead.queue_id) != (lead.owner_id, lead.queue_id):
                    check(owner, queue)
                    yield lead, lead.assign(owner_id=owner, queue_id=None if owner else queue), effective_at
            state = wire.state_of(asked)
            moved = lead.bring_to(state, asked.disqualify_reason) if state else None
            # unchanged ones end here too: a row leaves a lead
            yield lead, moved or lead.change({}), effective_at

        results = await batch.upsert(LeadStore(call), call, rows, put, validate_only=request.validate_only)
        return pb.BatchUpsertLeadsResponse(results=results)

    async def ListLeadVersions(
        self, request: pb.ListLeadVersionsRequest, call: Call
    ) -> pb.ListLeadVersionsResponse:
        versions, token = await LeadStore(call).versions(UUID(request.id), request)
        return pb.ListLeadVersionsResponse(
            versions=map(wire.version_to_proto, versions), next_page_token=token
        )

    def _new_fields(self, call: Call, asked: pb.Lead) -> dict[str, Any]:
        """The fields of a new lead. One that names neither owner nor queue is the caller's, but nobody's
        where the caller sees everything."""
        readers = {**wire.lead_fields(self.region), **wire.NEW_FIELDS}
        fields = {"owner_id": None, "queue_id": None, **fields_to_change(asked, None, readers)}
        if not asked.owner_id and not asked.queue_id and call.caller.sight is not Sight.ALL:
            fields["owner_id"] = call.caller.user_id
        return fields


class QueueServicer:
    """The queues."""

    async def CreateQueue(self, request: pb.CreateQueueRequest, call: Call) -> pb.Queue:
        fields = fields_to_change(request.queue, None, wire.QUEUE_FIELDS)
        queue, created = Queue.create(fields, uuid_of(request.queue.id))
        await QueueStore(call).add(queue, created)
        return wire.queue_to_proto(queue)

    async def GetQueue(self, request: pb.GetQueueRequest, call: Call) -> pb.Queue:
        return wire.queue_to_proto(await QueueStore(call).get(request.id, deleted=True))

    async def ListQueues(self, request: pb.ListQueuesRequest, call: Call) -> pb.ListQueuesResponse:
        page = await QueueStore(call).page(request)
        return pb.ListQueuesResponse(
            queues=map(wire.queue_to_proto, page.items), next_page_token=page.next_page_token
        )

    async def UpdateQueue(self, request: pb.UpdateQueueRequest, call: Call) -> pb.Queue:
        store = QueueStore(call)
        queue = await store.get(request.id, request.etag)
        fields = fields_to_change(request.queue, request.update_mask, wire.QUEUE_FIELDS)
        await store.save(queue, queue.change(fields))
        return wire.queue_to_proto(queue)

    async def DeleteQueue(self, request: pb.DeleteQueueRequest, call: Call) -> pb.Queue:
        store = QueueStore(call)
        queue = await store.get(request.id, request.etag)
        await store.save(queue, queue.delete(call.now, has_leads=await LeadStore(call).wait_in(queue.id)))
        return wire.queue_to_proto(queue)


async def _check_assignee(call: Call, owner: UUID | None, queue: UUID | None, field: str) -> None:
    if owner is not None or queue is None:
        await sight.check_owner(call, owner, field)
    await QueueStore(call).check(queue)


def _plan(lead: Lead, request: pb.ConvertLeadRequest, call: Call) -> Conversion:
    """What the lead is to become, every id fixed."""
    account, contact = uuid_of(request.account_id), uuid_of(request.contact_id)
    makes_contact = contact is None and bool(lead.person_name)
    wanted = not request.without_opportunity
    return Conversion(
        account_id=account or new_id(),
        creates_account=account is None,
        contact_id=contact or (new_id() if makes_contact else None),
        creates_contact=makes_contact,
        opportunity_id=new_id() if wanted else None,
        opportunity_name=(request.opportunity_name or lead.label) if wanted else "",
        stage_id=uuid_of(request.stage_id),
        amount=money_of(request.amount, "amount") if request.HasField("amount") else lead.estimated_amount,
        close_date=(
            date_of(request.close_date, "close_date")
            if request.HasField("close_date")
            else lead.estimated_close_date
        ),
        owner_id=uuid_of(request.owner_id) or lead.owner_id or call.caller.user_id,
        user_id=call.caller.user_id,
    )
