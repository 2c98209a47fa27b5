"""Finds out from outside whether a part of the system serves."""

from __future__ import annotations

import asyncio
from typing import Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

_POLL: Final = 0.02


async def is_serving(address: str, *, seconds: float = 2.0) -> bool:
    """Whether a service says that it serves."""
    async with grpc.aio.insecure_channel(address) as channel:
        try:
            answer = await health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=seconds
            )
        except grpc.aio.AioRpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def until_serving(address: str) -> None:
    """Waits until it does."""
    while not await is_serving(address):
        await asyncio.sleep(_POLL)


async def is_listening(host: str, port: int) -> bool:
    """Whether somebody accepts connections."""
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    return True


async def until_listening(host: str, port: int) -> None:
    """Waits until somebody does."""
    while not await is_listening(host, port):
        await asyncio.sleep(_POLL)
