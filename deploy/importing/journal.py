"""What became of each row, kept on disk as it happens: an import that was cut off goes on where it stood.

The journal is a file of JSON lines beside the results: first what is imported, then one line for each part of it that
the server has answered. A line that was being written when the power went is passed over.
"""

from __future__ import annotations

import csv
import fcntl
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import orjson

from deploy.importing.troubles import ImportTrouble

OUTCOMES = ("created", "updated", "unchanged", "rejected")


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one row."""

    file: str
    line: int
    entity: str
    key: str
    outcome: str
    id: str = ""
    reason: str = ""
    error: str = ""
    field: str = ""


class Journal:
    """The state of one import, in a folder of its own.

    `subject` says what is imported, where to, and by which mapping: a journal of something else, or of
    an import that was finished, is begun anew.
    """

    def __init__(
        self, folder: Path, subject: dict[str, Any], *, name: str = "results", resume: bool = True
    ) -> None:
        self.folder = folder
        self.name = name
        self.run = uuid4().hex
        self.parts: dict[tuple[str, int], list[Result]] = {}
        self._file = self._locked(folder / f"{name}.jsonl")
        earlier = self._earlier(subject) if resume else None
        self.resumed = earlier is not None
        if earlier is None:
            self._file.truncate(0)
            self._write({"run": self.run, "subject": subject})
        else:
            self.run, self.parts = earlier

    def add(self, entity: str, part: int, results: list[Result]) -> None:
        """Notes what became of a part of an entity's rows."""
        self.parts[entity, part] = results
        offsets = {"first": results[0].line, "last": results[-1].line} if results else {}
        rows = [list(asdict(result).values()) for result in results]
        self._write({"entity": entity, "part": part, **offsets, "results": rows})

    def finish(self) -> None:
        """Nothing is left to go on with."""
        self._write({"finished": True})

    def close(self) -> None:
        """Lets the folder go."""
        self._file.close()

    def write_results(self, order: Iterable[str]) -> Path:
        """One line for each row, entity by entity in the order given, rows as they stand in the files."""
        path = self.folder / f"{self.name}.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(Result.__slots__)
            for entity in order:
                for part in sorted(part for name, part in self.parts if name == entity):
                    writer.writerows(asdict(result).values() for result in self.parts[entity, part])
        return path

    def _locked(self, path: Path) -> IO[bytes]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = path.open("a+b")
        except OSError as error:
            raise ImportTrouble(
                f"{self.folder}: the import cannot keep its state here ({error.strerror})."
            ) from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise ImportTrouble(f"{self.folder}: another import is running with this state.") from None
        return file

    def _earlier(self, subject: dict[str, Any]) -> tuple[str, dict[tuple[str, int], list[Result]]] | None:
        self._file.seek(0)
        lines = []
        for line in self._file.read().split(b"\n"):
            try:
                lines.append(orjson.loads(line))
            except orjson.JSONDecodeError:
                break
        if not lines or lines[0].get("subject") != subject or lines[-1].get("finished"):
            return None
        whole = sum(len(orjson.dumps(line)) + 1 for line in lines)
        self._file.truncate(whole)  # without a line that was cut off
        parts = {
            (line["entity"], line["part"]): [Result(*values) for values in line["results"]]
            for line in lines[1:]
        }
        return lines[0]["run"], parts

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(orjson.dumps(line) + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
