"""What the nodes of a forecast's trees stand for."""

from enum import IntEnum
from typing import Final

from chassis.errors import NotFound

ALL: Final = "all"
"""The root: everything that the caller sees."""


class NodeNotFound(NotFound):
    """The forecast that the caller sees has no such node."""

    def __init__(self, node: str) -> None:
        super().__init__(
            f"There is no node {node} in the forecast that you can see.",
            field="node_id",
        )


class NodeKind(IntEnum):
    """What a node stands for; the numbers are those of the proto's enum."""

    ALL = 1
    USER = 2
    TERRITORY = 3
    PRODUCT = 4
    NONE = 5
    PRODUCT_FAMILY = 6
    PIPELINE = 7
    SEGMENT = 8
