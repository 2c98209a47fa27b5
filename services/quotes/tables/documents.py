"""Document templates, documents, acceptance links, evidence, e-mails."""

from sfa.quotes.v1 import events_pb2
from sqlalchemy import Boolean, Column, Integer, LargeBinary, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from chassis.columns import array, enumerated, listed
from chassis.fields import Field
from chassis.schema import entity_table, timestamp_column
from chassis.store import EntityType
from services.quotes.domain.acceptance import AcceptanceLink, Answer
from services.quotes.domain.document_templates import DocumentTemplate, DocumentTexts, TemplateNameTaken
from services.quotes.domain.quote_emails import EmailState, QuoteEmail
from services.quotes.tables.base import metadata
from services.quotes.wire import documents as wire

document_templates = entity_table(
    "document_templates",
    metadata,
    Column("name", Text, nullable=False),
    Column("is_default", Boolean, nullable=False),
    Column("language", Text),
    Column("colour", Text),
    Column("paper", Text),
    Column("sender_name", Text),
    Column("sender_address", Text),
    Column("introduction", Text),
    Column("terms", Text),
    Column("footer", ARRAY(Text)),
    Column("translations", JSONB),
    Column("logo_hash", Text),
    Column("logo_media_type", Text),
)

DOCUMENT_TEMPLATE = EntityType(
    name="document_template",
    cls=DocumentTemplate,
    table=document_templates,
    to_proto=wire.template_to_proto,
    events=events_pb2,
    fields={
        "name": Field.of(document_templates.c.name, nullable=False, sortable=True),
        "is_default": Field.of(document_templates.c.is_default),
        "language": Field.of(document_templates.c.language),
    },
    codecs={
        "footer": array(),
        "translations": listed(
            DocumentTexts, lambda item: DocumentTexts(**{**item, "footer": tuple(item["footer"])})
        ),
    },
    unique={"document_templates_name": TemplateNameTaken},
)

blobs = Table(
    "blobs",
    metadata,
    Column("tenant_id", Uuid),
    Column("hash", Text, primary_key=True),
    Column("content", LargeBinary),
)

quote_documents = Table(
    "quote_documents",
    metadata,
    Column("tenant_id", Uuid),
    Column("quote_id", Uuid, primary_key=True),
    Column("language", Text, primary_key=True),
    Column("template_id", Uuid, primary_key=True),
    Column("hash", Text),
    Column("content_hash", Text),
    Column("size_bytes", Integer),
    timestamp_column("created_at"),
)

acceptance_links = entity_table(
    "acceptance_links",
    metadata,
    Column("quote_id", Uuid, nullable=False),
    Column("owner_id", Uuid, nullable=False),
    Column("digest", Text, nullable=False),
    Column("recipient_name", Text),
    Column("language", Text),
    Column("template_id", Uuid),
    Column("document_hash", Text),
    timestamp_column("expires_at"),
    timestamp_column("revoked_at"),
    timestamp_column("viewed_at"),
    Column("answer", Text),
    timestamp_column("answered_at"),
    Column("question_count", Integer),
)

ACCEPTANCE_LINK = EntityType(
    name="acceptance_link",
    cls=AcceptanceLink,
    table=acceptance_links,
    to_proto=wire.link_to_proto,
    events=events_pb2,
    owner="owner_id",
    fields={
        "quote_id": Field.of(acceptance_links.c.quote_id),
        "owner_id": Field.of(acceptance_links.c.owner_id),
        "expire_time": Field.of(acceptance_links.c.expires_at, nullable=False, sortable=True),
    },
    codecs={"answer": enumerated(Answer)},
)

link_handles = Table(
    "link_handles",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("tenant_id", Uuid),
    Column("link_id", Uuid),
)
"""Where the digest of a token leads, in whatever tenant; kept by a trigger."""

acceptance_evidence = Table(
    "acceptance_evidence",
    metadata,
    Column("tenant_id", Uuid),
    Column("id", Uuid, primary_key=True),
    Column("ordinal", Integer),
    Column("quote_id", Uuid),
    Column("link_id", Uuid),
    Column("kind", Text),
    timestamp_column("at"),
    Column("address", Text),
    Column("user_agent", Text),
    Column("document_hash", Text),
    Column("name", Text),
    Column("signature", LargeBinary),
    Column("text", Text),
    Column("email", Text),
    Column("purchase_order_number", Text),
    Column("chain", Text),
)

quote_emails = entity_table(
    "quote_emails",
    metadata,
    Column("quote_id", Uuid, nullable=False),
    Column("owner_id", Uuid, nullable=False),
    Column("recipient_email", Text),
    Column("recipient_name", Text),
    Column("message", Text),
    Column("language", Text),
    Column("template_id", Uuid),
    Column("state", Text),
    Column("acceptance_link_id", Uuid),
    timestamp_column("sent_at"),
    Column("failure", Text),
)

QUOTE_EMAIL = EntityType(
    name="quote_email",
    cls=QuoteEmail,
    table=quote_emails,
    to_proto=wire.email_to_proto,
    events=events_pb2,
    owner="owner_id",
    fields={
        "quote_id": Field.of(quote_emails.c.quote_id),
        "owner_id": Field.of(quote_emails.c.owner_id),
        "state": Field.of(quote_emails.c.state, names={state.name: state.value for state in EmailState}),
        "send_time": Field.of(quote_emails.c.sent_at, sortable=True),
    },
    codecs={"state": enumerated(EmailState)},
)
