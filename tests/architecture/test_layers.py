"""The layers within a service: what each of its files may import of the others, as the table in
docs/architecture.md says, and that every service has the same files."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.settings import ROOT
from deploy.topology import SERVICES

LAYERS = {
    "domain": set[str](),
    "wire": {"domain"},
    "tables": {"domain", "wire"},
    "store": {"domain", "wire", "tables"},
    "servicer": {"domain", "wire", "tables", "store"},
    "subscribers": {"domain", "wire", "tables", "store"},
}
DOMAIN_MAY_IMPORT = {
    "chassis.channels",
    "chassis.entity",
    "chassis.errors",
    "chassis.fiscal",
    "chassis.ids",
    "chassis.money",
}
FILES = {"README.md", "__init__.py", "service.py", "servicer", "subscribers", "wire", "store", "tables", "domain",
         "migrations"}  # fmt: skip


def modules(service: str, layer: str) -> list[Path]:
    folder = ROOT / "services" / service
    return [*folder.glob(f"{layer}.py"), *sorted((folder / layer).rglob("*.py"))]


def imports(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{name.name}" for name in node.names)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_imports_only_those_below(service: str, layer: str) -> None:
    found = modules(service, layer)
    ours = f"services.{service}."
    reached = {
        (module.name, name.removeprefix(ours).split(".")[0])
        for module in found
        for name in imports(module)
        if name.startswith(ours)
    }
    above = set(LAYERS) - LAYERS[layer] - {layer}
    assert not {(module, name) for module, name in reached if name in above}


@pytest.mark.parametrize("service", SERVICES)
def test_the_domain_is_plain_python(service: str) -> None:
    found = modules(service, "domain")
    assert found
    for module in found:
        for name in imports(module):
            ours = (f"services.{service}.domain", f"services.{service}.pricing")  # pricing is as plain
            plain = name.split(".")[0] in sys.stdlib_module_names or name.startswith(ours)
            assert plain or name.rpartition(".")[0] in DOMAIN_MAY_IMPORT, f"{module} imports {name}"


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_the_same_files(service: str) -> None:
    folder = ROOT / "services" / service
    there = {path.name for path in folder.iterdir()} | {path.stem for path in folder.glob("*.py")}
    assert not FILES - there
