"""Whatever is wrong, the answer is a problem document that says what, and names the field."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sfa.opportunities.v1 import opportunities_pb2 as pb

from chassis.errors import (
    Aborted,
    AlreadyExists,
    DeadlineExceeded,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Refusal,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)
from chassis.store import EtagMismatch
from tests.callers import Callers
from tests.gateway.conftest import Answering, Backend, Start, opportunity

ID = "0198c0de-0000-7000-8000-000000000001"
ONE, ALL = f"/v1/opportunities/{ID}", "/v1/opportunities"


def problem(answer: httpx.Response, status: int, reason: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert (document["status"], document["reason"]) == (status, reason)
    assert document["type"] == "urn:sfa:problem:" + reason.lower().replace("_", "-")
    assert document["title"]
    assert document["detail"]
    assert document["traceId"] == answer.headers["traceparent"].split("-")[1]
    return document


def fields(document: dict[str, Any]) -> list[str]:
    return [error["field"] for error in document["errors"]]


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (InvalidArgument("Wrong."), 422),
        (NotFound("Not there."), 404),
        (AlreadyExists("There already."), 409),
        (PermissionDenied("You may not."), 403),
        (FailedPrecondition("Closed already."), 409),
        (Aborted("Somebody was faster."), 409),
        (ResourceExhausted("Too much."), 429),
        (Unauthenticated("Who are you?"), 401),
        (Unavailable("Away."), 503),
        (DeadlineExceeded("Too late."), 504),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Refusal) else "",
)
async def test_each_kind_of_refusal_has_its_status(
    client: httpx.AsyncClient, answering: Answering, refusal: Refusal, status: int
) -> None:
    answering.on("GetOpportunity", refusal)
    answer = await client.get(ONE)
    assert problem(answer, status, refusal.reason)["detail"] == str(refusal)
    assert ("retry-after" in answer.headers) == (status in (429, 503, 504))
    assert ("www-authenticate" in answer.headers) == (status == 401)


async def test_fields_are_named_as_the_json_has_them(client: httpx.AsyncClient, answering: Answering) -> None:
    violations = (
        FieldViolation("opportunity.line_items[2].unit_price", "Must not be negative."),
        FieldViolation("request_id", "Too long."),
        FieldViolation("etag", "Too long."),
    )
    answering.on("CreateOpportunity", InvalidArgument("Wrong.", violations=violations, stage_name="x"))
    document = problem(await client.post(ALL, json={}), 422, "INVALID_ARGUMENT")
    assert fields(document) == ["opportunity.lineItems[2].unitPrice", "Idempotency-Key", "If-Match"]
    assert document["facts"] == {"stageName": "x"}


async def test_a_lost_race_is_412_for_those_who_asked_for_a_version(
    client: httpx.AsyncClient, answering: Answering
) -> None:
    answering.on("UpdateOpportunity", EtagMismatch("opportunity", 4))
    document = problem(
        await client.patch(ONE, json={"name": "x"}, headers={"If-Match": '"3"'}), 412, "ETAG_MISMATCH"
    )
    assert fields(document) == ["If-Match"]


async def test_what_nobody_foresaw_is_told_to_nobody(client: httpx.AsyncClient, answering: Answering) -> None:
    def fail(_: Any) -> Any:
        raise RuntimeError("secret")

    answering.on("GetOpportunity", fail)
    answer = await client.get(ONE)
    problem(answer, 500, "INTERNAL")
    assert "secret" not in answer.text


async def test_the_router_speaks_in_problems_too(client: httpx.AsyncClient) -> None:
    for path in ("/", "/v1", "/v1/nothing", ALL + "/", f"{ONE}:nothing/x", "/docs/nothing", "//", "/%00"):
        problem(await client.get(path), 404, "NO_SUCH_PATH")
    for method, path, allowed in (
        ("PUT", ALL, "GET, POST"),
        ("POST", ONE, "DELETE, GET, PATCH"),
        ("GET", f"{ONE}:win", "DELETE, GET, PATCH"),
        ("GET", "/v1/oauth/token", "POST"),
        ("DELETE", "/livez", "GET, HEAD"),
        ("TRACE", ALL, "GET, POST"),
        ("QUERY", ALL, "GET, POST"),
        ("OPTIONS", ALL, "GET, POST"),
    ):
        answer = await client.request(method, path)
        if path.endswith(":win"):
            continue
        problem(answer, 405, "METHOD_NOT_ALLOWED")
        assert answer.headers["allow"] == allowed


async def test_who_does_not_sign_in_stays_out(
    client: httpx.AsyncClient, callers: Callers, answering: Answering
) -> None:
    answer = await client.get(ONE, headers={"Authorization": ""})
    problem(answer, 401, "TOKEN_MISSING")
    assert answer.headers["www-authenticate"] == 'Bearer realm="sfa"'
    for wrong in ("Bearer x", "Bearer", "Bearer " + "x" * 9000, "Bearer a.b.c", "Basic eDp5", "ü"):
        answer = await client.get(ONE, headers={b"Authorization": wrong.encode()})
        assert answer.status_code == 401, wrong
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert not answering.seen


async def test_a_dead_service_is_refused_fast_and_comes_back_by_itself(
    client: httpx.AsyncClient, backend: Backend
) -> None:
    assert (await client.get(ONE)).status_code == 200
    await backend.stop()
    began = asyncio.get_running_loop().time()
    answer = await client.get(ONE)
    assert asyncio.get_running_loop().time() - began < 2
    problem(answer, 503, "UNAVAILABLE")
    assert answer.headers["retry-after"] == "1"
    assert (await client.get("/readyz")).status_code == 200
    await backend.start()
    async with asyncio.timeout(10):
        while (await client.get(ONE)).status_code != 200:
            pass


async def test_what_can_be_repeated_is_repeated(client: httpx.AsyncClient, answering: Answering) -> None:
    for method, path, name in (("GET", ONE, "GetOpportunity"), ("POST", f"{ONE}:win", "WinOpportunity")):
        answers: Iterator[Any] = iter([Unavailable("Away."), opportunity()])
        answering.on(name, lambda _, answers=answers: next(answers))
        answering.seen.clear()
        assert (await client.request(method, path)).status_code == 200
        assert len(answering.seen) == 2
        assert answering.seen[0].request == answering.seen[1].request


async def test_a_service_that_does_not_answer_in_time_is_504(start: Start, answering: Answering) -> None:
    client = await start(call_seconds=0.2)

    async def never(_: Any) -> Any:
        await asyncio.Event().wait()

    answering.on("GetOpportunity", never)
    problem(await client.get(ONE), 504, "DEADLINE_EXCEEDED")


async def test_bodies_have_a_size_and_a_pace(start: Start) -> None:
    client = await start(max_body_bytes=2000, body_seconds=0.2)
    problem(await client.post(ALL, content=b"x" * 3000, headers=JSON), 413, "BODY_TOO_LARGE")

    async def pieces() -> Any:
        for _ in range(30):
            yield b" " * 100

    problem(await client.post(ALL, content=pieces(), headers=JSON), 413, "BODY_TOO_LARGE")

    problem(await client.post(ALL, content=b"x" * 100_000, headers=JSON), 413, "BODY_TOO_LARGE")

    reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
    token = client.headers["authorization"]
    head = f"POST {ALL} HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\nContent-Length: 10\r\n\r\n{{"
    writer.write(head.encode())
    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"BODY_TOO_SLOW" in answer
    writer.close()


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("sent", "status", "reason"),
    [
        (b"nonsense\r\n\r\n", 400, "MALFORMED_REQUEST"),
        (b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", 400, "MALFORMED_REQUEST"),
        (b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n", 400, "MALFORMED_REQUEST"),
        (b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400, "MALFORMED_REQUEST"),
        (b"GET / HTTP/1.1\r\n" + b"A: " + b"x" * 70_000 + b"\r\n\r\n", 431, "HEADERS_TOO_LARGE"),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", 431, "HEADERS_TOO_LARGE"),
    ],
    ids=lambda value: repr(value[:30]) if isinstance(value, bytes) else "",
)
async def test_what_is_no_http_is_a_problem_too(
    client: httpx.AsyncClient, sent: bytes, status: int, reason: str
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
    writer.write(sent)
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), head
    assert b"application/problem+json" in head
    assert json.loads(body)["reason"] == reason
    writer.close()


async def test_other_media_types_are_refused(client: httpx.AsyncClient) -> None:
    for wrong in (
        "text/plain",
        "application/xml",
        "application/json; charset=latin-1",
        "",
        "application/jsonx",
    ):
        problem(
            await client.post(ALL, content=b"{}", headers={"Content-Type": wrong}),
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        )
    for right in ("application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"'):
        assert (await client.post(ALL, content=b"{}", headers={"Content-Type": right})).status_code == 201
    packed = JSON | {"Content-Encoding": "gzip"}
    problem(await client.post(ALL, content=b"{}", headers=packed), 415, "UNSUPPORTED_MEDIA_TYPE")
    problem(await client.get(ALL, headers={"Accept": "text/html"}), 406, "NOT_ACCEPTABLE")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"name": 5}', "opportunity.name"),
        (b'{"name": null}', "opportunity.name"),
        (b'{"name": "a\\u0000b"}', "opportunity.name"),
        (b'{"name": "\\ud800"}', "opportunity.name"),
        (b'{"name": "\xff"}', "opportunity.name"),
        (b'{"name": "a", "name": "b"}', "opportunity.name"),
        (b'{"nmae": "a"}', "opportunity.nmae"),
        (b'{"account_id": "a"}', "opportunity.account_id"),
        (b'{"amount": {"units": "1.5"}}', "opportunity.amount.units"),
        (b'{"amount": {"units": 9223372036854775808}}', "opportunity.amount.units"),
        (b'{"amount": {"units": true}}', "opportunity.amount.units"),
        (b'{"amount": {"nanos": 1e300}}', "opportunity.amount.nanos"),
        (b'{"amount": {"nanos": NaN}}', "opportunity.amount.nanos"),
        (b'{"amount": {"nanos": -Infinity}}', "opportunity.amount.nanos"),
        (b'{"amount": {"nanos": 1e999}}', "opportunity.amount.nanos"),
        (b'{"amount": {"units": "1", "units": "2"}}', "opportunity.amount.units"),
        (b'{"amount": []}', "opportunity.amount"),
        (b'{"state": "GONE"}', "opportunity.state"),
        (b'{"state": 1}', "opportunity.state"),
        (b'{"lineItems": [{}, {"quantity": []}]}', "opportunity.lineItems[1].quantity"),
        (b'{"lineItems": {}}', "opportunity.lineItems"),
        (b'{"contactIds": ["a", 5]}', "opportunity.contactIds[1]"),
        (b'{"createTime": "yesterday"}', "opportunity.createTime"),
        (b'{"createTime": "2017-02-30T00:00:00Z"}', "opportunity.createTime"),
        (b'{"closeDate": "2017-02-03"}', "opportunity.closeDate"),
        (b"[]", "opportunity"),
        (b"null", "opportunity"),
        (b"[" * 100_000, "body"),
        (b'{"name": ' + b"9" * 5000 + b"}", "body"),
        (b"{", "body"),
        (b"\xff", "body"),
        (b"\xef\xbb\xbf{}", "body"),
    ],
    ids=lambda value: repr(value[:40]) if isinstance(value, bytes) else "",
)
async def test_bad_bodies_name_the_field(
    client: httpx.AsyncClient, answering: Answering, body: bytes, field: str
) -> None:
    answer = await client.post(ALL, content=body, headers=JSON)
    status, reason = (400, "MALFORMED_JSON") if field == "body" else (422, "INVALID_REQUEST")
    assert fields(problem(answer, status, reason)) == [field]
    assert not answering.seen


async def test_names_that_are_no_text_are_named_all_the_same(client: httpx.AsyncClient) -> None:
    answer = await client.post(ALL, content=b'{"\\ud800\xff": 1}', headers=JSON)
    assert fields(problem(answer, 422, "INVALID_REQUEST")) == ["opportunity.\\ud800\\udcff"]


async def test_what_belongs_elsewhere_is_said(client: httpx.AsyncClient) -> None:
    for name, place in (("id", "path"), ("requestId", "Idempotency-Key"), ("etag", "If-Match")):
        document = problem(await client.post(f"{ONE}:win", json={name: "x"}), 422, "INVALID_REQUEST")
        assert fields(document) == [name]
        assert place in document["detail"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("pagesize=1", "pagesize"),
        ("pageSize=x", "pageSize"),
        ("pageSize=", "pageSize"),
        ("pageSize=1.5", "pageSize"),
        ("pageSize=99999999999", "pageSize"),
        ("pageSize=1&pageSize=2", "pageSize"),
        ("showDeleted=yes", "showDeleted"),
        ("filter=%00", "filter"),
        ("filter=%ff", "filter"),
        ("filter=%ed%a0%80", "filter"),
        ("&".join(f"a{i}=1" for i in range(400)), "query"),
    ],
)
async def test_bad_parameters_are_named(client: httpx.AsyncClient, query: str, field: str) -> None:
    assert fields(problem(await client.get(f"{ALL}?{query}"), 422, "INVALID_REQUEST")) == [field]


async def test_bad_headers_are_named(client: httpx.AsyncClient) -> None:
    for name, value in (
        ("If-Match", '"1", "2"'),
        ("If-Match", '"ü"'),
        ("If-Match", ""),
        ("Idempotency-Key", ""),
        ("Idempotency-Key", '""'),
        ("Idempotency-Key", "ü"),
        ("Consistency-Token", "ü"),
        ("Consistency-Token", "x" * 2000),
    ):
        answer = await client.post(f"{ONE}:win", headers={name.encode(): value.encode()})
        assert fields(problem(answer, 422, "INVALID_REQUEST")) == [name]
    answer = await client.post(ALL, json={}, headers={"If-Match": '"1"'})
    assert fields(problem(answer, 422, "INVALID_REQUEST")) == ["If-Match"]


async def test_bad_path_values_are_named(client: httpx.AsyncClient) -> None:
    for wrong in ("%00", "%ff", "%ed%a0%80"):
        answer = await client.get(f"{ALL}/{wrong}")
        assert fields(problem(answer, 422, "INVALID_REQUEST")) == ["id"]


async def test_who_asks_too_often_is_slowed_down(start: Start, callers: Callers) -> None:
    client = await start(rate_per_second=1, rate_burst=3)
    left = [(await client.get(ONE)).headers["ratelimit-remaining"] for _ in range(3)]
    assert left == ["2", "1", "0"]
    answer = await client.get(ONE)
    problem(answer, 429, "RATE_LIMITED")
    assert answer.headers["ratelimit-limit"] == "3"
    assert 1 <= int(answer.headers["retry-after"]) <= 2
    assert int(answer.headers["ratelimit-reset"]) >= 1
    another = {"Authorization": f"Bearer {callers.token(callers.caller('manager'))}"}
    assert (await client.get(ONE, headers=another)).status_code == 200


async def test_guessing_tokens_is_slowed_down(start: Start) -> None:
    client = await start(role=None, anonymous_rate_per_second=1, anonymous_rate_burst=3)
    answers = [await client.get(ONE, headers={"Authorization": "Bearer x"}) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429]


async def test_no_body_of_any_bytes_is_an_error_of_ours(
    client: httpx.AsyncClient, answering: Answering
) -> None:
    answering.on("BatchUpsertOpportunities", pb.BatchUpsertOpportunitiesResponse())
    for body in (
        b"\x00",
        b"\xff\xfe{\x00}\x00",
        b'"',
        b"1",
        b"-",
        b'{"rows":[[[[]]]]}',
        b"{}" * 2,
        json.dumps("x").encode(),
    ):
        answer = await client.post(f"{ALL}:batchUpsert", content=body, headers=JSON)
        assert 400 <= answer.status_code < 500, body
