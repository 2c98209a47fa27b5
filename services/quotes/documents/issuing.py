"""How a quote's document comes to be: made once for each language and template from sending on, then kept."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import orjson

from chassis.call import Call
from services.quotes.documents.content import Content, content_of
from services.quotes.documents.language import Language, language_of
from services.quotes.documents.parties import Parties
from services.quotes.documents.typesetting import Picture, Typesetter, hash_of
from services.quotes.domain.acceptance import AcceptanceLink
from services.quotes.domain.document_templates import PLAIN, DocumentTemplate
from services.quotes.domain.quotes import IN_PREPARATION, Quote
from services.quotes.store.documents import BlobMissing, Blobs, DocumentTemplateStore, QuoteDocumentStore


@dataclass(frozen=True, slots=True)
class Issued:
    """A document: its bytes, what they are known by, and how it was set."""

    pdf: bytes
    hash: str
    language: Language
    template: DocumentTemplate


class Documents:
    """Makes documents, and finds those that were made."""

    def __init__(self, typesetter: Typesetter, parties: Parties, blobs: Blobs) -> None:
        self._typesetter = typesetter
        self._parties = parties
        self.blobs = blobs

    async def issue(
        self, call: Call, quote: Quote, template_id: str, language_code: str, field: str = ""
    ) -> Issued:
        """The document of a quote, kept from now on where the customer has the quote. To be asked before the
        first write. While pages are set, nothing is open in the database.

        Args:
            call: Who asks.
            quote: The quote.
            template_id: The template; the default one for none.
            language_code: The language; the template's for none.
            field: The path of the message that has both, for refusals.

        Raises:
            EntityNotFound: there is no such template.
            LanguageUnknown: nothing is made in this language.
            TooManyDocuments: too many are being made.
        """
        prefix = f"{field}." if field else ""
        template = await DocumentTemplateStore(call).named(template_id, f"{prefix}template_id")
        language = language_of(language_code or template.language, f"{prefix}language")
        store = QuoteDocumentStore(call, self.blobs)
        kept = await store.find(quote.id, language.code, template.id)
        if kept is not None:
            return Issued(await store.content(kept.hash), kept.hash, language, template)
        customer = await self._parties.of(quote.account_id, quote.contact_id)
        at = quote.sent_at or quote.updated_at or call.now
        content = await asyncio.to_thread(content_of, quote, template, language, customer, at)
        pdf = await self.set(call, content, template, quote)
        hash = hash_of(pdf)
        if quote.state not in IN_PREPARATION:
            said = orjson.dumps(content)
            first = await store.keep(quote.id, language.code, template.id, pdf, said, call.now)
            if first.hash != hash:  # somebody else was faster
                return Issued(await store.content(first.hash), first.hash, language, template)
        return Issued(pdf, hash, language, template)

    async def said(self, call: Call, link: AcceptanceLink) -> Content:
        """What the document of a link says."""
        store = QuoteDocumentStore(call, self.blobs)
        kept = await store.find(link.quote_id, link.language, link.template_id or PLAIN.id)
        if kept is None or kept.hash != link.document_hash:
            raise BlobMissing(link.document_hash)
        content: Content = orjson.loads(await store.content(kept.content_hash))
        return content

    async def set(self, call: Call, content: Content, template: DocumentTemplate, quote: Quote) -> bytes:
        """The pages of a content; what was read before is let go meanwhile."""
        logo = await self.logo(call, template)
        await call.tx.rollback()
        return await self._typesetter.pdf(content, logo, quote.sent_at or quote.updated_at or call.now)

    async def logo(self, call: Call, template: DocumentTemplate) -> Picture | None:
        """The template's logo."""
        return await self.picture(call, template.logo_hash, template.logo_media_type)

    async def picture(self, call: Call, hash: str, media_type: str) -> Picture | None:
        """The logo of a hash; None for none."""
        return Picture(await self.blobs.get(call, hash), media_type) if hash else None
