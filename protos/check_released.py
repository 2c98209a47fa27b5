"""Compares the protos with those of the last release: what others have built upon is never broken.

Run by `make contract`; before the first release tag (`v1.2.3`) there is nothing to break.
"""

import io
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from build_hook import ROOT, folder_of, validation_rules


def last_release() -> str | None:
    """The newest release tag that the present commit has in its past."""
    command = ["git", "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return found.stdout.strip() or None


def describe(release: str, folder: Path) -> Path:
    """The descriptor set of a release's protos."""
    archive = subprocess.run(["git", "archive", release, "protos"], cwd=ROOT, capture_output=True, check=True)  # noqa: S607  # git is where the path says
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    rules, result = folder / "validate.binpb", folder / "released.binpb"
    rules.write_bytes(validation_rules())
    protos = folder / "protos"
    command = [
        sys.executable, "-m", "grpc_tools.protoc", f"--descriptor_set_in={rules}", f"-I{protos}",
        f"-I{folder_of('google.api').parent.parent}", "--include_imports", f"--descriptor_set_out={result}",
        *sorted(str(path.relative_to(protos)) for path in protos.rglob("*.proto")),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    return result


def main() -> int:
    """The status of `buf breaking`."""
    release = last_release()
    if release is None:
        return 0
    with tempfile.TemporaryDirectory() as folder:
        against = describe(release, Path(folder))
        buf = Path(sys.executable).parent / "buf"
        command = [buf, "breaking", ROOT / "gen" / "descriptors.binpb", "--against", against]
        return subprocess.run([str(part) for part in command], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
