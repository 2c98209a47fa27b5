"""Territories, and who covers them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from sfa.identity.v1 import organisation_pb2 as pb

from chassis import batch
from chassis.call import Call
from chassis.convert import external_ids_of, fields_to_change, uuid_of
from chassis.entity import Event, ExternalId
from chassis.ids import new_id
from services.identity import lines, wire
from services.identity.domain.people import UserUnknown
from services.identity.domain.reporting import (
    Territory,
    TerritoryAssignment,
    TerritoryAssignmentChanged,
    TerritoryUnknown,
    check_shares,
)
from services.identity.store import TenantStore, TerritoryAssignmentStore, TerritoryStore, UserStore


class TerritoryServicer:
    """The parts of the market."""

    async def CreateTerritory(self, request: pb.CreateTerritoryRequest, call: Call) -> pb.Territory:
        store = TerritoryStore(call)
        fields = fields_to_change(request.territory, None, wire.TERRITORY_FIELDS)
        territory, created = Territory.create(fields, await store.parents(), uuid_of(request.territory.id))
        await store.add(territory, created)
        return wire.territory_to_proto(territory)

    async def GetTerritory(self, request: pb.GetTerritoryRequest, call: Call) -> pb.Territory:
        return wire.territory_to_proto(await TerritoryStore(call).get(request.id, deleted=True))

    async def ListTerritories(
        self, request: pb.ListTerritoriesRequest, call: Call
    ) -> pb.ListTerritoriesResponse:
        page = await TerritoryStore(call).page(request)
        return pb.ListTerritoriesResponse(
            territories=map(wire.territory_to_proto, page.items), next_page_token=page.next_page_token
        )

    async def UpdateTerritory(self, request: pb.UpdateTerritoryRequest, call: Call) -> pb.Territory:
        store = TerritoryStore(call)
        fields = fields_to_change(request.territory, request.update_mask, wire.TERRITORY_FIELDS)
        parents = await store.parents()
        territory = await store.get(request.id, request.etag)
        await store.save(territory, territory.change(fields, parents))
        return wire.territory_to_proto(territory)

    async def DeleteTerritory(self, request: pb.DeleteTerritoryRequest, call: Call) -> pb.Territory:
        store = TerritoryStore(call)
        parents = await store.parents()
        territory = await store.get(request.id, request.etag)
        today = (await TenantStore(call).own()).day_of(call.now)
        event = territory.delete(
            call.now,
            has_parts=territory.id in parents.values(),
            is_covered=await TerritoryAssignmentStore(call).covers(territory.id, today),
        )
        await store.save(territory, event)
        return wire.territory_to_proto(territory)

    async def BatchUpsertTerritories(
        self, request: pb.BatchUpsertTerritoriesRequest, call: Call
    ) -> pb.BatchUpsertTerritoriesResponse:
        store = TerritoryStore(call)
        parents = await store.parents()
        named = [
            ExternalId(row.parent.system, row.parent.id) for row in request.rows if row.HasField("parent")
        ]
        by_key = await store.ids_of(named)

        def put(
            row: batch.Row, known: Territory | None
        ) -> Iterator[tuple[Territory, Event, datetime | None]]:
            fields = fields_to_change(row.content.territory, None, wire.TERRITORY_FIELDS)
            if row.content.HasField("parent"):
                key = ExternalId(row.content.parent.system, row.content.parent.id)
                if key not in by_key:
                    raise TerritoryUnknown("parent")
                fields["parent_id"] = by_key[key]
            event: Event
            if known is None:
                known, event = Territory.create(fields, parents, row.id)
            else:
                event = known.change(fields, parents)
            yield known, event, None
            parents[known.id] = known.parent_id
            by_key.update(dict.fromkeys(known.external_ids, known.id))

        rows = batch.numbered(request.rows, "territory")
        results = await batch.upsert(store, call, rows, put, validate_only=request.validate_only)
        return pb.BatchUpsertTerritoriesResponse(results=results)

    async def CreateTerritoryAssignment(
        self, request: pb.CreateTerritoryAssignmentRequest, call: Call
    ) -> pb.TerritoryAssignment:
        asked = request.territory_assignment
        new = TerritoryAssignment(
            id=uuid_of(asked.id) or new_id(),
            user_id=UUID(asked.user_id),
            territory_id=UUID(asked.territory_id),
            external_ids=external_ids_of(asked.external_ids),
            share=wire.share_of(asked.share),
            **wire.dates_of(asked, "territory_assignment"),
        )
        others = [
            replace(
                new,
                id=new_id(),
                territory_id=UUID(other.territory_id),
                share=wire.share_of(other.share),
                external_ids=(),
            )
            for other in request.others
        ]
        check_shares([new, *others])
        if await UserStore(call).find(new.user_id) is None:
            raise UserUnknown("territory_assignment.user_id")
        await self._check_territories(call, [new, *others])
        all_lines = await lines.territory_assignments(call)
        all_lines.put(new, others)
        await all_lines.store.flush()
        return wire.territory_assignment_to_proto(new)

    async def _check_territories(self, call: Call, assignments: Sequence[TerritoryAssignment]) -> None:
        """Raises TerritoryUnknown where one covers a territory that is not there."""
        store = TerritoryStore(call)
        for place, each in enumerate(assignments):
            territory = await store.find(each.territory_id)
            if territory is None or territory.deleted_at is not None:
                path = f"others[{place - 1}]" if place else "territory_assignment"
                raise TerritoryUnknown(f"{path}.territory_id")

    async def ListTerritoryAssignments(
        self, request: pb.ListTerritoryAssignmentsRequest, call: Call
    ) -> pb.ListTerritoryAssignmentsResponse:
        page = await TerritoryAssignmentStore(call).page(request)
        return pb.ListTerritoryAssignmentsResponse(
            territory_assignments=map(wire.territory_assignment_to_proto, page.items),
            next_page_token=page.next_page_token,
        )

    async def EndTerritoryAssignment(
        self, request: pb.EndTerritoryAssignmentRequest, call: Call
    ) -> pb.TerritoryAssignment:
        store = TerritoryAssignmentStore(call)
        tenant = await TenantStore(call).own()
        assignment = await store.get(request.id, request.etag)
        assignment.check_alone()
        assignment.end(wire.day_of(request.end_date, "end_date") or tenant.day_of(call.now))
        assignment.dated(tenant)
        await store.save(assignment, TerritoryAssignmentChanged())
        return wire.territory_assignment_to_proto(assignment)

    async def DeleteTerritoryAssignment(
        self, request: pb.DeleteTerritoryAssignmentRequest, call: Call
    ) -> pb.TerritoryAssignment:
        store = TerritoryAssignmentStore(call)
        assignment = await store.get(request.id, request.etag)
        assignment.check_alone()
        assignment.mark_deleted(call.now)
        await store.save(assignment, TerritoryAssignmentChanged())
        return wire.territory_assignment_to_proto(assignment)
