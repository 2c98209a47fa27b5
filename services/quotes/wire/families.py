"""Product families, to and from the protos."""

from collections.abc import Callable, Mapping
from typing import Any

from sfa.quotes.v1 import families_pb2 as pb

from chassis import convert
from chassis.history import Version
from services.quotes.domain.families import ProductFamily


def family_to_proto(family: ProductFamily) -> pb.ProductFamily:
    """The resource."""
    result = pb.ProductFamily()
    convert.set_head(result, family)
    result.name = family.name
    result.description = family.description
    result.tax_class = family.tax_class
    if family.parent_id is not None:
        result.parent_id = str(family.parent_id)
    return result


# How each field that a client may set is read; the names are those of the update mask.
FAMILY_FIELDS: Mapping[str, Callable[[pb.ProductFamily], Any]] = {
    "external_ids": lambda message: convert.external_ids_of(message.external_ids),
    "name": lambda message: message.name,
    "description": lambda message: message.description,
    "parent_id": lambda message: convert.uuid_of(message.parent_id),
    "tax_class": lambda message: message.tax_class,
}


def family_version_to_proto(version: Version) -> pb.ProductFamilyVersion:
    """One version."""
    assert isinstance(version.resource, pb.ProductFamily)
    return pb.ProductFamilyVersion(
        product_family=version.resource,
        event=version.event,
        changed_fields=version.changed_fields,
        actor=version.actor,
        via=version.via,
    )
