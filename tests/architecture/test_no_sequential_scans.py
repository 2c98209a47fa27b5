"""Costs grow with the answer, not with the database: every list and every search, in every order and for
every sort of sight, is planned as the service's own role, and none may read a whole table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_type_hints

import asyncpg
import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from chassis.contract import PUBLIC, Rpc, rpcs
from chassis.ids import new_id
from chassis.store import EntityType
from deploy.topology import SERVICES
from tests.callers import CallerChannel
from tests.stack import Stack
from tests.statements import Statement, noted


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[Statement]:
    """Everything that is asked of the database."""
    return noted(monkeypatch)


def lists(stack: Stack, service: str) -> Iterator[tuple[Rpc, list[str]]]:
    """The lists and searches of a service, each with the orders that it knows."""
    running = stack.services[service].service
    kinds = {get_type_hints(kind.to_proto)["return"].DESCRIPTOR.full_name: kind for kind in running.entities}
    for descriptor in running.servicers:
        for rpc in rpcs(descriptor):
            if (
                rpc.reads
                and rpc.permission != PUBLIC
                and rpc.descriptor.name.startswith(("List", "Search", "Find"))
            ):
                yield rpc, [*_orders(rpc, kinds)]


def _orders(rpc: Rpc, kinds: dict[str, EntityType[Any]]) -> Iterator[str]:
    yield ""
    if "order_by" not in rpc.descriptor.input_type.fields_by_name:
        return
    for field in rpc.descriptor.output_type.fields:
        kind = kinds.get(field.message_type.full_name) if field.message_type else None
        for name, each in kind.fields.items() if kind else ():
            if each.sortable:
                yield name
                yield f"{name} desc"


def request_of(rpc: Rpc, order: str) -> Message:
    """A request with something in every field that may be needed."""
    request: Message = rpc.request_class()
    for field in rpc.descriptor.input_type.fields:
        if field.type != FieldDescriptor.TYPE_STRING or field.is_repeated:
            continue
        if field.name == "id" or field.name.endswith("_id"):
            setattr(request, field.name, str(new_id()))
        elif field.name in ("query", "q"):
            setattr(request, field.name, "Ada Lovelace")
    if order:
        request.order_by = order  # type: ignore[attr-defined]
    return request


@pytest.mark.parametrize("service", SERVICES)
async def test_no_list_and_no_search_reads_a_whole_table(
    stack: Stack, service: str, statements: list[Statement]
) -> None:
    await stack.start(service)
    calls = 0
    for role in ("rep", "manager", "administrator"):
        channel: Any = stack.channel(service, role)
        assert isinstance(channel, CallerChannel)
        for rpc, orders in lists(stack, service):
            call = channel.unary_unary(
                rpc.path, rpc.request_class.SerializeToString, rpc.response_class.FromString
            )
            for order in orders:
                try:
                    await call(request_of(rpc, order))
                except grpc.aio.AioRpcError as error:
                    assert error.code() in (  # noqa: PT017  # what is refused was planned before
                        grpc.StatusCode.NOT_FOUND,
                        grpc.StatusCode.INVALID_ARGUMENT,
                        grpc.StatusCode.PERMISSION_DENIED,
                        grpc.StatusCode.FAILED_PRECONDITION,
                        grpc.StatusCode.UNAVAILABLE,  # nothing was heard of this tenant
                    ), (rpc.path, order, error.details())
                calls += 1
    assert calls
    found = [
        sql for sql, arguments in dict(statements).items() if await _scans(stack, service, sql, arguments)
    ]
    assert not found


async def _scans(stack: Stack, service: str, sql: str, arguments: list[Any]) -> bool:
    """Whether the statement reads a whole table even where that is made dear."""
    if not sql.lstrip().upper().startswith(("SELECT", "WITH")):
        return False
    connection = await asyncpg.connect(
        stack.databases[service].url, server_settings={"search_path": "app, public", "enable_seqscan": "off"}
    )
    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL app.tenant = '{stack.tenant}'")
            plan = await connection.fetch(f"EXPLAIN {sql}", *arguments)
    finally:
        await connection.close()
    return any("Seq Scan on" in row[0] and not _is_small(row[0]) for row in plan)


def _is_small(line: str) -> bool:
    """Tables with one row per source or less."""
    return any(f"Seq Scan on {table}" in line for table in ("incarnation",))
