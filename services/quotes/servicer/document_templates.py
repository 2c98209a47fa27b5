"""The document templates' RPCs."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

from google.api.httpbody_pb2 import HttpBody
from sfa.quotes.v1 import documents_pb2 as pb

from chassis.call import Call
from chassis.convert import fields_to_change, uuid_of
from chassis.ids import new_id
from chassis.money import Money
from services.quotes.documents.content import content_of
from services.quotes.documents.issuing import Documents
from services.quotes.documents.language import language_of
from services.quotes.documents.parties import Party
from services.quotes.documents.pictures import logo_of
from services.quotes.documents.typesetting import hash_of
from services.quotes.domain.document_templates import DocumentTemplate, DocumentTemplateDeleted, LogoMissing
from services.quotes.domain.lines import QuoteLine
from services.quotes.domain.quotes import Quote
from services.quotes.servicer.http import inline, picture
from services.quotes.store.documents import DocumentTemplateStore, QuoteDocumentStore
from services.quotes.wire import documents as wire

_PREVIEW_LINES = 5


class DocumentTemplateServicer:
    """The templates."""

    def __init__(self, documents: Documents) -> None:
        self.documents = documents

    async def CreateDocumentTemplate(
        self, request: pb.CreateDocumentTemplateRequest, call: Call
    ) -> pb.DocumentTemplate:
        asked = request.document_template
        fields = _fields(asked, None)
        template = DocumentTemplate(id=uuid_of(asked.id) or new_id(), **{"name": "", **fields})
        created = template.create()
        store = DocumentTemplateStore(call)
        if template.is_default:
            await store.make_room(template)
        await store.add(template, created)
        return wire.template_to_proto(template)

    async def GetDocumentTemplate(
        self, request: pb.GetDocumentTemplateRequest, call: Call
    ) -> pb.DocumentTemplate:
        return wire.template_to_proto(await DocumentTemplateStore(call).get(request.id, deleted=True))

    async def ListDocumentTemplates(
        self, request: pb.ListDocumentTemplatesRequest, call: Call
    ) -> pb.ListDocumentTemplatesResponse:
        page = await DocumentTemplateStore(call).page(request)
        return pb.ListDocumentTemplatesResponse(
            document_templates=map(wire.template_to_proto, page.items), next_page_token=page.next_page_token
        )

    async def UpdateDocumentTemplate(
        self, request: pb.UpdateDocumentTemplateRequest, call: Call
    ) -> pb.DocumentTemplate:
        store = DocumentTemplateStore(call)
        template = await store.get(request.id, request.etag)
        changed = template.change(_fields(request.document_template, request.update_mask))
        if template.is_default:
            await store.make_room(template)
        await store.save(template, changed)
        return wire.template_to_proto(template)

    async def DeleteDocumentTemplate(
        self, request: pb.DeleteDocumentTemplateRequest, call: Call
    ) -> pb.DocumentTemplate:
        store = DocumentTemplateStore(call)
        template = await store.get(request.id, request.etag)
        template.mark_deleted(call.now)
        template.is_default = False
        await store.save(template, DocumentTemplateDeleted())
        return wire.template_to_proto(template)

    async def SetDocumentTemplateLogo(
        self, request: pb.SetDocumentTemplateLogoRequest, call: Call
    ) -> pb.DocumentTemplate:
        content = bytes(request.logo.data)
        store = DocumentTemplateStore(call)
        template = await store.get(request.id, request.etag)
        if not content:
            changed = template.set_logo("", "")
        else:
            logo = await asyncio.to_thread(logo_of, content)
            hash = hash_of(content)
            await QuoteDocumentStore(call, self.documents.blobs).put(hash, content)
            changed = template.set_logo(hash, logo.media_type)
        await store.save(template, changed)
        return wire.template_to_proto(template)

    async def GetDocumentTemplateLogo(
        self, request: pb.GetDocumentTemplateLogoRequest, call: Call
    ) -> HttpBody:
        template = await DocumentTemplateStore(call).get(request.id, deleted=True)
        logo = await self.documents.logo(call, template)
        if logo is None:
            raise LogoMissing
        return picture(logo)

    async def PreviewDocumentTemplate(
        self, request: pb.PreviewDocumentTemplateRequest, call: Call
    ) -> HttpBody:
        template = await DocumentTemplateStore(call).get(request.id)
        language = language_of(request.language or template.language)
        quote = _invented(request.line_count or _PREVIEW_LINES)
        party = Party("Example & Co", "1 Main Street\nSpringfield")
        content = await asyncio.to_thread(content_of, quote, template, language, party, call.now)
        pdf = await self.documents.set(call, content, template, quote)
        return inline(pdf, f"{template.name}.pdf")


def _fields(message: pb.DocumentTemplate, mask: Any) -> dict[str, Any]:
    """What is to change; raises LanguageUnknown where documents are made in none of the languages."""
    fields = fields_to_change(message, mask, wire.TEMPLATE_FIELDS)
    if fields.get("language"):
        fields["language"] = language_of(fields["language"], "document_template.language").code
    for index, texts in enumerate(fields.get("translations", ())):
        language_of(texts.language, f"document_template.translations[{index}].language")
    return fields


def _invented(count: int) -> Quote:
    """A quote that nobody made."""
    nobody = new_id()
    lines = tuple(
        QuoteLine(
            id=new_id(),
            product_id=None,
            description=f"Example {number}",
            quantity=Decimal(number % 7 + 1),
            unit_price=Money(Decimal("19.90") * (number % 5 + 1), "EUR"),
            list_price=None,
            discount_percent=Decimal(10 if number % 3 == 0 else 0),
        )
        for number in range(1, count + 1)
    )
    quote = Quote(
        number="Q-000000", opportunity_id=nobody, owner_id=nobody, price_book_id=nobody, currency="EUR"
    )
    quote.create(lines)
    return quote
