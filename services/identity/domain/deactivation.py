"""How a user's open records go over to a successor or a queue, and back: step by step, so that it can
stop anywhere and go on. Closed records keep their owner."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any
from uuid import UUID

from chassis.entity import Entity, Event
from chassis.errors import FailedPrecondition


class SuccessorMissing(FailedPrecondition):
    """Open records would be left without anybody."""

    def __init__(self, count: int, entity: str) -> None:
        super().__init__(
            f"The user owns {count} open records of the kind {entity}: name a successor.",
            field="successor_id",
        )


class SuccessorIsSame(FailedPrecondition):
    """Somebody would succeed themselves."""

    def __init__(self) -> None:
        super().__init__("The user cannot be their own successor.", field="successor_id")


class DeactivationRunning(FailedPrecondition):
    """The user's records are on their way."""

    def __init__(self) -> None:
        super().__init__("The user's records are being moved: wait for the operation, or undo it.")


class NotUndoable(FailedPrecondition):
    """It was undone already."""

    def __init__(self) -> None:
        super().__init__("This deactivation was undone already.")


class State(Enum):
    """Where a deactivation stands."""

    RUNNING = "RUNNING"
    DONE = "DONE"
    UNDOING = "UNDOING"
    UNDONE = "UNDONE"


@dataclass(frozen=True, slots=True)
class Owned:
    """How many records of one kind a user owns in one service."""

    service: str
    entity: str
    open: int
    closed: int
    accepts_queue: bool


@dataclass(frozen=True, slots=True)
class Part:
    """How far one kind of record has come. `step` numbers the steps that are recorded, so that a step
    whose answer was lost is asked for again under the same name. A part is `unsure` when it is to be
    undone while there may be such a step."""

    service: str
    entity: str
    to_queue: bool = False
    step: int = 0
    moved: int = 0
    moved_back: int = 0
    remaining: int = 0
    settled: bool = False
    unsure: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class DeactivationStarted(Event):
    """Records began to move."""


@dataclass(frozen=True, slots=True)
class DeactivationProgressed(Event):
    """Some more records moved, or could not."""


@dataclass(frozen=True, slots=True)
class DeactivationFinished(Event):
    """All have moved, or moved back."""


@dataclass(frozen=True, slots=True)
class DeactivationUndone(Event):
    """Records begin to move back."""


@dataclass(slots=True, kw_only=True)
class Deactivation(Entity):
    """A user's open records on their way to somebody else."""

    user_id: UUID
    successor_id: UUID | None = None
    queue_id: UUID | None = None
    state: State = State.RUNNING
    parts: tuple[Part, ...] = ()

    def start(
        self, owned: Iterable[Owned], away: Iterable[str] = ()
    ) -> DeactivationStarted | DeactivationFinished:
        """Plans what has to move; the services that are `away` are asked later what they keep.

        Raises:
            SuccessorIsSame: the successor is the user.
            SuccessorMissing: nobody would get some of the records.
        """
        if self.successor_id == self.user_id:
            raise SuccessorIsSame
        self.parts = (*self._planned(owned), *(Part(service, "") for service in away))
        if not self.parts:
            self.state = State.DONE
            return DeactivationFinished()
        return DeactivationStarted()

    def _planned(self, owned: Iterable[Owned]) -> list[Part]:
        parts = []
        for each in owned:
            to_queue = each.accepts_queue and self.queue_id is not None
            if each.open and not to_queue and self.successor_id is None:
                raise SuccessorMissing(each.open, each.entity)
            if to_queue or self.successor_id is not None:
                parts.append(Part(each.service, each.entity, to_queue, remaining=each.open))
        return parts

    def counted(self, part: Part, owned: Iterable[Owned]) -> Event:
        """A service that was away says what it keeps."""
        self.parts = (*(each for each in self.parts if each != part), *self._planned(owned))
        return self._progress()

    @property
    def is_running(self) -> bool:
        """Whether records are on their way, there or back."""
        return self.state in (State.RUNNING, State.UNDOING)

    def next_part(self) -> Part | None:
        """What the next step is about; parts that failed come last."""
        waiting = [part for part in self.parts if not part.settled]
        return min(waiting, key=lambda part: bool(part.error)) if waiting else None

    def moved(self, part: Part, count: int, remaining: int) -> Event:
        """A step moved records, and so many are left."""
        self._replace(
            part,
            step=part.step + 1,
            moved=part.moved + count,
            remaining=remaining,
            settled=not remaining,
            error="",
        )
        return self._progress()

    def undo(self) -> DeactivationUndone:
        """Records begin to move back.

        Raises:
            NotUndoable: they did so before.
        """
        if self.state in (State.UNDOING, State.UNDONE):
            raise NotUndoable
        running, self.state = self.state is State.RUNNING, State.UNDOING
        self.parts = tuple(
            replace(part, settled=False, unsure=running and not part.settled, error="")
            for part in self.parts
            if part.entity
        )
        if not self.parts:
            self.state = State.UNDONE
        return DeactivationUndone()

    def found(self, part: Part, count: int) -> Event:
        """What the step did whose answer was lost is known now: it moved so many records."""
        self._replace(part, step=part.step + bool(count), moved=part.moved + count, unsure=False, error="")
        return DeactivationProgressed()

    def moved_back(self, part: Part, count: int, remaining: int) -> Event:
        """A step moved records back, and so many are left."""
        self._replace(
            part,
            step=part.step + 1,
            moved_back=part.moved_back + count,
            remaining=remaining,
            settled=not remaining,
            error="",
        )
        return self._progress()

    def failed(self, part: Part, error: str) -> Event:
        """A step failed; it will be tried again."""
        self._replace(part, error=error)
        return DeactivationProgressed()

    def _replace(self, part: Part, **changes: Any) -> None:
        key = part.service, part.entity
        self.parts = tuple(
            replace(each, **changes) if (each.service, each.entity) == key else each for each in self.parts
        )

    def _progress(self) -> Event:
        if not all(part.settled for part in self.parts):
            return DeactivationProgressed()
        self.state = State.DONE if self.state is State.RUNNING else State.UNDONE
        return DeactivationFinished()
