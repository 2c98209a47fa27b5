"""Templates, documents, links, evidence and e-mails, to and from the protos."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sfa.quotes.v1 import documents_pb2 as pb

from chassis import convert
from services.quotes.domain.acceptance import AcceptanceLink, Answer, EvidenceKind
from services.quotes.domain.document_templates import DocumentTemplate, DocumentTexts
from services.quotes.domain.quote_emails import EmailState, QuoteEmail

_PAPERS = {"a4": pb.DocumentTemplate.A4, "us-letter": pb.DocumentTemplate.US_LETTER}
_PAPER_NAMES = {
    pb.DocumentTemplate.PAPER_UNSPECIFIED: "a4",
    **{value: name for name, value in _PAPERS.items()},
}
_ANSWERS = {
    Answer.NONE: pb.AcceptanceLink.ANSWER_UNSPECIFIED,
    Answer.ACCEPTED: pb.AcceptanceLink.ACCEPTED,
    Answer.REJECTED: pb.AcceptanceLink.REJECTED,
}
_KINDS = {kind.value: pb.AcceptanceEvidence.Kind.Value(kind.name) for kind in EvidenceKind}
_EMAIL_STATES = {state: pb.QuoteEmail.State.Value(state.name) for state in EmailState}


def template_to_proto(template: DocumentTemplate) -> pb.DocumentTemplate:
    """The resource."""
    result = pb.DocumentTemplate()
    convert.set_head(result, template)
    for name in (
        *(
            "name",
            "is_default",
            "language",
            "colour",
            "sender_name",
            "sender_address",
            "introduction",
            "terms",
        ),
        *("logo_hash", "logo_media_type"),
    ):
        setattr(result, name, getattr(template, name))
    result.paper = _PAPERS[template.paper]
    result.footer.extend(template.footer)
    for texts in template.translations:
        result.translations.add(
            language=texts.language, introduction=texts.introduction, terms=texts.terms, footer=texts.footer
        )
    return result


# How each field that a client may set is read; the names are those of the update mask.
TEMPLATE_FIELDS: Mapping[str, Callable[[pb.DocumentTemplate], Any]] = {
    "external_ids": lambda message: convert.external_ids_of(message.external_ids),
    "name": lambda message: message.name,
    "is_default": lambda message: message.is_default,
    "language": lambda message: message.language,
    "colour": lambda message: message.colour,
    "paper": lambda message: _PAPER_NAMES[message.paper],
    "sender_name": lambda message: message.sender_name,
    "sender_address": lambda message: message.sender_address,
    "introduction": lambda message: message.introduction,
    "terms": lambda message: message.terms,
    "footer": lambda message: tuple(message.footer),
    "translations": lambda message: tuple(
        DocumentTexts(texts.language, texts.introduction, texts.terms, tuple(texts.footer))
        for texts in message.translations
    ),
}


def link_to_proto(link: AcceptanceLink, url: str = "") -> pb.AcceptanceLink:
    """The resource; its address only where it is given."""
    result = pb.AcceptanceLink()
    convert.set_head(result, link)
    result.quote_id, result.owner_id = str(link.quote_id), str(link.owner_id)
    result.recipient_name, result.language = link.recipient_name, link.language
    result.document_hash, result.question_count = link.document_hash, link.question_count
    result.answer = _ANSWERS[link.answer]
    result.url = url
    if link.template_id is not None:
        result.template_id = str(link.template_id)
    for field, at in (
        ("expire_time", link.expires_at),
        ("revoke_time", link.revoked_at),
        ("view_time", link.viewed_at),
        ("answer_time", link.answered_at),
    ):
        if at is not None:
            convert.set_timestamp(getattr(result, field), at)
    return result


def email_to_proto(email: QuoteEmail) -> pb.QuoteEmail:
    """The resource."""
    result = pb.QuoteEmail()
    convert.set_head(result, email)
    for name in ("recipient_email", "recipient_name", "message", "language", "failure"):
        setattr(result, name, getattr(email, name))
    result.quote_id, result.owner_id = str(email.quote_id), str(email.owner_id)
    result.acceptance_link_id = str(email.acceptance_link_id)
    result.state = _EMAIL_STATES[email.state]
    if email.template_id is not None:
        result.template_id = str(email.template_id)
    if email.sent_at is not None:
        convert.set_timestamp(result.send_time, email.sent_at)
    return result


def evidence_to_proto(row: Any) -> pb.AcceptanceEvidence:
    """One row of evidence."""
    result = pb.AcceptanceEvidence(
        id=str(row["id"]),
        quote_id=str(row["quote_id"]),
        acceptance_link_id=str(row["link_id"]),
        kind=_KINDS[row["kind"]],
        signature=row["signature"],
    )
    for name in (
        *(
            "address",
            "user_agent",
            "document_hash",
            "name",
            "text",
            "email",
            "purchase_order_number",
            "chain",
        ),
    ):
        setattr(result, name, row[name])
    convert.set_timestamp(result.time, row["at"])
    return result


def document_to_proto(row: Any) -> pb.QuoteDocument:
    """One row of the documents that are kept."""
    template = row["template_id"]
    result = pb.QuoteDocument(
        hash=row["hash"],
        quote_id=str(row["quote_id"]),
        language=row["language"],
        template_id=str(template) if template.int else "",
        size_bytes=row["size_bytes"],
    )
    convert.set_timestamp(result.create_time, row["created_at"])
    return result
