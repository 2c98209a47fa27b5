"""Generates the Python stubs of the protos whenever the project is installed.

`gen/` is wholly derived: message and gRPC modules with types, and one descriptor set that keeps
the comments, which runtime descriptors lose and the OpenAPI document needs.
"""

import importlib.resources
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
GEN = ROOT / "gen"


def generate(gen: Path = GEN) -> None:
    """Writes `gen` anew; it is swapped in whole, so that a failure leaves the old one."""
    fresh = Path(tempfile.mkdtemp(prefix=".gen-", dir=ROOT))
    try:
        rules = fresh / "validate.binpb"
        rules.write_bytes(validation_rules())
        ours = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))
        bin_folder = Path(sys.executable).parent
        command = [
            sys.executable, "-m", "grpc_tools.protoc",
            f"--descriptor_set_in={rules}",
            f"-I{PROTOS}",
            f"-I{folder_of('google.api').parent.parent}",
            f"--plugin=protoc-gen-mypy={bin_folder / 'protoc-gen-mypy'}",
            f"--plugin=protoc-gen-mypy_grpc={bin_folder / 'protoc-gen-mypy_grpc'}",
            f"--python_out={fresh}",
            f"--grpc_python_out={fresh}",
            f"--mypy_out=quiet:{fresh}",
            f"--mypy_grpc_out=quiet:{fresh}",
            "--include_imports", "--include_source_info",
            f"--descriptor_set_out={fresh / 'descriptors.binpb'}",
            *ours, "buf/validate/validate.proto",
        ]  # fmt: skip
        subprocess.run(command, check=True)
        rules.unlink()
        for folder in fresh.rglob("v1"):
            (folder / "__init__.py").touch()
        fresh.chmod(0o755)  # mkdtemp lets nobody else in
        if gen.exists():
            shutil.rmtree(gen)
        fresh.rename(gen)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def folder_of(package: str) -> Path:
    """Where an installed package lies, such as google's common protos."""
    return Path(str(importlib.resources.files(package).joinpath(""))).resolve()


def validation_rules() -> bytes:
    """`buf/validate/validate.proto` as the installed protovalidate knows it, so that they agree, and
    `google/longrunning/operations.proto`."""
    from google.longrunning import operations_proto_pb2
    from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
    from protovalidate._gen.buf.validate import validate_pb  # the only place where the wheel has it

    file = FileDescriptorProto.FromString(validate_pb.desc().proto.to_binary())
    # The package of google's protos ships this one under another name than its modules know it by.
    operations = FileDescriptorProto()
    operations_proto_pb2.DESCRIPTOR.CopyToProto(operations)
    return FileDescriptorSet(file=[file, operations]).SerializeToString()


class GenerateStubs(BuildHookInterface):  # type: ignore[misc]  # hatchling has no types
    """Hatchling calls it before it builds a wheel, an editable one too."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        generate()
        if version != "editable":  # an editable installation has gen/ itself on the path
            build_data["force_include"].update(
                {
                    str(GEN / "sfa"): "sfa",
                    str(GEN / "buf"): "buf",
                    str(GEN / "descriptors.binpb"): "chassis/descriptors.binpb",
                }
            )


if __name__ == "__main__":
    generate()
