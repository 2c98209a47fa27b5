"""What can keep the system from running, each as one clear sentence for whoever started it.

The command line prints the sentence and leaves with status 1; nobody needs a traceback to learn
that a port is taken.
"""

from pathlib import Path


class Trouble(Exception):
    """Something outside the program has to be put right before it can go on."""


class PortInUse(Trouble):
    def __init__(self, what: str, host: str, port: int, setting: str) -> None:
        super().__init__(
            f"Port {port} on {host} is in use, and {what} needs it: stop its user, or set {setting}."
        )


class DataFolderInUse(Trouble):
    def __init__(self, folder: Path, owner: str) -> None:
        super().__init__(
            f"{folder} is in use by process {owner}: stop that one, or set SFA_DATA to another folder."
        )


class DatabaseOfOtherVersion(Trouble):
    def __init__(self, folder: Path, found: str, needed: str) -> None:
        super().__init__(
            f"The database in {folder} was made by PostgreSQL {found} and this is PostgreSQL {needed}: "
            "upgrade it with pg_upgrade, or set SFA_DATA to another folder."
        )


class DiskFull(Trouble):
    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"The disk that holds {folder} is full: make room, or set SFA_DATA to a folder elsewhere."
        )


class FolderNotWritable(Trouble):
    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(f"{folder} cannot be written ({reason}): set SFA_DATA to a folder that can.")


class SecretsMissing(Trouble):
    def __init__(self, file: Path) -> None:
        super().__init__(f"{file} is missing, but the databases beside it were made with it: put it back.")


class EngineFailed(Trouble):
    def __init__(self, what: str, said: str, log: Path) -> None:
        super().__init__(f"{what} did not start: {said or 'it said nothing'} (see {log}).")


class EngineUnreachable(Trouble):
    def __init__(self, what: str, address: str, reason: str) -> None:
        super().__init__(f"{what} cannot be reached at {address}: {reason}")


class MigrationFailed(Trouble):
    def __init__(self, service: str, reason: str) -> None:
        super().__init__(f"The database of {service} could not be migrated: {reason}")


class PartEnded(Trouble):
    def __init__(self, name: str, log: Path) -> None:
        super().__init__(f"{name} ended while the system was starting (see {log}).")


class NotRunning(Trouble):
    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"Nothing is running on {folder}: start it with sfa up, or set SFA_DATA to where it runs."
        )
