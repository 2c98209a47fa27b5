"""515 strings that break naive software, through every text field of every resource: as they are into the
free ones and out again, and by name out of those that have a format. Which fields there are is read off
the protos."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from buf.validate import validate_pb2
from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from tests.engines import MakeFolder
from tests.gateway.records import MONEY, make
from tests.shared_data import shared_data
from tests.system import ROUTES, System

# What makes a body of each kind complete, with the number of the string.
BODIES: dict[str, dict[str, Any]] = {
    "accounts": {"name": "x"},
    "contacts": {"familyName": "x"},
    "leads": {"familyName": "x", "companyName": "x"},
    "opportunities": {"name": "x"},
    "competitors": {"name": "x"},
    "products": {"name": "x", "code": "P-{}", "listPrice": MONEY, "isActive": True},
    "users": {"displayName": "x", "email": "user{}@acme.example", "roles": ["REP"]},
    "territories": {"name": "territory {}"},
    "queues": {"name": "queue {}"},
    "priceBooks": {"name": "book {}"},
}
# What has to stand beside a field for it to be looked at.
BESIDE: dict[str, dict[str, Any]] = {
    "phones": {"number": "+49 30 12345678"},
    "emails": {"address": "ada@acme.example"},
    "units": {"code": "box", "numerator": "1"},
    "translations": {"language": "de"},
    "images": {"uri": "https://images.example/1.png"},
    "team": {"userId": "0198c0de-0000-7000-8000-000000000001"},
    "splits": {"userId": "0198c0de-0000-7000-8000-000000000001", "type": "OVERLAY", "percent": "100"},
    "customDates": {"name": "x", "date": {"year": 2026, "month": 1, "day": 1}},
    "products": {"name": "x"},
    "strengths": {"text": "x"},
    "weaknesses": {"text": "x"},
}
# Formats that the domain knows and the proto does not state.
OF_THE_DOMAIN = {"number", "address", "time_zone", "language", "uri"}
# Kept as it was typed elsewhere, or only together with something else.
ELSEWHERE = {
    "external_ids", "stages", "lines", "line_items", "disqualify_reason", "lost_reason", "components", "options",
    "attributes", "competitors",
}  # fmt: skip
AT_ONCE = 8


@dataclass(frozen=True)
class Text:
    """A text field of a resource: where it is in the JSON, and what may stand there."""

    path: tuple[str, ...]
    is_free: bool
    most: int

    def put(self, body: dict[str, Any], value: str) -> None:
        """Sets it; within a list, in its first item."""
        *parents, last = self.path
        for parent in parents:
            body = body.setdefault(parent, [dict(BESIDE.get(parent, {}))])[0]
        body[last] = value

    def get(self, body: dict[str, Any]) -> Any:
        """Its value."""
        *parents, last = self.path
        for parent in parents:
            body = body[parent][0]
        return body[last]

    def takes(self, value: str) -> bool:
        """Whether it is long enough for the value."""
        return not self.most or len(value) <= self.most


def texts(message: Descriptor, path: tuple[str, ...] = ()) -> Iterator[Text]:
    """The text fields of a resource that a client can set."""
    for field in message.fields:
        options = field.GetOptions()
        settable = field_behavior_pb2.OUTPUT_ONLY not in options.Extensions[field_behavior_pb2.field_behavior]
        inner = field.message_type
        if field.name in ELSEWHERE or not settable:
            continue
        if inner is not None and field.is_repeated and inner.full_name.startswith("sfa."):
            yield from texts(inner, (*path, field.json_name))
        elif field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated:
            rules = options.Extensions[validate_pb2.field].string
            if not rules.uuid and rules != type(rules)():
                formatted = rules.email or rules.uri or rules.pattern or field.name in OF_THE_DOMAIN
                yield Text((*path, field.json_name), not formatted, rules.max_len)


RESOURCES: dict[str, Any] = {
    route.segments[1]: route for route in ROUTES if route.creates and route.segments[1] in BODIES
}
BATCHES = {
    route.segments[1]: row.fields[0].json_name
    for route in ROUTES
    if route.verb == "batchUpsert" and route.segments[1] in BODIES
    if (row := route.request.fields_by_name["rows"].message_type) is not None
}


def body_of(collection: str, number: int) -> dict[str, Any]:
    return {
        name: value.format(number) if isinstance(value, str) else value
        for name, value in BODIES[collection].items()
    }


def fields_of(collection: str, *, free: bool) -> list[Text]:
    return [text for text in texts(RESOURCES[collection].body_field.message_type) if text.is_free == free]


@pytest.fixture(scope="module")
def naughty() -> list[str]:
    strings = json.loads((shared_data("naughty_strings") / "blns.json").read_text())
    assert len(strings) == 515
    return list(dict.fromkeys(strings))


@pytest.fixture(scope="module")
async def client(make_folder: MakeFolder) -> AsyncIterator[httpx.AsyncClient]:
    """The administrator of a company in a system of its own."""
    async with System.running(make_folder("system")) as system:
        company = await system.company()
        async with company.signed_in() as signed_in:
            yield signed_in


async def upsert(
    client: httpx.AsyncClient, collection: str, bodies: dict[int, dict[str, Any]]
) -> dict[int, Any]:
    """What became of each body, by its number: its result, or the field that validation named."""
    outcomes: dict[int, Any] = {}
    waiting = sorted(bodies)
    while waiting:
        numbers = waiting[:500]
        rows = [{BATCHES[collection]: bodies[number]} for number in numbers]
        answer = await client.post(f"/v1/{collection}:batchUpsert", json={"rows": rows})
        if answer.status_code == 200:
            outcomes |= dict(zip(numbers, answer.json()["results"], strict=True))
        else:
            assert answer.status_code == 422, answer.text
            for error in answer.json()["errors"]:
                row, _, field = error["field"].removeprefix("rows[").partition("].")
                outcomes[numbers[int(row)]] = {
                    "outcome": "REJECTED",
                    "field": field,
                    "error": error["detail"],
                }
        waiting = [number for number in waiting if number not in outcomes]
    return outcomes


async def create(
    client: httpx.AsyncClient, collection: str, bodies: dict[int, dict[str, Any]]
) -> dict[int, Any]:
    """The same, one by one."""
    outcomes: dict[int, Any] = {}
    numbers = iter(sorted(bodies))

    async def work() -> None:
        for number in numbers:
            outcomes[number] = {"outcome": "CREATED"} | await make(
                client, f"/v1/{collection}", bodies[number]
            )

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return outcomes


async def everything(client: httpx.AsyncClient, collection: str) -> dict[str, dict[str, Any]]:
    """All resources of a kind, by id."""
    found: dict[str, dict[str, Any]] = {}
    url = f"/v1/{collection}?pageSize=500"
    while url:
        answer = (await client.get(url)).raise_for_status()
        found |= {item["id"]: item for item in answer.json()[collection]}
        url = answer.links.get("next", {}).get("url", "")
    return found


@pytest.mark.parametrize("collection", BODIES)
async def test_free_text_comes_out_as_it_went_in(
    client: httpx.AsyncClient, naughty: list[str], collection: str
) -> None:
    fields = fields_of(collection, free=True)
    assert fields
    bodies = {}
    for number, string in enumerate(naughty):
        bodies[number] = body = body_of(collection, number)
        for text in fields:
            if string and text.takes(string):
                text.put(body, string)
    outcomes = await (upsert if collection in BATCHES else create)(client, collection, bodies)
    refused = {
        naughty[number]: outcome for number, outcome in outcomes.items() if outcome["outcome"] == "REJECTED"
    }
    assert not refused
    found = await everything(client, collection)
    for number, body in bodies.items():
        kept = found[outcomes[number]["id"]]
        for text in fields:
            if naughty[number] and text.takes(naughty[number]):
                assert text.get(kept) == text.get(body), f"{collection}.{text.path}: {naughty[number]!r}"


@pytest.mark.parametrize("collection", BATCHES)
async def test_what_has_a_format_is_taken_or_refused_by_name(
    client: httpx.AsyncClient, naughty: list[str], collection: str
) -> None:
    for nth, text in enumerate(fields_of(collection, free=False), 1):
        bodies = {}
        for number, string in enumerate(naughty):
            bodies[number] = body_of(collection, nth * 1_000_000 + number)
            text.put(bodies[number], string)
        outcomes = await upsert(client, collection, bodies)
        assert sum(outcome["outcome"] == "REJECTED" for outcome in outcomes.values()) > 400, text.path
        for number, outcome in outcomes.items():
            if outcome["outcome"] == "REJECTED":
                assert text.path[-1] in outcome["field"], f"{text.path}: {naughty[number]!r}: {outcome}"
                assert outcome["error"]


@pytest.mark.parametrize("collection", BODIES)
async def test_the_character_nul_is_refused_by_name(client: httpx.AsyncClient, collection: str) -> None:
    resource = RESOURCES[collection].body_field.json_name
    for text in (*fields_of(collection, free=True), *fields_of(collection, free=False)):
        body = body_of(collection, 0)
        text.put(body, "a\x00b")
        answer = await client.post(f"/v1/{collection}", json=body)
        assert answer.status_code == 422, answer.text
        (error,) = answer.json()["errors"]
        assert error["field"] == f"{resource}.{'[0].'.join(text.path)}"


SEARCHES = [route.template for route in ROUTES if route.verb == "search"]


@pytest.mark.parametrize("path", SEARCHES)
async def test_search_finds_each_by_itself_or_nothing(
    client: httpx.AsyncClient, naughty: list[str], path: str
) -> None:
    strings = iter(naughty)

    async def work() -> None:
        for string in strings:
            answer = await client.get(path, params={"q": string, "pageSize": 10})
            if not string or len(string) > 200:
                assert answer.status_code in (200, 422), answer.text
                continue
            assert answer.status_code == 200, f"{string!r}: {answer.text}"
            (found,) = (value for value in answer.json().values() if isinstance(value, list))
            assert (
                not found
                or len(found) == 10
                or string in json.dumps(found, ensure_ascii=False)
                or any(
                    string.casefold().strip() in str(value).casefold()
                    for item in found
                    for value in item.values()
                )
            ), f"{string!r} finds {[item.get('name') or item.get('displayName') for item in found][:5]}"

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
