"""The page on which a customer decides, opened over real HTTP by a browser without scripts."""

from __future__ import annotations

import asyncio
import hashlib
import re
from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import timedelta
from html.parser import HTMLParser
from uuid import UUID

import asyncpg
import grpc
import httpx
import pytest
from sfa.quotes.v1 import documents_pb2 as pb
from sfa.quotes.v1 import events_pb2, orders_pb2, quotes_pb2

from chassis.errors import FailedPrecondition
from chassis.ids import new_id
from services.quotes import consequences
from services.quotes.documents.links import LinkSigner
from services.quotes.domain.acceptance import MOST_QUESTIONS
from tests.quotes.customers import Browser, Office, build, document_settings, gateway_before, path_of
from tests.quotes.service import refusal
from tests.quotes.test_document_pages import PNG, SVG
from tests.stack import Stack

Quote = quotes_pb2.Quote
Kind = pb.AcceptanceEvidence.Kind


@pytest.fixture
async def office(stack: Stack) -> Office:
    await stack.start("opportunities")
    await stack.start("quotes", build=build(document_settings()))
    return Office(stack)


@pytest.fixture
async def web(office: Office) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        gateway_before(office.stack) as gateway,
        httpx.AsyncClient(base_url=gateway.address, headers={"user-agent": "Phone/1.0"}) as client,
    ):
        yield client


class QuoteRefusedNow(FailedPrecondition):
    """Something that another part of the service says at the last moment."""

    def __init__(self) -> None:
        super().__init__("Not now.")


class Seen(HTMLParser):
    """What a browser would fetch, and what stands on the page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.targets: list[str] = []
        self.labels: set[str] = set()
        self.inputs: set[str] = set()
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self.language = self.direction = ""
        self._within = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        assert not [name for name in values if name.startswith("on") or name == "style"]
        self.sources += [values[name] for name in ("src", "srcset") if name in values]
        self.targets += [values[name] for name in ("href", "action") if name in values]
        self._within = tag if tag in ("script", "style") else ""
        if tag == "html":
            self.language, self.direction = values["lang"], values["dir"]
        if tag == "label" and "for" in values:
            self.labels.add(values["for"])
        if tag in ("input", "textarea") and values.get("type") not in ("hidden", "checkbox"):
            self.inputs.add(values["id"])

    def handle_data(self, data: str) -> None:
        if self._within == "script":
            self.scripts.append(data)
        elif self._within == "style":
            self.styles.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._within = ""


async def test_a_customer_sees_downloads_and_accepts(office: Office, web: httpx.AsyncClient) -> None:
    quote = await office.offer(terms="Net 14 days.")
    link = await office.link(quote, recipient_name="Ada Lovelace")
    customer = Browser(web, path_of(link))
    page = await customer.open()
    assert page.status_code == 200
    for text in (quote.number, "€50.00", "Net 14 days.", "Ada Lovelace"):
        assert text in page.text
    pdf = await web.get(f"{customer.path}/document")
    assert pdf.headers["content-type"] == "application/pdf"
    assert hashlib.sha256(pdf.content).hexdigest() == link.document_hash
    assert pdf.content == (await office.document(quote)).data

    signature = f"data:image/png;base64,{b64encode(PNG).decode()}"
    answer = await customer.accept(order_number="PO-7", signature=signature)
    assert (answer.status_code, answer.headers["location"]) == (303, customer.path)
    page = await customer.open()
    assert page.status_code == 200
    assert "was accepted by Ada Lovelace" in page.text
    assert "<form" not in page.text, "there is nothing left to decide"
    accepted = await office.quotes.GetQuote(quotes_pb2.GetQuoteRequest(id=quote.id))
    assert (accepted.state, accepted.accepted_by, accepted.purchase_order_number) == (
        Quote.ACCEPTED, "Ada Lovelace", "PO-7",
    )  # fmt: skip
    order = await office.orders.GetOrder(orders_pb2.GetOrderRequest(id=accepted.order_id))
    assert order.quote_id == quote.id
    (evidence,) = await office.evidence(quote)
    assert (evidence.kind, evidence.name, evidence.signature) == (Kind.ACCEPTED, "Ada Lovelace", PNG)
    assert (evidence.document_hash, evidence.acceptance_link_id) == (link.document_hash, link.id)
    assert (evidence.user_agent, evidence.purchase_order_number) == ("Phone/1.0", "PO-7")
    assert evidence.address
    assert evidence.time == accepted.accept_time
    known = await office.documents.GetAcceptanceLink(pb.GetAcceptanceLinkRequest(id=link.id))
    assert known.answer == pb.AcceptanceLink.ACCEPTED


async def test_accepting_at_the_same_moment_places_one_order(office: Office, web: httpx.AsyncClient) -> None:
    quote = await office.offer()
    links = [await office.link(quote) for _ in range(2)]
    customers = [Browser(web, path_of(link)) for link in links]
    answers = await asyncio.gather(
        *(customer.accept(f"Customer {number}") for number in range(3) for customer in customers)
    )
    assert {answer.status_code for answer in answers} <= {200, 303, 409}
    assert [each.kind for each in await office.evidence(quote)] == [Kind.ACCEPTED]
    orders = await office.orders.ListOrders(orders_pb2.ListOrdersRequest(filter=f'quote_id = "{quote.id}"'))
    assert len(orders.orders) == 1
    assert (await customers[0].accept("Again")).status_code == 303, "accepting again changes nothing"
    assert "was accepted by Customer" in (await customers[1].open()).text


async def test_what_stands_against_accepting_is_said_and_changes_nothing(
    office: Office, web: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    quote = await office.offer()
    customer = Browser(web, path_of(await office.link(quote)))

    async def refused(*_: object) -> None:
        raise QuoteRefusedNow

    monkeypatch.setattr(consequences, "accepted", refused)
    answer = await customer.accept()
    assert (answer.status_code, "cannot be decided on at the moment" in answer.text) == (409, True)
    assert await office.state(quote) == Quote.SENT
    assert not await office.evidence(quote)
    monkeypatch.undo()
    assert (await customer.accept()).status_code == 303
    assert await office.state(quote) == Quote.ACCEPTED


async def test_rejecting_keeps_the_reason(office: Office, web: httpx.AsyncClient) -> None:
    quote = await office.offer()
    customer = Browser(web, path_of(await office.link(quote)))
    assert (await customer.submit("reject", reason="Too dear <b>")).status_code == 303
    rejected = await office.quotes.GetQuote(quotes_pb2.GetQuoteRequest(id=quote.id))
    assert (rejected.state, rejected.end_reason) == (Quote.REJECTED, "Too dear <b>")
    assert "This quote was declined." in (await customer.open()).text
    assert [each.text for each in await office.evidence(quote)] == ["Too dear <b>"]
    assert (await customer.accept()).status_code == 303
    assert await office.state(quote) == Quote.REJECTED


async def test_a_question_is_kept_and_told(office: Office, web: httpx.AsyncClient) -> None:
    quote = await office.offer()
    customer = Browser(web, path_of(await office.link(quote)))
    asked = await customer.submit("ask", question="When?\r\nWhere?", name="Ada", email="ada@example.com")
    assert asked.status_code == 303
    await customer.submit("ask", question="When?\r\nWhere?", name="Ada")  # sent twice by a nervous finger
    page = (await customer.open()).text
    assert "Your question has been sent" in page
    assert "agree" in page, "the quote can still be accepted"
    (evidence,) = await office.evidence(quote)
    assert (evidence.kind, evidence.text, evidence.email) == (Kind.ASKED, "When?\nWhere?", "ada@example.com")
    await office.stack.settled()
    events = await office.stack.events()
    subject = f"events.{office.stack.tenant}.sfa.quotes.v1.QuoteQuestionAsked"
    message = await events.get_last_msg("QUOTES", subject)
    event = events_pb2.QuoteQuestionAsked.FromString(message.data or b"")
    assert (event.question, event.acceptance_link.quote_id) == ("When?\nWhere?", quote.id)
    assert not event.acceptance_link.url, "an event does not let anybody in"


async def test_questions_come_to_an_end(office: Office, web: httpx.AsyncClient) -> None:
    quote = await office.offer()
    customer = Browser(web, path_of(await office.link(quote)))
    for number in range(MOST_QUESTIONS):
        assert (await customer.submit("ask", question=f"{number}?")).status_code == 303
    assert (await customer.submit("ask", question="One more?")).status_code == 422


async def test_looking_counts_once_and_asking_what_is_there_does_not(
    office: Office, web: httpx.AsyncClient
) -> None:
    quote = await office.offer()
    link = await office.link(quote)
    customer = Browser(web, path_of(link))
    page = await customer.open()
    assert (await web.head(customer.path)).status_code == 200
    assert (await web.head(f"{customer.path}/seen")).status_code == 405
    assert await office.state(quote) == Quote.SENT, "fetching the page for a preview is not looking at it"
    (pixel,) = [source for source in Seen(page.text).sources if source.endswith("/seen")]
    pictures = await asyncio.gather(*(web.get(pixel) for _ in range(4)))
    assert {picture.headers["content-type"] for picture in pictures if picture.status_code == 200} == {
        "image/gif"
    }
    assert await office.state(quote) == Quote.VIEWED
    assert [each.kind for each in await office.evidence(quote)] == [Kind.VIEWED]
    known = await office.documents.GetAcceptanceLink(pb.GetAcceptanceLinkRequest(id=link.id))
    assert known.HasField("view_time")
    assert (await customer.accept()).status_code == 303


async def test_a_link_ends_in_every_way(office: Office, web: httpx.AsyncClient) -> None:
    clock = office.stack.clock
    quote = await office.offer()
    revoked, early, link = [
        await office.link(quote, **fields)
        for fields in ({}, {"expire_time": clock.now() + timedelta(hours=1)}, {})
    ]
    await office.documents.RevokeAcceptanceLink(pb.RevokeAcceptanceLinkRequest(id=revoked.id))
    page = await web.get(path_of(revoked))
    assert (page.status_code, "no longer valid" in page.text) == (410, True)
    assert (await web.get(f"{path_of(revoked)}/document")).status_code == 410
    assert (await Browser(web, path_of(revoked)).accept()).status_code == 303
    clock.move(timedelta(hours=2))
    page = await web.get(path_of(early))
    assert (page.status_code, "was valid until" in page.text) == (410, True)
    assert (await Browser(web, path_of(early)).accept()).status_code == 303
    assert await office.state(quote) == Quote.SENT
    await office.quotes.ReviseQuote(quotes_pb2.ReviseQuoteRequest(id=quote.id))
    page = await web.get(path_of(link))
    assert (page.status_code, "newer version" in page.text) == (410, True)
    other = await office.offer()
    path = path_of(await office.link(other))
    clock.move(timedelta(days=40))
    assert "was valid until" in (await web.get(path)).text
    assert not await office.evidence(quote)


async def test_what_is_no_token_of_ours_leads_nowhere(office: Office, web: httpx.AsyncClient) -> None:
    quote = await office.offer()
    link = await office.link(quote)
    token = path_of(link).removeprefix("/q/")
    other_key = LinkSigner([b"another key of sixteen"], "").token(UUID(link.id))
    wrong = [
        "x",
        token[:-1],
        token + "A",
        token[::-1],
        "A" * 64,
        other_key,
        token.swapcase(),
        "%00",
        "..%2f..",
        "é" * 10,
    ]
    for each in wrong:
        for path in (f"/q/{each}", f"/q/{each}/document"):
            answer = await web.get(path)
            assert answer.status_code in (404, 422), path
        assert (await web.post(f"/q/{each}", data={"action": "accept"})).status_code in (404, 422)
    assert await office.state(quote) == Quote.SENT


async def test_what_is_wrong_with_a_form_is_said_on_the_page(office: Office, web: httpx.AsyncClient) -> None:
    quote = await office.offer()
    link = await office.link(quote)
    customer = Browser(web, path_of(link))
    cases = [
        ("accept", {"agree": "yes"}, "Please enter your name."),
        ("accept", {"name": 'Ada "<script>'}, "Please confirm that you accept."),
        (
            "accept",
            {"name": "Ada", "agree": "yes", "signature": "data:image/svg+xml,x"},
            "signature cannot be read",
        ),
        ("accept", {"name": "Ada", "agree": "yes", "document": "0" * 64}, "form could not be read"),
        ("accept", {"name": "x" * 201, "agree": "yes"}, "too long"),
        ("ask", {"question": " "}, "Please enter your question."),
        ("dance", {}, "form could not be read"),
    ]
    for action, fields, sentence in cases:
        answer = await customer.submit(action, **fields)
        assert answer.status_code == 422, action
        assert sentence in answer.text
        assert "<script>&" not in answer.text
        assert 'Ada "<script>' not in answer.text
    raw = await web.post(customer.path, content=b"{}", headers={"content-type": "application/json"})
    assert raw.status_code == 422
    assert (await web.post(customer.path)).status_code == 422
    assert await office.state(quote) == Quote.SENT
    assert not await office.evidence(quote)


async def test_the_page_loads_nothing_from_elsewhere_and_lets_nothing_in(
    office: Office, web: httpx.AsyncClient
) -> None:
    evil = '"><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7*7 }}'
    operations = Office(office.stack, "operations")
    template = await operations.template(
        sender_name=evil, introduction=evil, terms=evil, is_default=True, language="de"
    )
    await operations.templates.SetDocumentTemplateLogo(
        pb.SetDocumentTemplateLogoRequest(id=template.id, logo={"data": SVG})
    )
    quote = await office.offer(name=evil[:100], terms=evil)
    link = await office.link(quote, recipient_name=evil)
    answer = await web.get(path_of(link))
    page = Seen(answer.text)
    assert "49" not in re.findall(r"\{\{|49", answer.text), "nothing is a template"
    assert set(page.sources) == {f"{path_of(link)}/logo", f"{path_of(link)}/seen"}
    assert set(page.targets) == {path_of(link), f"{path_of(link)}/document"}
    assert (page.language, page.direction) == ("de", "ltr")
    assert page.inputs <= page.labels, "every field has a label"
    assert len(page.scripts) == len(page.styles) == 1
    policy = answer.headers["content-security-policy"]
    for text, kind in ((page.scripts[0], "script-src"), (page.styles[0], "style-src")):
        digest = b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}'" in policy
    for part in ("default-src 'none'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"):
        assert part in policy
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["content-language"] == "de"
    assert "set-cookie" not in answer.headers
    logo = await web.get(f"{path_of(link)}/logo")
    assert (logo.content, logo.headers["content-type"]) == (SVG, "image/svg+xml")


async def test_the_page_speaks_arabic_from_the_right(office: Office, web: httpx.AsyncClient) -> None:
    link = await office.link(await office.offer(), language="ar")
    page = Seen((await web.get(path_of(link))).text)
    assert (page.language, page.direction) == ("ar", "rtl")


async def test_the_page_shows_what_was_kept_whatever_becomes_of_the_template(
    office: Office, web: httpx.AsyncClient
) -> None:
    operations = Office(office.stack, "operations")
    template = await operations.template(terms="Old terms.", is_default=True)
    link = await office.link(await office.offer())
    await operations.templates.UpdateDocumentTemplate(
        pb.UpdateDocumentTemplateRequest(
            id=template.id, document_template=pb.DocumentTemplate(terms="New terms.")
        )
    )
    page = (await web.get(path_of(link))).text
    assert "Old terms." in page
    assert "New terms." not in page


async def test_anonymous_customers_are_counted(office: Office) -> None:
    link = await office.link(await office.offer())
    async with (
        gateway_before(office.stack, anonymous_rate_per_second=1, anonymous_rate_burst=3) as gateway,
        httpx.AsyncClient(base_url=gateway.address) as client,
    ):
        statuses = [(await client.get(path_of(link))).status_code for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]


async def test_the_token_is_not_kept_and_evidence_cannot_be_changed(
    office: Office, web: httpx.AsyncClient
) -> None:
    quote = await office.offer()
    link = await office.link(quote)
    token = path_of(link).removeprefix("/q/")
    await Browser(web, path_of(link)).submit("ask", question="One?")
    await Browser(web, path_of(link)).submit("ask", question="Two?")
    owner = await office.stack.connect("quotes", as_owner=True)
    for table in ("data.acceptance_links", "data.changes", "app.link_handles", "data.acceptance_evidence"):
        rows = await owner.fetch(f"SELECT row.*::text AS row FROM {table} AS row")
        assert not [row for row in rows if token in str(row)], table
    digests = await owner.fetch("SELECT digest FROM app.link_handles")
    assert [row[0] for row in digests] == [hashlib.sha256(token.encode()).hexdigest()]
    await owner.close()
    service = await office.stack.connect("quotes")
    await service.execute(f"SET app.tenant = '{office.stack.tenant}'")
    for statement in ("UPDATE app.acceptance_evidence SET name = 'x'", "DELETE FROM app.acceptance_evidence"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await service.execute(statement)
    await service.close()
    one, two = await office.evidence(quote)
    assert len({one.chain, two.chain}) == 2


async def test_only_who_may_write_quotes_gets_the_address(office: Office) -> None:
    quote = await office.offer()
    link = await office.link(quote)
    read = pb.GetAcceptanceLinkRequest(id=link.id)
    assert (await office.documents.GetAcceptanceLink(read)).url == link.url
    reader = Office(office.stack, permissions=frozenset({"quotes.read"}))
    assert not (await reader.documents.GetAcceptanceLink(read)).url
    listed = await office.documents.ListAcceptanceLinks(
        pb.ListAcceptanceLinksRequest(filter=f'quote_id = "{quote.id}"')
    )
    assert [(each.id, each.url) for each in listed.acceptance_links] == [(link.id, "")]
    another = Office(office.stack, "rep", name="another")
    assert (await refusal(another.documents.GetAcceptanceLink(read)))[0] is grpc.StatusCode.NOT_FOUND


async def test_links_are_for_what_the_customer_can_decide_on(office: Office) -> None:
    deal = await office.deal()
    draft = await office.quote(deal.id)
    assert (await refusal(office.link(draft)))[1] == "QUOTE_NOT_SENT"
    quote = await office.offer()
    past = office.stack.clock.now() - timedelta(seconds=1)
    assert (await refusal(office.link(quote, expire_time=past)))[1] == "LINK_EXPIRES_TOO_EARLY"
    far = await office.link(quote, expire_time=office.stack.clock.now() + timedelta(days=400))
    assert far.expire_time.ToDatetime().date() < (office.stack.clock.now() + timedelta(days=40)).date()


def test_a_key_that_was_replaced_still_holds() -> None:
    old, new = b"the old key of links", b"the new key of links"
    id = new_id()
    token = LinkSigner([old], "https://x").token(id)
    assert LinkSigner([old, new], "https://x").link_id(token) == id
    assert LinkSigner([new], "https://x").link_id(token) is None
    assert LinkSigner([old, new], "https://x").token(id) != token
