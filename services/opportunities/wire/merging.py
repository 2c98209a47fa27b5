"""What is split off a deal, between the protos and the domain."""

from decimal import Decimal
from uuid import UUID

from sfa.opportunities.v1 import merging_pb2 as pb

from chassis import convert
from services.opportunities.domain import Part, PartLine


def parts_of(request: pb.SplitOpportunityRequest) -> list[Part]:
    """The parts that a request asks for.

    Raises:
        BadValue: an amount or a date is none.
    """
    return [
        Part(
            part.name,
            convert.uuid_of(part.id),
            convert.money_of(part.amount, f"parts[{index}].amount") if part.HasField("amount") else None,
            tuple(PartLine(UUID(line.product_id), Decimal(line.quantity)) for line in part.line_items),
            convert.uuid_of(part.owner_id),
            convert.date_of(part.close_date, f"parts[{index}].close_date")
            if part.HasField("close_date")
            else None,
        )
        for index, part in enumerate(request.parts)
    ]
