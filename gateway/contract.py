"""The contract as the gateway reads it: the generated modules, and what is said in their comments.

Runtime descriptors have no comments; the descriptor set that is generated beside the modules has.
"""

from __future__ import annotations

import importlib
import importlib.resources
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto, FileDescriptorSet

ROOT_PACKAGE = "sfa"

# Field numbers of descriptor.proto, of which the paths of comments are made.
_FILE_MESSAGES, _FILE_ENUMS, _FILE_SERVICES = 4, 5, 6
_MESSAGE_FIELDS, _MESSAGE_NESTED, _MESSAGE_ENUMS = 2, 3, 4
_ENUM_VALUES = _SERVICE_METHODS = 2


@dataclass(frozen=True, slots=True)
class Contract:
    """Every service that is served, and the comments by the full name of what they are about."""

    services: Sequence[ServiceDescriptor]
    comments: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_files(cls, files: Sequence[FileDescriptor], comments: Mapping[str, str] | None = None) -> Contract:
        """The services that these files declare."""
        services = [service for file in files for service in file.services_by_name.values()]
        return cls(sorted(services, key=lambda service: str(service.full_name)), comments or {})


def load() -> Contract:
    """The contract of this installation: all generated modules of our own package."""
    descriptors = FileDescriptorSet.FromString(_descriptor_set().read_bytes())
    ours = [file for file in descriptors.file if file.package.split(".")[0] == ROOT_PACKAGE]
    files = []
    for file in ours:
        module = importlib.import_module(file.name.removesuffix(".proto").replace("/", ".") + "_pb2")
        files.append(module.DESCRIPTOR)
    return Contract.of_files(files, comments_of(descriptors))


def comments_of(descriptors: FileDescriptorSet) -> dict[str, str]:
    """Leading comments (trailing where there is no leading one), by full name."""
    comments = {}
    for file in descriptors.file:
        names = dict(_names(file))
        for location in file.source_code_info.location:
            text = location.leading_comments or location.trailing_comments
            if text and (name := names.get(tuple(location.path))):
                comments[name] = "\n".join(line.strip() for line in text.strip().splitlines())
    return comments


def _descriptor_set() -> Path:
    """Beside the generated packages in a checkout; within the chassis in a wheel."""
    from sfa.api.v1 import annotations_pb2

    beside = Path(annotations_pb2.__file__).parents[3] / "descriptors.binpb"
    return (
        beside if beside.exists() else Path(str(importlib.resources.files("chassis") / "descriptors.binpb"))
    )


def _names(file: FileDescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
    for i, message in enumerate(file.message_type):
        yield from _message_names(message, (_FILE_MESSAGES, i), file.package)
    for i, enum in enumerate(file.enum_type):
        yield (_FILE_ENUMS, i), f"{file.package}.{enum.name}"
        for j, value in enumerate(enum.value):
            yield (_FILE_ENUMS, i, _ENUM_VALUES, j), f"{file.package}.{enum.name}.{value.name}"
    for i, service in enumerate(file.service):
        yield (_FILE_SERVICES, i), f"{file.package}.{service.name}"
        for j, method in enumerate(service.method):
            yield (_FILE_SERVICES, i, _SERVICE_METHODS, j), f"{file.package}.{service.name}.{method.name}"


def _message_names(
    message: DescriptorProto, path: tuple[int, ...], scope: str
) -> Iterator[tuple[tuple[int, ...], str]]:
    full_name = f"{scope}.{message.name}"
    yield path, full_name
    for i, entry in enumerate(message.field):
        yield (*path, _MESSAGE_FIELDS, i), f"{full_name}.{entry.name}"
    for i, nested in enumerate(message.nested_type):
        yield from _message_names(nested, (*path, _MESSAGE_NESTED, i), full_name)
    for i, enum in enumerate(message.enum_type):
        yield (*path, _MESSAGE_ENUMS, i), f"{full_name}.{enum.name}"
        for j, value in enumerate(enum.value):
            yield (*path, _MESSAGE_ENUMS, i, _ENUM_VALUES, j), f"{full_name}.{enum.name}.{value.name}"
