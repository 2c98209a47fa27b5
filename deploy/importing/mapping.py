"""The mapping file: which columns become which fields, and when each thing was true.

Its shape is described in docs/import.md. What is wrong in it is said with file, line and path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping as MappingType
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)
from typing_extensions import TypeAliasType

from deploy.importing.troubles import MappingInvalid

Scalar = str | int | Decimal | bool | None
Cells = str | list[str]
Condition = dict[str, Cells]
"""Column → what it holds: a text, one of several texts, `"*"` for any, `""` for nothing. All must hold."""

_MARKS = frozenset({"from", "lookup", "stage", "first"})


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Value(_Part):
    """A field's value that is more than a text with columns in it."""

    source: str | None = Field(None, alias="from")
    type: Literal["text", "integer", "decimal", "boolean", "date", "timestamp", "money"] = "text"
    translate: dict[str, Scalar] | None = None
    dates: list[str] | None = None
    times: Decimal | None = None
    currency: str | None = None
    default: Any = None
    when: Condition | None = None
    unless: Condition | None = None
    required: bool = False
    lookup: str | None = None
    key: str | None = None
    field: str | None = None
    unknown: Literal["reject", "omit"] = "reject"
    stage: Spec | None = None
    pipeline: str | None = None
    first: list[Spec] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Value:
        given = {"from": self.source, "lookup": self.lookup, "stage": self.stage, "first": self.first}
        ways = [name for name, way in given.items() if way is not None]
        if len(ways) != 1:
            raise ValueError(
                f"a value comes from one of from, lookup, stage and first, not from {' and '.join(ways)}"
            )
        if (self.lookup is None) != (self.key is None):
            raise ValueError("lookup and key belong together")
        return self


def _kind(value: Any) -> str:
    if isinstance(value, Value):
        return "value"
    if isinstance(value, dict):
        return "value" if _MARKS & value.keys() else "message"
    return "list" if isinstance(value, list) else "scalar"


if TYPE_CHECKING:
    Spec: TypeAlias = Any  # mypy cannot follow an alias that is recursive through a model
else:
    Spec = TypeAliasType(
        "Spec",
        Annotated[
            Annotated[Value, Tag("value")]
            | Annotated[dict[str, "Spec"], Tag("message")]
            | Annotated[list["Spec"], Tag("list")]
            | Annotated[Scalar, Tag("scalar")],
            Discriminator(_kind),
        ],
    )
"""A text with `{columns}` in it, a constant, a `Value`, or a list or message of these."""


class Column(_Part):
    """What is put right in a column before anything reads it."""

    trim: bool | None = None
    translate: dict[str, str] = {}
    missing: list[str] = []


class Source(_Part):
    """Files of one form: a name or pattern within the folder that is imported."""

    files: list[str]
    encoding: str | None = None
    separator: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    columns: dict[str, Column] = {}

    @field_validator("files", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


class Past(_Part):
    """What a record was like from an instant on."""

    effective: Spec
    fields: dict[str, Spec]
    when: Condition | None = None


class Entity(_Part):
    """What the rows of a source become."""

    source: str
    collection: str
    key: str
    resource: str = ""
    system: str | None = None
    when: Condition | None = None
    unless: Condition | None = None
    fields: dict[str, Spec]
    row: dict[str, Spec] = {}
    request: dict[str, str | int | bool] = {}
    effective: Spec | None = None
    history: list[Past] = []

    @property
    def resource_field(self) -> str:
        """What the collection's bulk API calls one of its resources."""
        return self.resource or singular(self.collection)


class Numbers(_Part):
    """How numbers are written."""

    decimal: Literal[".", ","] = "."
    thousands: Literal["", ".", ",", " ", "'"] = ","

    @model_validator(mode="after")
    def _differ(self) -> Numbers:
        if self.decimal == self.thousands:
            raise ValueError("the decimal mark and the thousands separator are the same")
        return self


class Mapping(_Part):
    """The whole file."""

    description: str = ""
    system: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$")]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = None
    time_zone: str = "UTC"
    dates: list[str] = ["iso"]
    numbers: Numbers = Numbers()
    trim: bool = False
    missing: list[str] = []
    yes: list[str] = ["true", "yes", "1"]
    no: list[str] = ["false", "no", "0"]
    sources: dict[str, Source]
    entities: dict[str, Entity]

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"there is no time zone {value!r}") from None
        return value

    @field_validator("dates")
    @classmethod
    def _distinct_dates(cls, value: list[str]) -> list[str]:
        shapes: dict[str, str] = {}
        for form in value:
            shape = re.sub("%[dm]", "%_", form)
            if shape in shapes and shapes[shape] != form:
                raise ValueError(f"{shapes[shape]} and {form} cannot be told apart: which is the day?")
            shapes[shape] = form
        return value

    @model_validator(mode="after")
    def _references(self) -> Mapping:
        for name, entity in self.entities.items():
            if entity.source not in self.sources:
                known = ", ".join(self.sources)
                raise ValueError(f"entities.{name}: there is no source {entity.source!r}, but {known}")
            for value in values_of(entity):
                if value.lookup is not None and value.lookup not in self.entities:
                    raise ValueError(f"entities.{name}: there is no entity {value.lookup!r} to look up")
        return self

    def system_of(self, entity: str) -> str:
        """By which system's ids an entity is known."""
        return self.entities[entity].system or self.system


def singular(collection: str) -> str:
    """`opportunities` → `opportunity`."""
    return collection[:-3] + "y" if collection.endswith("ies") else collection.removesuffix("s")


def values_of(part: Any) -> list[Value]:
    """Every `Value` in an entity or a part of one."""
    if isinstance(part, Value):
        return [part, *values_of(part.stage), *values_of(part.first)]
    if isinstance(part, Entity):
        return values_of(
            [part.fields, part.row, part.effective, *([past.effective, past.fields] for past in part.history)]
        )
    if isinstance(part, MappingType):
        return [value for each in part.values() for value in values_of(each)]
    return [value for each in part for value in values_of(each)] if isinstance(part, list) else []


def load(path: Path) -> Mapping:
    """Reads a mapping; MappingInvalid names every place that is wrong."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MappingInvalid(f"{path}: cannot be read ({error}).") from None
    try:
        root = yaml.compose(text, Loader=_Loader)
        content = yaml.load(text, Loader=_Loader)  # noqa: S506  # _Loader is a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise MappingInvalid(f"{path}, line {line}: {error.problem}.") from None
    if not isinstance(content, dict):
        raise MappingInvalid(f"{path}: is no mapping: it begins with `system:`, `sources:` and `entities:`.")
    try:
        return Mapping.model_validate(content)
    except ValidationError as error:
        raise MappingInvalid("\n".join(_sentences(path, root, error))) from None


def _sentences(path: Path, root: yaml.Node | None, error: ValidationError) -> list[str]:
    sentences = []
    for problem in error.errors(include_url=False):
        where, line = _place(root, problem["loc"])
        said = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            said = "there is no such word here"
        sentences.append(f"{path}, line {line}: {where + ': ' if where else ''}{said}.")
    return list(dict.fromkeys(sentences))


def _place(root: yaml.Node | None, steps: tuple[int | str, ...]) -> tuple[str, int]:
    """The path that can be followed in the file, and its line; pydantic's own steps are passed over."""
    node, words, line = root, [], 1
    for step in steps:
        below: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == step:
                    below, line = value, key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            below, line = node.value[step], node.value[step].start_mark.line + 1
        if below is not None:
            node = below
            words.append(str(step))
        elif (
            step == steps[-1] and isinstance(step, str) and step not in ("value", "message", "list", "scalar")
        ):
            words.append(step)
    return ".".join(words), line


class _Loader(yaml.SafeLoader):
    """YAML without its surprises: only true and false are booleans, keys and dates stay text, a key stands once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        for index, key in enumerate(keys):
            if any(key.value == earlier.value for earlier in keys[:index]):
                raise yaml.MarkedYAMLError(problem=f"{key.value!r} stands twice", problem_mark=key.start_mark)
        self.flatten_mapping(node)  # what is merged (`<<`) comes first, so that what stands here wins
        return {key.value: self.construct_object(value, deep=True) for key, value in node.value}


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag.rsplit(":", 1)[1] not in ("bool", "timestamp", "float")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|false)$"), list("tf"))

Value.model_rebuild()
