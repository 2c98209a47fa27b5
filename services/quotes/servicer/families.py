"""The RPCs of product families."""

from collections.abc import Iterator
from copy import copy
from datetime import datetime
from uuid import UUID

from sfa.quotes.v1 import families_pb2 as pb

from chassis import batch
from chassis.call import Call
from chassis.convert import fields_to_change, uuid_of
from chassis.entity import Event
from chassis.ids import new_id
from chassis.store import Conflict, EntityNotFound
from services.quotes.domain.families import FamilyNameTaken, ProductFamily, ProductFamilyDeleted
from services.quotes.servicer.rows import found_by
from services.quotes.store import FamilyStore
from services.quotes.wire import families as wire


class ProductFamilyServicer:
    """The product families."""

    async def CreateProductFamily(
        self, request: pb.CreateProductFamilyRequest, call: Call
    ) -> pb.ProductFamily:
        fields = {"name": "", **fields_to_change(request.product_family, None, wire.FAMILY_FIELDS)}
        family = ProductFamily(id=uuid_of(request.product_family.id) or new_id(), **fields)
        store = FamilyStore(call)
        families = await store.all()
        _must_be_known(family.parent_id, families)
        await store.add(family, family.create(families))
        return wire.family_to_proto(family)

    async def GetProductFamily(self, request: pb.GetProductFamilyRequest, call: Call) -> pb.ProductFamily:
        return wire.family_to_proto(await FamilyStore(call).get(request.id, deleted=True))

    async def ListProductFamilies(
        self, request: pb.ListProductFamiliesRequest, call: Call
    ) -> pb.ListProductFamiliesResponse:
        page = await FamilyStore(call).page(request)
        return pb.ListProductFamiliesResponse(
            product_families=map(wire.family_to_proto, page.items), next_page_token=page.next_page_token
        )

    async def UpdateProductFamily(
        self, request: pb.UpdateProductFamilyRequest, call: Call
    ) -> pb.ProductFamily:
        store = FamilyStore(call)
        fields = fields_to_change(request.product_family, request.update_mask, wire.FAMILY_FIELDS)
        families = await store.all()
        family = await store.get(request.id, request.etag)
        _must_be_known(fields.get("parent_id"), families)
        await store.save(family, family.change(fields, families))
        return wire.family_to_proto(family)

    async def DeleteProductFamily(
        self, request: pb.DeleteProductFamilyRequest, call: Call
    ) -> pb.ProductFamily:
        store = FamilyStore(call)
        families = await store.all()
        family = await store.get(request.id, request.etag)
        family.must_be_empty(families.values())
        family.mark_deleted(call.now)
        await store.save(family, ProductFamilyDeleted())
        return wire.family_to_proto(family)

    async def BatchUpsertProductFamilies(
        self, request: pb.BatchUpsertProductFamiliesRequest, call: Call
    ) -> pb.BatchUpsertProductFamiliesResponse:
        store = FamilyStore(call)
        families = await store.all()
        names = {family.name: family.id for family in families.values()}
        numbered = batch.numbered(request.rows, "product_family")
        rows = await found_by(store, numbered, lambda row: row.content.product_family.name, names)

        def put(
            row: batch.Row, family: ProductFamily | None
        ) -> Iterator[tuple[ProductFamily, Event, datetime | None]]:
            fields = fields_to_change(row.content.product_family, None, wire.FAMILY_FIELDS)
            _must_be_known(fields.get("parent_id"), families)
            event: Event
            if family is None:
                family = ProductFamily(id=row.id or new_id(), **{"name": "", **fields})
                event = family.create(families)
            else:
                event = family.change(fields, families)
            if names.get(family.name, family.id) != family.id:
                raise FamilyNameTaken
            families[family.id] = copy(family)
            yield family, event, None

        try:
            results = await batch.upsert(store, call, rows, put, validate_only=request.validate_only)
        except FamilyNameTaken as refusal:  # somebody took it at this moment: look again
            raise Conflict from refusal
        return pb.BatchUpsertProductFamiliesResponse(results=results)

    async def ListProductFamilyVersions(
        self, request: pb.ListProductFamilyVersionsRequest, call: Call
    ) -> pb.ListProductFamilyVersionsResponse:
        versions, token = await FamilyStore(call).versions(UUID(request.id), request)
        return pb.ListProductFamilyVersionsResponse(
            versions=map(wire.family_version_to_proto, versions), next_page_token=token
        )


def _must_be_known(parent_id: UUID | None, families: dict[UUID, ProductFamily]) -> None:
    if parent_id is not None and parent_id not in families:
        raise EntityNotFound("product_family", parent_id, "product_family.parent_id")
