"""From rows of a file to rows of the bulk API: one plan for each entity of the mapping."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import orjson

from deploy.importing.files import Table
from deploy.importing.mapping import Column, Entity, Mapping, Source, Spec
from deploy.importing.troubles import FileRefused, ImportTrouble, MappingInvalid, RowRefused
from deploy.importing.values import MISSING, Cells, Compiler, Getter, Records

Clean = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A row as the plan reads it: where it stands, and its cells put right."""

    file: str
    line: int
    cells: Cells
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """A row that is ready to be sent."""

    file: str
    line: int
    key: str
    content: dict[str, Any]


@dataclass(slots=True)
class Past:
    """A compiled earlier state."""

    applies: Callable[[Cells], bool]
    effective: Getter
    fields: Getter


class Plan:
    """How the rows of one source become the records of one collection."""

    def __init__(self, name: str, mapping: Mapping, tables: list[Table]) -> None:
        self.name = name
        self.tables = tables
        self.entity: Entity = mapping.entities[name]
        self.source: Source = mapping.sources[self.entity.source]
        self.system = mapping.system_of(name)
        self.compiler = Compiler(mapping)
        self._mapping = mapping
        self._key = self.compiler.value(self.entity.key, "key")
        self._applies = self.compiler.condition(self.entity.when, self.entity.unless)
        self._fields = self.compiler.message(self.entity.fields, self.entity.resource_field)
        self._row = self.compiler.message(self.entity.row, "row")
        self._effective = self._optional(self.entity.effective, "effective")
        self._history = [
            Past(
                self.compiler.condition(past.when),
                self.compiler.value(past.effective, f"history[{index}].effective"),
                self.compiler.message(past.fields, f"history[{index}].{self.entity.resource_field}"),
            )
            for index, past in enumerate(self.entity.history)
        ]
        self.references = self.compiler.references
        self.needs = {reference.entity for reference in self.references} - {name}
        self._cleaners = {
            column: self._cleaner(self.source.columns.get(column)) for column in self.compiler.columns
        }
        for table in tables:
            absent = sorted({*self.compiler.columns, *self.source.columns} - set(table.header))
            if absent:
                known = ", ".join(table.header)
                raise FileRefused(table.path, f"has no column {', '.join(map(repr, absent))}, but {known}.")

    @property
    def refers_to_itself(self) -> bool:
        """Whether its records name others of the same entity, which have to be there first."""
        return any(reference.entity == self.name for reference in self.references)

    @property
    def estimate(self) -> int:
        """About how many rows there are."""
        return sum(table.lines - 1 for table in self.tables)

    def rows(self) -> Iterator[SourceRow]:
        """The rows that are meant, in the order of the files."""
        cleaners = list(self._cleaners.items())
        for table in self.tables:
            for line in table.rows():
                if line.trouble:
                    yield SourceRow(table.path.name, line.number, {}, line.trouble)
                    continue
                cells = {column: clean(line.cells[column]) for column, clean in cleaners}
                if self._applies(cells):
                    yield SourceRow(table.path.name, line.number, cells)

    def groups(self) -> Iterator[Iterable[SourceRow]]:
        """The rows in groups, of which each needs only records of those before it."""
        if not self.refers_to_itself:
            yield self.rows()
            return
        own = [reference.key for reference in self.references if reference.entity == self.name]
        waiting = dict(enumerate(self.rows()))
        keys = {index: "" if row.trouble else self.key(row) for index, row in waiting.items()}
        wanted = {
            index: {key for get in own if not row.trouble and (key := get(row.cells, _NOBODY)) is not MISSING}
            for index, row in waiting.items()
        }
        while waiting:
            still = {keys[index] for index in waiting}
            ready = [index for index in waiting if not (wanted[index] - {keys[index]}) & still]
            # What is left in a circle goes last, and each of its rows says what it misses.
            group = [waiting.pop(index) for index in ready or list(waiting)]
            yield group

    def key(self, row: SourceRow) -> str:
        """The external id of the row's record; empty where the row gives none."""
        found = self._key(row.cells, _NOBODY)
        return "" if found is MISSING else str(found)

    def record(self, row: SourceRow, records: Records) -> Record:
        """The row as the bulk API takes it; RowRefused says why it cannot be."""
        if row.trouble:
            raise RowRefused(row.trouble, reason="ROW_MALFORMED")
        key = self.key(row)
        if not key:
            raise RowRefused("The row has no key.", reason="KEY_MISSING", field="key")
        resource = self._fields(row.cells, records) or {}
        content = {
            self.entity.resource_field: {**resource, "externalIds": [{"system": self.system, "id": key}]},
            **(self._row(row.cells, records) or {}),
        }
        if (effective := self._effective(row.cells, records)) is not MISSING:
            content["effectiveTime"] = effective
        if history := [past for each in self._history if (past := self._past(each, row.cells, records))]:
            content["history"] = history
        return Record(row.file, row.line, key, content)

    def _past(self, past: Past, cells: Cells, records: Records) -> dict[str, Any] | None:
        if not past.applies(cells):
            return None
        effective = past.effective(cells, records)
        if effective is MISSING:
            return None
        return {self.entity.resource_field: past.fields(cells, records) or {}, "effectiveTime": effective}

    def _optional(self, spec: Spec, path: str) -> Getter:
        return self.compiler.value(spec, path)

    def _cleaner(self, column: Column | None) -> Clean:
        mapping, own = self._mapping, column or Column()
        trim = mapping.trim if own.trim is None else own.trim
        missing, translate = {*mapping.missing, *own.missing}, own.translate

        def clean(cell: str) -> str:
            cell = cell.strip() if trim else cell
            cell = translate.get(cell, cell)
            return "" if cell in missing else cell

        return clean


class _Nobody:
    """Keys are made of a row's own columns alone."""

    def find(self, entity: str, key: str, field: str | None, currency: str | None) -> Any:
        raise MappingInvalid(f"A key cannot look up {entity}.")

    def stage(self, name: str, pipeline: str | None) -> str:
        raise MappingInvalid("A key cannot name a stage.")


_NOBODY = _Nobody()


@dataclass(slots=True)
class Folding:
    """Rows that say the same of the same record are one; rows that say different things are refused."""

    _seen: dict[str, tuple[int, str, int]] = field(default_factory=dict)

    def is_new(self, record: Record) -> bool:
        """Whether the record has to be sent.

        Raises:
            RowRefused: an earlier row says something else of the same record.
        """
        digest = hash(orjson.dumps(record.content))
        first = self._seen.setdefault(record.key, (digest, record.file, record.line))
        if first == (digest, record.file, record.line):
            return True
        if first[0] != digest:
            raise RowRefused(
                f"Line {first[2]} of {first[1]} says something else of {record.key!r}.",
                reason="ROWS_CONTRADICT",
                field="key",
            )
        return False


def plans(mapping: Mapping, target: Path) -> tuple[list[Plan], list[str]]:
    """The plans in an order in which each needs only those before it, and the sources without a file."""
    tables, absent = {}, []
    for name, source in mapping.sources.items():
        paths = matching(target, source.files)
        tables[name] = [
            Table.open(path, encoding=source.encoding, separator=source.separator) for path in paths
        ]
        if not paths:
            absent.append(name)
    if len(absent) == len(tables):
        patterns = ", ".join(pattern for source in mapping.sources.values() for pattern in source.files)
        raise ImportTrouble(f"{target}: there is no file here that the mapping knows ({patterns}).")
    made = {name: Plan(name, mapping, tables[entity.source]) for name, entity in mapping.entities.items()}
    try:
        order = list(TopologicalSorter({name: plan.needs for name, plan in made.items()}).static_order())
    except CycleError as error:
        raise MappingInvalid(
            f"The entities {', '.join(error.args[1])} need each other: none can be first."
        ) from None
    return [made[name] for name in order if made[name].tables], absent


def matching(target: Path, patterns: list[str]) -> list[Path]:
    """The files of a folder, or the file itself, that match a pattern in any case."""
    if not target.exists():
        raise ImportTrouble(f"{target}: there is no such file or folder.")
    paths = [target] if target.is_file() else sorted(path for path in target.rglob("*") if path.is_file())
    root = target.parent if target.is_file() else target
    return [path for path in paths if any(_matches(path.relative_to(root), pattern) for pattern in patterns)]


def _matches(path: Path, pattern: str) -> bool:
    # `*` stops at a folder, so that `*.csv` means the files of the folder itself.
    names, wanted = path.as_posix().casefold().split("/"), pattern.casefold().split("/")
    return len(names) == len(wanted) and all(map(fnmatch.fnmatchcase, names, wanted))
