"""Where the real data lies that is not part of the project, and what to do where it is not there."""

import os
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("SFA_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def shared_data(name: str) -> Path:
    """A file or folder of the shared data. Without it the test is skipped, but fails where `CI` is set."""
    path = ROOT / name
    if not path.exists():
        reason = f"{path} is not there (SFA_SHARED_DATA says where the shared data lies)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path
