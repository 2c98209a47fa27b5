"""Why a figure changed: the steps in the order in which they are taken, and the bars that they fill."""

from enum import IntEnum
from typing import Final


class Reason(IntEnum):
    """What a bar stands for; the numbers are those of the proto's enum, and the order of the answer."""

    CURRENCY = 1
    REASSIGNED_IN = 2
    REASSIGNED_OUT = 3
    PULLED_IN = 4
    PUSHED_OUT = 5
    WON = 6
    LOST = 7
    REOPENED = 8
    CATEGORY_IN = 9
    CATEGORY_OUT = 10
    SPLIT = 11
    MERGED = 12
    DELETED = 13
    RESTORED = 14
    AMOUNT_UP = 15
    AMOUNT_DOWN = 16
    NEW = 17


class Step(IntEnum):
    """One thing about a deal that is taken from its opening to its closing, after those before it."""

    CURRENCY = 0
    REASSIGNED = 1
    PERIOD = 2
    WON = 3
    LOST = 4
    REOPENED = 5
    CATEGORY = 6
    SPLIT = 7
    MERGED = 8
    DELETED = 9
    AMOUNT = 10
    NEW = 11


BARS: Final[dict[Step, tuple[Reason, Reason]]] = {
    Step.CURRENCY: (Reason.CURRENCY, Reason.CURRENCY),
    Step.REASSIGNED: (Reason.REASSIGNED_IN, Reason.REASSIGNED_OUT),
    Step.PERIOD: (Reason.PULLED_IN, Reason.PUSHED_OUT),
    Step.WON: (Reason.WON, Reason.WON),
    Step.LOST: (Reason.LOST, Reason.LOST),
    Step.REOPENED: (Reason.REOPENED, Reason.REOPENED),
    Step.CATEGORY: (Reason.CATEGORY_IN, Reason.CATEGORY_OUT),
    Step.SPLIT: (Reason.SPLIT, Reason.SPLIT),
    Step.MERGED: (Reason.MERGED, Reason.MERGED),
    Step.DELETED: (Reason.RESTORED, Reason.DELETED),
    Step.AMOUNT: (Reason.AMOUNT_UP, Reason.AMOUNT_DOWN),
    Step.NEW: (Reason.NEW, Reason.NEW),
}
"""The bar of each step: where the deal comes in or is worth more, and where it goes out or is worth less."""
