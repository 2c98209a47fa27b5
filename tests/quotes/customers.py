"""What the tests of documents and acceptance share: the quotes service with settings of its own, a gateway
before it, and a customer's browser."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
from google.api.httpbody_pb2 import HttpBody
from pydantic import SecretStr
from sfa.quotes.v1 import documents_pb2, quotes_pb2
from sfa.quotes.v1.documents_pb2_grpc import (
    AcceptancePageServiceStub,
    DocumentTemplateServiceStub,
    QuoteDocumentServiceStub,
)

from chassis.service import Service, ServiceContext
from chassis.tokens import TokenVerifier
from gateway.service import Gateway
from gateway.settings import GatewaySettings
from services.quotes import service as quotes
from services.quotes.documents import wiring
from services.quotes.documents.settings import DocumentSettings
from tests.quotes.service import Shop, euros
from tests.stack import Stack

if TYPE_CHECKING:
    from sfa.quotes.v1.documents_pb2_grpc import (
        AcceptancePageServiceAsyncStub,
        DocumentTemplateServiceAsyncStub,
        QuoteDocumentServiceAsyncStub,
    )

PUBLIC_URL = "https://offers.example"
KEY = "a key of links for tests"


def document_settings(**settings: Any) -> DocumentSettings:
    """Settings of a service under test."""
    return DocumentSettings(public_url=PUBLIC_URL, link_keys=SecretStr(KEY), **settings)


def build(settings: DocumentSettings) -> Any:
    """What builds the service with these settings."""

    def made(context: ServiceContext) -> Service:
        return quotes.build(context, wiring.documents(context, settings))

    return made


class Office(Shop):
    """A shop that knows of documents."""

    def __init__(self, stack: Stack, role: str | None = None, **claims: Any) -> None:
        super().__init__(stack, role, **claims)
        channel = stack.channel("quotes", role, **claims)
        self.templates: DocumentTemplateServiceAsyncStub = DocumentTemplateServiceStub(channel)
        self.documents: QuoteDocumentServiceAsyncStub = QuoteDocumentServiceStub(channel)
        self.pages: AcceptancePageServiceAsyncStub = AcceptancePageServiceStub(stack.bare_channel("quotes"))

    async def offer(self, **fields: Any) -> quotes_pb2.Quote:
        """A quote of two lines that the customer has."""
        deal = await self.deal()
        lines = [
            quotes_pb2.QuoteLine(description=f"Panel {each}", quantity=each, unit_price=euros(10))
            for each in ("3", "2")
        ]
        return await self.sent(deal.id, *lines, **fields)

    async def document(self, quote: quotes_pb2.Quote, **fields: Any) -> HttpBody:
        """The PDF of a quote."""
        return await self.documents.GetQuoteDocument(
            documents_pb2.GetQuoteDocumentRequest(id=quote.id, **fields)
        )

    async def link(self, quote: quotes_pb2.Quote, **fields: Any) -> documents_pb2.AcceptanceLink:
        """A link to decide on a quote."""
        asked = documents_pb2.AcceptanceLink(quote_id=quote.id, **fields)
        return await self.documents.CreateAcceptanceLink(
            documents_pb2.CreateAcceptanceLinkRequest(acceptance_link=asked)
        )

    async def template(self, name: str = "Ours", **fields: Any) -> documents_pb2.DocumentTemplate:
        """A template."""
        asked = documents_pb2.DocumentTemplate(name=name, **fields)
        return await self.templates.CreateDocumentTemplate(
            documents_pb2.CreateDocumentTemplateRequest(document_template=asked)
        )

    async def evidence(self, quote: quotes_pb2.Quote) -> list[documents_pb2.AcceptanceEvidence]:
        """What customers did."""
        answer = await self.documents.ListAcceptanceEvidence(
            documents_pb2.ListAcceptanceEvidenceRequest(id=quote.id)
        )
        return list(answer.acceptance_evidence)

    async def state(self, quote: quotes_pb2.Quote) -> int:
        """Where a quote stands now."""
        found = await self.quotes.GetQuote(quotes_pb2.GetQuoteRequest(id=quote.id))
        return found.state


def path_of(link: documents_pb2.AcceptanceLink) -> str:
    """The path of a link's address."""
    assert link.url.startswith(f"{PUBLIC_URL}/q/")
    return link.url.removeprefix(PUBLIC_URL)


@asynccontextmanager
async def gateway_before(stack: Stack, **settings: Any) -> AsyncIterator[Gateway]:
    """A gateway before the services of a stack."""
    peers = {
        name: stack.address(name)
        for name in ("identity", "contacts", "leads", "opportunities", "quotes", "forecast")
    }
    made = GatewaySettings(port=0, peers=peers, **settings)
    async with Gateway(made, verifier=TokenVerifier(stack.callers.keys, stack.clock)) as gateway:
        yield gateway


class Browser:
    """A customer's browser without scripts: it opens pages, fills in their forms, follows redirects."""

    def __init__(self, client: httpx.AsyncClient, path: str) -> None:
        self.client = client
        self.path = path

    async def open(self) -> httpx.Response:
        """Opens the page."""
        return await self.client.get(self.path)

    async def submit(self, action: str, **fields: str) -> httpx.Response:
        """Sends a form, with the hidden fields that the page has."""
        page = (await self.open()).text
        found = re.search(r'name="document" value="([0-9a-f]{64})"', page)
        hidden = {"document": found[1]} if found and action == "accept" else {}
        return await self.client.post(self.path, data={"action": action, **hidden, **fields})

    async def accept(self, name: str = "Ada Lovelace", **fields: str) -> httpx.Response:
        """Accepts."""
        return await self.submit("accept", name=name, agree="yes", **fields)
