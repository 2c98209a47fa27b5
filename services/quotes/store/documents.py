"""Queries of templates, documents, links, evidence and e-mails."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from chassis.call import Call
from chassis.store import Conflict, EntityStore
from services.quotes.domain.acceptance import AcceptanceLink, Evidence, EvidenceKind
from services.quotes.domain.document_templates import PLAIN, DocumentTemplate
from services.quotes.domain.quote_emails import QuoteEmail
from services.quotes.store.base import ASIDE
from services.quotes.tables.documents import (
    ACCEPTANCE_LINK,
    DOCUMENT_TEMPLATE,
    QUOTE_EMAIL,
    acceptance_evidence,
    blobs,
    document_templates,
    link_handles,
    quote_documents,
)

_MOST = 500


class BlobMissing(Exception):
    """Something that was kept is gone: the folder of documents is not the one that it was kept in."""


class Blobs(Protocol):
    """Where contents are kept, each by its hash, of one tenant at a time."""

    async def put(self, call: Call, hash: str, content: bytes) -> None:
        """Keeps a content; nothing where it is kept already."""
        ...

    async def get(self, call: Call, hash: str) -> bytes:
        """The content of a hash; raises BlobMissing."""
        ...


class DatabaseBlobs:
    """In the database, beside everything else."""

    async def put(self, call: Call, hash: str, content: bytes) -> None:
        call.tx.wrote = True
        await call.tx.execute(insert(blobs).values(hash=hash, content=content).on_conflict_do_nothing())

    async def get(self, call: Call, hash: str) -> bytes:
        content: bytes | None = await call.tx.fetchval(sa.select(blobs.c.content).where(blobs.c.hash == hash))
        if content is None:
            raise BlobMissing(hash)
        return content


class FolderBlobs:
    """In a folder that every replica sees, a file each. A file stays where its transaction is rolled back:
    it is the same the next time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, call: Call, hash: str, content: bytes) -> None:
        await asyncio.to_thread(self._put, self._path(call, hash), content)

    async def get(self, call: Call, hash: str) -> bytes:
        try:
            content = await asyncio.to_thread(self._path(call, hash).read_bytes)
        except FileNotFoundError:
            raise BlobMissing(hash) from None
        if hashlib.sha256(content).hexdigest() != hash:
            raise BlobMissing(hash)
        return content

    def _path(self, call: Call, hash: str) -> Path:
        return self._folder / str(call.caller.tenant) / hash[:2] / hash

    @staticmethod
    def _put(path: Path, content: bytes) -> None:
        if path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(path)


class DocumentTemplateStore(EntityStore[DocumentTemplate]):
    """The templates."""

    type = DOCUMENT_TEMPLATE

    async def default(self) -> DocumentTemplate | None:
        """The default one."""
        row = await self.tx.fetchrow(self.select().where(document_templates.c.is_default))
        return self._load(row) if row is not None else None

    async def named(self, id: UUID | str | None, field: str) -> DocumentTemplate:
        """The template with this id; the default one for none, or a plain one where there is none either.

        Raises:
            EntityNotFound: there is none with this id.
        """
        return await self.get(id, field=field) if id else await self.default() or PLAIN

    async def make_room(self, template: DocumentTemplate) -> None:
        """Lets the default one give way to another that is to be it."""
        former = await self.default()
        if former is not None and former.id != template.id:
            self.stage(former, former.give_way(), ordinal=ASIDE)
            await self.flush()


@dataclass(frozen=True, slots=True)
class Kept:
    """What a document that is kept is known by, and what it says: both by their hash."""

    hash: str
    content_hash: str


class QuoteDocumentStore:
    """The documents that are kept, and their bytes."""

    def __init__(self, call: Call, contents: Blobs) -> None:
        self._call = call
        self._contents = contents

    async def find(self, quote_id: UUID, language: str, template_id: UUID) -> Kept | None:
        """The document of a quote in a language, set with a template; None where there is none."""
        kept = quote_documents.c
        row = await self._call.tx.fetchrow(
            sa.select(kept.hash, kept.content_hash).where(
                kept.quote_id == quote_id, kept.language == language, kept.template_id == template_id
            )
        )
        return Kept(row[0], row[1]) if row is not None else None

    async def keep(
        self, quote_id: UUID, language: str, template_id: UUID, pdf: bytes, content: bytes, at: datetime
    ) -> Kept:
        """Keeps a document and what it says, unless one is kept already; answers the one that is."""
        call, ours = self._call, Kept(_hash(pdf), _hash(content))
        await self.put(ours.hash, pdf)
        await self.put(ours.content_hash, content)
        call.tx.wrote = True
        await call.tx.execute(
            insert(quote_documents)
            .values(
                quote_id=quote_id, language=language, template_id=template_id, hash=ours.hash,
                content_hash=ours.content_hash, size_bytes=len(pdf), created_at=at,
            )
            .on_conflict_do_nothing()
        )  # fmt: skip
        return await self.find(quote_id, language, template_id) or ours

    async def content(self, hash: str) -> bytes:
        """The bytes of a hash."""
        return await self._contents.get(self._call, hash)

    async def put(self, hash: str, content: bytes) -> None:
        """Keeps bytes."""
        await self._contents.put(self._call, hash, content)

    async def of_quote(self, quote_id: UUID) -> list[Any]:
        """The rows of a quote, newest first."""
        rows: list[Any] = await self._call.tx.fetch(
            sa.select(quote_documents)
            .where(quote_documents.c.quote_id == quote_id)
            .order_by(quote_documents.c.created_at.desc(), quote_documents.c.hash)
            .limit(_MOST)
        )
        return rows


class AcceptanceLinkStore(EntityStore[AcceptanceLink]):
    """The links."""

    type = ACCEPTANCE_LINK


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


async def handle_of(call: Call, digest: str) -> tuple[UUID, UUID] | None:
    """Tenant and link of the digest of a token, in whatever tenant."""
    row = await call.tx.fetchrow(
        sa.select(link_handles.c.tenant_id, link_handles.c.link_id).where(link_handles.c.digest == digest)
    )
    return (row[0], row[1]) if row is not None else None


class EvidenceStore:
    """What customers did: added to, never changed."""

    def __init__(self, call: Call) -> None:
        self._call = call

    async def add(self, evidence: Evidence) -> None:
        """Keeps evidence, chained to what there is of the same quote. Of two at the same moment one
        comes too late, and its call is repeated."""
        kept = acceptance_evidence.c
        call = self._call
        last = await call.tx.fetchrow(
            sa.select(kept.ordinal, kept.chain)
            .where(kept.quote_id == evidence.quote_id)
            .order_by(kept.ordinal.desc())
            .limit(1)
        )
        ordinal, before = (last[0] + 1, last[1]) if last is not None else (1, "")
        call.tx.wrote = True
        statement = (
            insert(acceptance_evidence)
            .values(
                id=evidence.id, ordinal=ordinal, quote_id=evidence.quote_id, link_id=evidence.link_id,
                kind=evidence.kind.value, at=evidence.at, address=evidence.address,
                user_agent=evidence.user_agent, document_hash=evidence.document_hash, name=evidence.name,
                signature=evidence.signature, text=evidence.text, email=evidence.email,
                purchase_order_number=evidence.purchase_order_number, chain=evidence.chain(before),
            )
            .on_conflict_do_nothing()
            .returning(acceptance_evidence.c.id)
        )  # fmt: skip
        if await call.tx.fetchval(statement) is None:
            raise Conflict

    async def was_asked(self, quote_id: UUID, link_id: UUID, question: str) -> bool:
        """Whether the same question was asked by the same link."""
        kept = acceptance_evidence.c
        found = await self._call.tx.fetchval(
            sa.select(kept.id)
            .where(kept.quote_id == quote_id, kept.link_id == link_id, kept.text == question)
            .where(kept.kind == EvidenceKind.ASKED.value)
            .limit(1)
        )
        return found is not None

    async def of_quote(self, quote_id: UUID) -> list[Any]:
        """The rows of a quote, oldest first."""
        rows: list[Any] = await self._call.tx.fetch(
            sa.select(acceptance_evidence)
            .where(acceptance_evidence.c.quote_id == quote_id)
            .order_by(acceptance_evidence.c.ordinal)
            .limit(_MOST)
        )
        return rows


class QuoteEmailStore(EntityStore[QuoteEmail]):
    """The e-mails."""

    type = QUOTE_EMAIL
