"""What the protos declare of an RPC, read from the descriptors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.descriptor_pool import Default
from google.protobuf.message_factory import GetMessageClass
from sfa.api.v1 import annotations_pb2

PUBLIC = "public"


class UndeclaredPermission(Exception):
    """An RPC states no permission: its service does not start."""


@dataclass(frozen=True)
class Rpc:
    """One RPC as it is declared."""

    descriptor: MethodDescriptor
    path: str
    """As gRPC names it: `/package.Service/Method`."""
    permission: str
    reads: bool
    """Whether it leaves everything as it is."""
    request_class: Any
    response_class: Any
    takes_request_id: bool

    @property
    def name(self) -> str:
        """The proto full name."""
        return str(self.descriptor.full_name)


def rpcs(service: ServiceDescriptor) -> list[Rpc]:
    """The RPCs of a service.

    Raises:
        UndeclaredPermission: one of them states none.
    """
    return [_rpc(method) for method in service.methods]


@lru_cache(maxsize=2000)
def rpc_of(path: str) -> Rpc:
    """The RPC of a gRPC path."""
    service, _, method = path.removeprefix("/").partition("/")
    return _rpc(Default().FindServiceByName(service).methods_by_name[method])


def _rpc(method: MethodDescriptor) -> Rpc:
    options = method.GetOptions()
    permission = options.Extensions[annotations_pb2.permission]
    if not permission:
        raise UndeclaredPermission(f"{method.full_name} declares no permission (sfa.api.v1.permission)")
    return Rpc(
        descriptor=method,
        path=f"/{method.containing_service.full_name}/{method.name}",
        permission=permission,
        reads=options.idempotency_level == MethodOptions.NO_SIDE_EFFECTS,
        request_class=GetMessageClass(method.input_type),
        response_class=GetMessageClass(method.output_type),
        takes_request_id="request_id" in method.input_type.fields_by_name,
    )
