"""The lock holds everything that pyproject.toml asks for, by hash, and no address of a package index."""

import re
import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from deploy.settings import ROOT

PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)


def locked(name: str) -> dict[str, Version]:
    text = (ROOT / name).read_text()
    return {canonicalize_name(package): Version(version) for package, version in PINNED.findall(text)}


def wanted() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = (
        project["project"]["dependencies"],
        project["build-system"]["requires"],
        *project["project"]["optional-dependencies"].values(),
    )
    return [Requirement(text) for group in groups for text in group]


def test_what_is_asked_for_is_locked() -> None:
    pins = locked("requirements.lock")
    missing = [
        str(each)
        for each in wanted()
        if (pin := pins.get(canonicalize_name(each.name))) is None or pin not in each.specifier
    ]
    assert not missing, "run make lock"


def test_everything_is_locked_by_hash_and_from_no_address() -> None:
    for name in ("requirements.lock", "requirements-uv.lock"):
        text = (ROOT / name).read_text()
        assert text.count("--hash=sha256:") >= len(locked(name))
        assert "://" not in text
        assert not re.search(r"^-", text, re.MULTILINE)
