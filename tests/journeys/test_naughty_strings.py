"""The strings that break naive software: unchanged, untrimmed, in and out of every free-text field over
REST; what cannot stand there is refused by the field's name; searching for one is never an error."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from buf.validate import validate_pb2
from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from tests.shared_data import shared_data
from tests.system import ROUTES, System

# Texts that a rule of the domain takes only in a form of its own, or with a verb of its own.
FORMATTED = {"time_zone", "code", "sku", "language"}
WITH_A_VERB = {"disqualify_reason"}


@dataclass(frozen=True)
class Collection:
    """A collection of resources that can be upserted, and the free-text fields of one."""

    path: str
    resource: str
    """The field of a row that holds the resource, as JSON writes it."""
    plural: str
    """The field of a BatchGet's answer that holds what was found."""
    texts: dict[str, int]
    """JSON names, and how long a text may be."""
    formatted: tuple[str, ...]

    def __str__(self) -> str:
        return self.path.removeprefix("/v1/")


def collections() -> Iterator[Collection]:
    """Every collection with `:batchUpsert` and `:batchGet`."""
    gets = {route.template.partition(":")[0]: route for route in ROUTES if route.verb == "batchGet"}
    for route in ROUTES:
        path = route.template.partition(":")[0]
        if route.verb != "batchUpsert" or path not in gets:
            continue
        row = route.request.fields_by_name["rows"].message_type
        field = next(
            each for each in row.fields if each.message_type and "etag" in each.message_type.fields_by_name
        )
        found = next(each for each in gets[path].response.fields if each.message_type is field.message_type)
        texts = dict(_texts(field.message_type))
        formatted = tuple(
            each.json_name
            for each in _strings(field.message_type)
            if each.json_name not in texts
            and each.name not in ("id", "etag")
            and not each.name.endswith("_id")
        )
        yield Collection(path, field.json_name, found.json_name, texts, formatted)


def _strings(resource: Descriptor) -> Iterator[FieldDescriptor]:
    for field in resource.fields:
        behaviors = field.GetOptions().Extensions[field_behavior_pb2.field_behavior]
        if (
            field.type == FieldDescriptor.TYPE_STRING
            and not field.is_repeated
            and field_behavior_pb2.OUTPUT_ONLY not in behaviors
        ):
            yield field


def _texts(resource: Descriptor) -> Iterator[tuple[str, int]]:
    for field in _strings(resource):
        rules = field.GetOptions().Extensions[validate_pb2.field].string
        if {rule.name for rule, _ in rules.ListFields()} == {
            "max_len"
        } and field.name not in FORMATTED | WITH_A_VERB:
            yield field.json_name, rules.max_len


COLLECTIONS = list(collections())


@pytest.fixture(scope="module")
def strings() -> list[str]:
    return list(json.loads(shared_data("naughty_strings/blns.json").read_text(encoding="utf-8")))


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with System.running(tmp_path / "system") as system:
        company = await system.company()
        async with company.signed_in() as client:
            yield client


async def test_every_string_comes_back_as_it_was_and_can_be_looked_for(
    client: httpx.AsyncClient, strings: list[str]
) -> None:
    assert len(strings) == 515
    assert {str(each) for each in COLLECTIONS} >= {
        "accounts",
        "contacts",
        "leads",
        "opportunities",
        "products",
    }
    for collection in COLLECTIONS:
        assert collection.texts, collection
        await _round_trip(client, collection, strings)
    await _search(client, strings)
    for collection in COLLECTIONS:
        await _refuse(client, collection)


async def _round_trip(client: httpx.AsyncClient, collection: Collection, strings: list[str]) -> None:
    for start in range(0, len(strings), 250):
        texts = strings[start : start + 250]
        resources = [
            {
                **_needed(collection, start + index),
                **{name: text for name, most in collection.texts.items() if 0 < len(text) <= most},
            }
            for index, text in enumerate(texts)
        ]
        rows = [{collection.resource: resource} for resource in resources]
        answer = await client.post(f"{collection.path}:batchUpsert", json={"rows": rows})
        assert answer.status_code == 200, (collection, answer.text[:2000])
        results = answer.json()["results"]
        rejected = [(result, row) for result, row in zip(results, rows, strict=True) if not result.get("id")]
        assert not rejected, (collection, rejected[:3])
        answer = await client.post(
            f"{collection.path}:batchGet", json={"ids": [result["id"] for result in results]}
        )
        found = {each["id"]: each for each in answer.json()[collection.plural]}
        for result, resource in zip(results, resources, strict=True):
            for name in collection.texts.keys() & resource.keys():
                assert found[result["id"]][name] == resource[name], (collection, name)


def _needed(collection: Collection, number: int) -> dict[str, Any]:
    """What a resource cannot do without, where the text is empty or too long for it."""
    return {
        "accounts": {"name": "An account"},
        "contacts": {"familyName": "Lovelace"},
        "leads": {"familyName": "Lovelace"},
        "opportunities": {"name": "A deal"},
        "products": {"code": f"P-{number}", "name": "A product"},
        "users": {"email": f"user{number}@example.com", "displayName": "Somebody", "roles": ["REP"]},
        "territories": {"name": "Somewhere"},
    }.get(str(collection), {})


async def _search(client: httpx.AsyncClient, strings: list[str]) -> None:
    """Each is found by itself, or nothing is; a filter that names it finds what holds it."""
    searches = [route.template for route in ROUTES if route.verb == "search" and not route.variables]
    assert len(searches) >= 3

    async def ask(text: str) -> None:
        for path in searches:
            answer = await client.get(f"{path}?q={quote(text)}")
            assert answer.status_code == 200 or (answer.status_code == 422 and not text), (
                path,
                text,
                answer.text,
            )
        literal = json.dumps(text, ensure_ascii=False) if '"' not in text and "\\" not in text else None
        if literal and "*" not in text and 0 < len(text) <= 300 and text.isprintable():
            answer = await client.get(f"/v1/opportunities?filter={quote('name = ' + literal)}")
            assert answer.status_code == 200, (text, answer.text)
            assert text in [each["name"] for each in answer.json().get("opportunities", ())], text

    for start in range(0, len(strings), 8):
        await asyncio.gather(*map(ask, strings[start : start + 8]))


async def _refuse(client: httpx.AsyncClient, collection: Collection) -> None:
    """U+0000 in a text, and nonsense in a formatted field, are refused by the field's name."""
    bad = dict.fromkeys(collection.texts, "a\x00b") | dict.fromkeys(collection.formatted, "\x00 no")
    for name, value in bad.items():
        row = {collection.resource: {**_needed(collection, 0), name: value}}
        answer = await client.post(f"{collection.path}:batchUpsert", json={"rows": [row]})
        if answer.status_code == 200:
            fields = [answer.json()["results"][0].get("field", "")]
        else:
            assert answer.status_code == 422, (collection, name, answer.text)
            fields = [error["field"] for error in answer.json()["errors"]]
        assert any(name in field or _snake(name) in field for field in fields), (collection, name, fields)


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
