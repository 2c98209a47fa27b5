"""The RPCs of documents, links and e-mails."""

from __future__ import annotations

from datetime import datetime

from google.api.httpbody_pb2 import HttpBody
from sfa.quotes.v1 import documents_pb2 as pb

from chassis import due
from chassis.call import Call
from chassis.convert import datetime_of, uuid_of
from chassis.ids import new_id
from services.quotes.documents.email import EMAIL
from services.quotes.documents.issuing import Documents
from services.quotes.documents.links import LinkSigner, digest_of
from services.quotes.documents.settings import DocumentSettings
from services.quotes.domain.acceptance import AcceptanceLink
from services.quotes.domain.products import FieldRequired
from services.quotes.domain.quote_emails import EmailNotConfigured, QuoteEmail
from services.quotes.domain.quotes import Quote
from services.quotes.expiry import expires_at
from services.quotes.servicer.http import inline
from services.quotes.store import QuoteStore
from services.quotes.store.documents import (
    AcceptanceLinkStore,
    EvidenceStore,
    QuoteDocumentStore,
    QuoteEmailStore,
)
from services.quotes.wire import documents as wire


class QuoteDocumentServicer:
    """The documents of quotes, and how they reach the customer."""

    def __init__(self, documents: Documents, signer: LinkSigner, settings: DocumentSettings) -> None:
        self.documents = documents
        self.signer = signer
        self.settings = settings

    async def GetQuoteDocument(self, request: pb.GetQuoteDocumentRequest, call: Call) -> HttpBody:
        quote = await QuoteStore(call).get(request.id)
        issued = await self.documents.issue(call, quote, request.template_id, request.language)
        return inline(issued.pdf, file_name(quote))

    async def ListQuoteDocuments(
        self, request: pb.ListQuoteDocumentsRequest, call: Call
    ) -> pb.ListQuoteDocumentsResponse:
        quote = await QuoteStore(call).get(request.id, deleted=True)
        rows = await QuoteDocumentStore(call, self.documents.blobs).of_quote(quote.id)
        return pb.ListQuoteDocumentsResponse(quote_documents=map(wire.document_to_proto, rows))

    async def CreateAcceptanceLink(
        self, request: pb.CreateAcceptanceLinkRequest, call: Call
    ) -> pb.AcceptanceLink:
        asked = request.acceptance_link
        quote = await QuoteStore(call).get(asked.quote_id, field="acceptance_link.quote_id")
        until = datetime_of(asked.expire_time) if asked.HasField("expire_time") else None
        link = await self._link(
            call,
            quote,
            asked.template_id,
            asked.language,
            asked.recipient_name,
            until,
            asked.id,
            "acceptance_link",
        )
        return wire.link_to_proto(link, self.signer.url(link.id, link.digest))

    async def GetAcceptanceLink(self, request: pb.GetAcceptanceLinkRequest, call: Call) -> pb.AcceptanceLink:
        link = await AcceptanceLinkStore(call).get(request.id)
        may = "quotes.write" in call.caller.permissions
        return wire.link_to_proto(link, self.signer.url(link.id, link.digest) if may else "")

    async def ListAcceptanceLinks(
        self, request: pb.ListAcceptanceLinksRequest, call: Call
    ) -> pb.ListAcceptanceLinksResponse:
        page = await AcceptanceLinkStore(call).page(request)
        return pb.ListAcceptanceLinksResponse(
            acceptance_links=map(wire.link_to_proto, page.items), next_page_token=page.next_page_token
        )

    async def RevokeAcceptanceLink(
        self, request: pb.RevokeAcceptanceLinkRequest, call: Call
    ) -> pb.AcceptanceLink:
        store = AcceptanceLinkStore(call)
        link = await store.get(request.id, request.etag)
        await store.save(link, link.revoke(call.now))
        return wire.link_to_proto(link)

    async def ListAcceptanceEvidence(
        self, request: pb.ListAcceptanceEvidenceRequest, call: Call
    ) -> pb.ListAcceptanceEvidenceResponse:
        quote = await QuoteStore(call).get(request.id, deleted=True)
        rows = await EvidenceStore(call).of_quote(quote.id)
        return pb.ListAcceptanceEvidenceResponse(acceptance_evidence=map(wire.evidence_to_proto, rows))

    async def EmailQuote(self, request: pb.EmailQuoteRequest, call: Call) -> pb.QuoteEmail:
        asked = request.quote_email
        if not self.settings.can_send_email:
            raise EmailNotConfigured
        if not asked.recipient_email:
            raise FieldRequired("quote email", "recipient_email")
        quote = await QuoteStore(call).get(asked.quote_id, field="quote_email.quote_id")
        link = await self._link(
            call, quote, asked.template_id, asked.language, asked.recipient_name, None, "", "quote_email"
        )
        email = QuoteEmail(
            id=uuid_of(asked.id) or new_id(),
            quote_id=quote.id,
            owner_id=quote.owner_id,
            recipient_email=asked.recipient_email,
            recipient_name=asked.recipient_name,
            message=asked.message,
            language=link.language,
            template_id=link.template_id,
            acceptance_link_id=link.id,
        )
        await QuoteEmailStore(call).add(email, email.create())
        await due.schedule(call, EMAIL, str(email.id), call.now)
        return wire.email_to_proto(email)

    async def GetQuoteEmail(self, request: pb.GetQuoteEmailRequest, call: Call) -> pb.QuoteEmail:
        return wire.email_to_proto(await QuoteEmailStore(call).get(request.id))

    async def ListQuoteEmails(
        self, request: pb.ListQuoteEmailsRequest, call: Call
    ) -> pb.ListQuoteEmailsResponse:
        page = await QuoteEmailStore(call).page(request)
        return pb.ListQuoteEmailsResponse(
            quote_emails=map(wire.email_to_proto, page.items), next_page_token=page.next_page_token
        )

    async def _link(
        self,
        call: Call,
        quote: Quote,
        template_id: str,
        language: str,
        recipient_name: str,
        until: datetime | None,
        id: str,
        field: str,
    ) -> AcceptanceLink:
        quote.must_be_with_customer()
        link_id = uuid_of(id) or new_id()
        digest = digest_of(self.signer.token(link_id))
        issued = await self.documents.issue(call, quote, template_id, language, field)
        end = expires_at(quote)
        link = AcceptanceLink(
            id=link_id,
            quote_id=quote.id,
            owner_id=quote.owner_id,
            digest=digest,
            recipient_name=recipient_name,
            language=issued.language.code,
            template_id=issued.template.id if issued.template.id.int else None,
            document_hash=issued.hash,
            expires_at=min(end, until) if until is not None else end,
        )
        await AcceptanceLinkStore(call).add(link, link.create(call.now))
        return link


def file_name(quote: Quote) -> str:
    """What the document of a quote is called: `Q-000042.pdf`, `Q-000042-2.pdf` for the second revision."""
    return f"{quote.number}{f'-{quote.revision}' if quote.revision > 1 else ''}.pdf"
