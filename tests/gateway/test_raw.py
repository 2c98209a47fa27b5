"""Content that is not JSON: bodies that are taken as they are, and answers of their own kind."""

from __future__ import annotations

import hashlib

import httpx
import pytest
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.any_pb2 import Any
from sfa.api.v1.http_pb2 import HttpAnswer

from tests.gateway.conftest import Answering

ID = "0198c0de-0000-7000-8000-000000000001"
DOCUMENT = f"/v1/quotes/{ID}:document"
PAGE = "/q/token"


def answered(data: bytes, content_type: str = "application/pdf", how: HttpAnswer | None = None) -> HttpBody:
    body = HttpBody(content_type=content_type, data=data)
    if how is not None:
        packed = Any()
        packed.Pack(how)
        body.extensions.append(packed)
    return body


async def test_content_goes_out_as_it_is_with_a_version_made_of_it(
    client: httpx.AsyncClient, answering: Answering
) -> None:
    content = bytes(range(256)) * 100
    answering.on("GetQuoteDocument", answered(content))
    answer = await client.get(DOCUMENT)
    assert (answer.content, answer.headers["content-type"]) == (content, "application/pdf")
    assert answer.headers["etag"] == f'"{hashlib.sha256(content).hexdigest()}"'
    assert answer.headers["cache-control"] == "private, no-cache"
    assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    for known in (answer.headers["etag"], f'W/{answer.headers["etag"]}, "x"', "*"):
        again = await client.get(DOCUMENT, headers={"if-none-match": known})
        assert (again.status_code, again.content) == (304, b"")
    head = await client.head(DOCUMENT)
    assert (head.content, head.headers["content-length"]) == (b"", str(len(content)))


async def test_a_service_says_how_its_answer_goes_out(
    nobody: httpx.AsyncClient, answering: Answering
) -> None:
    how = HttpAnswer(
        status=410, content_disposition="inline", content_security_policy="img-src 'self'",
        content_language="de", no_store=True,
    )  # fmt: skip
    answering.on("GetAcceptancePage", answered(b"<p>" * 2000, "text/html; charset=utf-8", how))
    answer = await nobody.get(PAGE, headers={"accept": "text/html"})
    assert answer.status_code == 410
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["content-security-policy"] == "img-src 'self'"
    assert answer.headers["content-language"] == "de"
    assert answer.headers["cache-control"] == "no-store"
    assert "etag" not in answer.headers


@pytest.mark.parametrize(
    "how",
    [
        HttpAnswer(status=303, location="https://evil.example/"),
        HttpAnswer(status=303, location="//evil.example/"),
        HttpAnswer(status=303, location="/\\evil.example"),
        HttpAnswer(status=500),
        HttpAnswer(content_disposition="x\r\nset-cookie: a=b"),
    ],
)
async def test_what_no_service_may_say_is_not_said(
    nobody: httpx.AsyncClient, answering: Answering, how: HttpAnswer
) -> None:
    answering.on("GetAcceptancePage", answered(b"x", "text/html", how))
    answer = await nobody.get(PAGE)
    assert answer.status_code == 500
    assert answer.json()["reason"] == "INTERNAL"


async def test_a_redirect_stays_on_this_site(nobody: httpx.AsyncClient, answering: Answering) -> None:
    answering.on("SubmitAcceptancePage", answered(b"", "", HttpAnswer(status=303, location=PAGE)))
    answer = await nobody.post(PAGE, data={"action": "ask"})
    assert (answer.status_code, answer.headers["location"]) == (303, PAGE)


async def test_any_body_is_taken_and_the_connection_says_who_sent_it(
    nobody: httpx.AsyncClient, answering: Answering
) -> None:
    await nobody.post(PAGE, data={"name": "Ä b"}, headers={"user-agent": "Phone" * 200})
    request = answering.last.request
    assert (request.token, request.form.content_type) == ("token", "application/x-www-form-urlencoded")
    assert request.form.data == b"name=%C3%84+b"
    assert request.client.address == "127.0.0.1"
    assert request.client.user_agent == ("Phone" * 200)[:500]
    await nobody.post(PAGE, content=b"\0\xff", headers={"content-type": "x/y"})
    assert (answering.last.request.form.data, answering.last.request.form.content_type) == (b"\0\xff", "x/y")
    await nobody.post(PAGE)
    assert answering.last.request.form.data == b""
    packed = await nobody.post(PAGE, content=b"x", headers={"content-encoding": "gzip"})
    assert packed.status_code == 415


async def test_nobody_says_in_a_query_who_they_are(nobody: httpx.AsyncClient, answering: Answering) -> None:
    for name in ("client", "client.address", "form", "form.data"):
        answer = await nobody.post(PAGE, params={name: "1.2.3.4"})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, name)
        assert (await nobody.get(f"{PAGE}/seen", params={name: "1"})).status_code == 422
    assert not answering.seen


async def test_asking_what_is_there_causes_nothing(nobody: httpx.AsyncClient, answering: Answering) -> None:
    answer = await nobody.head(f"{PAGE}/seen")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert not answering.seen
    assert (await nobody.head(PAGE)).status_code == 200
