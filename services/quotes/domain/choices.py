"""What the customer may leave out or choose between: optional lines, and groups of alternatives of which
exactly one is chosen. What is not chosen counts in no sum."""

from collections import Counter
from collections.abc import Iterable

from chassis.errors import FailedPrecondition, InvalidArgument
from services.quotes.domain.lines import QuoteLine


class AlternativeChosenTwice(InvalidArgument):
    """Of alternatives one is chosen, not two."""

    def __init__(self, group: str, index: int) -> None:
        super().__init__(
            f"Choose one line of the alternatives {group!r}.", field=f"quote.lines[{index}].is_chosen"
        )


class AlternativeOpen(FailedPrecondition):
    """Nothing is sent before one line of every group of alternatives is chosen."""

    def __init__(self, group: str) -> None:
        super().__init__(f"Choose one line of the alternatives {group!r} first.", field="lines")


def must_be_chosen_once(lines: Iterable[QuoteLine]) -> None:
    """Raises AlternativeChosenTwice where a group has more than one line chosen."""
    chosen: set[str] = set()
    for index, line in enumerate(lines):
        if line.alternative_group and line.is_chosen:
            if line.alternative_group in chosen:
                raise AlternativeChosenTwice(line.alternative_group, index)
            chosen.add(line.alternative_group)


def must_be_chosen(lines: Iterable[QuoteLine]) -> None:
    """Raises AlternativeOpen where a group has no line chosen."""
    chosen: Counter[str] = Counter()
    for line in lines:
        if line.alternative_group:
            chosen[line.alternative_group] += line.is_chosen
    for group, count in chosen.items():
        if not count:
            raise AlternativeOpen(group)
