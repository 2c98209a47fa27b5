"""The floor: the least that a request could cost on these engines.

An empty hop (FastAPI → gRPC → back), plus one transaction: BEGIN with SET LOCAL in one simple query,
one prepared statement through asyncpg (a read: the select; a write: row, change and outbox), COMMIT.
Both run in processes of their own, so that what they cost can be told apart.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any
from uuid import UUID

import asyncpg
import grpc
import orjson
import uvicorn
import uvloop
from fastapi import FastAPI, Request, Response
from google.protobuf.empty_pb2 import Empty

_PATH = "/floor.Floor/Nothing"


def serve_grpc(address: str) -> None:
    """A gRPC server that answers nothing with nothing."""

    async def nothing(request: Empty, context: Any) -> Empty:
        return Empty()

    async def run() -> None:
        server = grpc.aio.server()
        handler = grpc.unary_unary_rpc_method_handler(nothing, Empty.FromString, Empty.SerializeToString)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("floor.Floor", {"Nothing": handler}),)
        )
        server.add_insecure_port(address)
        await server.start()
        await server.wait_for_termination()

    uvloop.run(run())


def serve_http(address: str, port: int) -> None:
    """A FastAPI application with one route, which asks the gRPC server."""
    app = FastAPI()

    @app.api_route("/nothing", methods=["GET", "POST"])
    async def nothing(request: Request) -> Response:
        if not hasattr(app.state, "call"):
            channel = grpc.aio.insecure_channel(address)
            app.state.call = channel.unary_unary(_PATH, Empty.SerializeToString, Empty.FromString)
        body = await request.body()
        if body:
            orjson.loads(body)
        await app.state.call(Empty(), wait_for_ready=True)  # the other process may be the slower to start
        return Response(b"{}", media_type="application/json")

    uvicorn.run(app, host="127.0.0.1", port=port, loop="uvloop", http="httptools", log_level="error",
                access_log=False)  # fmt: skip


async def transact(
    url: str, tenant: UUID, statement: str, arguments: list[list[Any]], at_once: int = 4
) -> None:
    """One transaction for each of `arguments`."""
    pool = await asyncpg.create_pool(
        url, min_size=at_once, max_size=at_once, server_settings={"search_path": "app, public", "jit": "off"}
    )
    begin = f"BEGIN; SET LOCAL app.tenant = '{tenant}'"
    waiting = iter(arguments)

    async def work() -> None:
        async with pool.acquire() as connection:
            prepared = await connection.prepare(statement)
            for each in waiting:
                await connection.execute(begin)
                await prepared.fetch(*each)
                await connection.execute("COMMIT")

    await asyncio.gather(*(work() for _ in range(at_once)))
    await pool.close()


if __name__ == "__main__":
    if sys.argv[1] == "grpc":
        serve_grpc(sys.argv[2])
    else:
        serve_http(sys.argv[2], int(os.environ["PORT"]))
