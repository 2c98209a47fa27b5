"""The OpenAPI document says what is served, completely, and in words."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema_rs
import pytest
from google.protobuf.message_factory import GetMessageClass

from gateway.contract import Contract
from gateway.openapi import document
from gateway.settings import GatewaySettings
from gateway.to_json import JsonWriter
from gateway.transcoding import Route, routes_of


@pytest.fixture(scope="session")
def routes(contract: Contract) -> list[Route]:
    return routes_of(contract.services)


@pytest.fixture(scope="session")
def openapi(contract: Contract, routes: list[Route]) -> dict[str, Any]:
    return document(contract, routes, GatewaySettings())


def operations(openapi: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in openapi["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def every(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from every(item)


def test_every_route_is_described(openapi: dict[str, Any], routes: list[Route]) -> None:
    described = {(method, path) for method, path, _ in operations(openapi)}
    assert len(routes) > 100
    for route in routes:
        path = re.sub(r"_([a-z])", lambda found: found[1].upper(), route.template)
        assert (route.method, path) in described


def test_every_operation_and_field_is_described_in_words(openapi: dict[str, Any]) -> None:
    for method, path, operation in operations(openapi):
        assert operation["summary"], f"{method} {path}"
        assert operation["tags"], f"{method} {path}"
    for name, schema in openapi["components"]["schemas"].items():
        for field, described in schema.get("properties", {}).items():
            assert described.get("description") or name == "Problem", f"{name}.{field}"


def test_operations_have_names_of_their_own(openapi: dict[str, Any]) -> None:
    names = [operation["operationId"] for *_, operation in operations(openapi)]
    assert len(names) == len(set(names))


def test_references_lead_somewhere(openapi: dict[str, Any]) -> None:
    for item in every(openapi):
        if isinstance(reference := item.get("$ref"), str):
            target: Any = openapi
            for step in reference.removeprefix("#/").split("/"):
                target = target[step]


def test_schemas_are_json_schemas(openapi: dict[str, Any]) -> None:
    for schema in openapi["components"]["schemas"].values():
        jsonschema_rs.Draft202012Validator({**schema, "components": openapi["components"]})


def test_what_is_answered_is_as_described(openapi: dict[str, Any], routes: list[Route]) -> None:
    """Name by name and type by type, also where nothing is set."""
    writer = JsonWriter()
    for route in routes:
        path = re.sub(r"_([a-z])", lambda found: found[1].upper(), route.template)
        answer = openapi["paths"][path][route.method.lower()]["responses"]["201" if route.creates else "200"]
        if "application/json" not in answer["content"]:
            continue
        schema = answer["content"]["application/json"]["schema"] | {"components": openapi["components"]}
        body = json.loads(writer.to_bytes(route.response)(GetMessageClass(route.response)()))
        wrong = jsonschema_rs.Draft202012Validator(schema).iter_errors(body)
        assert not [
            error for error in wrong if "Additional properties" in error.message or "type" in error.message
        ]


def test_headers_are_no_body_fields(openapi: dict[str, Any]) -> None:
    win = openapi["paths"]["/v1/opportunities/{id}:win"]["post"]
    assert {item["name"] for item in win["parameters"]} >= {"id", "Idempotency-Key", "If-Match"}
    body = win["requestBody"]["content"]["application/json"]["schema"]
    assert set(body["properties"]) == {"amount", "closeDate", "effectiveTime", "winReason"}
    assert not win["requestBody"]["required"]


def test_constraints_come_from_the_protos(openapi: dict[str, Any]) -> None:
    schemas = openapi["components"]["schemas"]
    assert schemas["Opportunity"]["required"] == ["name"]
    assert "required" not in schemas["OpportunityUpdate"]
    assert schemas["Opportunity"]["properties"]["name"]["maxLength"] == 500
    assert schemas["Stage"]["properties"]["probability"]["maximum"] == 100
    assert schemas["Opportunity"]["properties"]["etag"]["readOnly"]
    size = next(
        item
        for item in openapi["paths"]["/v1/opportunities"]["get"]["parameters"]
        if item["name"] == "pageSize"
    )
    assert (size["schema"]["minimum"], size["schema"]["maximum"]) == (0, 500)


async def test_document_and_page_need_no_network(client: httpx.AsyncClient) -> None:
    served = await client.get("/openapi.json")
    assert served.json()["openapi"] == "3.1.0"
    page = await client.get("/docs")
    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert "connect-src 'self'" in policy
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert addresses
    for address in addresses:
        if not address.startswith("data:"):
            assert address.startswith("/")
            assert (await client.get(address)).status_code == 200
    assert "http" not in re.sub(r"http-equiv|https?://www\.w3\.org", "", page.text)
