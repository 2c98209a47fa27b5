"""What can keep an import, or one row of it, from going in: each says so in one sentence."""

from pathlib import Path


class ImportTrouble(Exception):
    """The import cannot start or go on; the sentence is for the person at the terminal."""


class FileRefused(ImportTrouble):
    """A file cannot be read as a table."""

    def __init__(self, path: Path, sentence: str, line: int | None = None) -> None:
        where = f"{path}, line {line}" if line else str(path)
        super().__init__(f"{where}: {sentence}")


class MappingInvalid(ImportTrouble):
    """The mapping file says something that cannot be understood; there may be several such places."""


class ServerRefused(ImportTrouble):
    """The server does not take what the mapping makes, or cannot be reached."""


class RowRefused(Exception):
    """One row cannot become a record; the others can."""

    def __init__(self, sentence: str, *, reason: str, field: str = "") -> None:
        super().__init__(sentence)
        self.reason = reason
        self.field = field
