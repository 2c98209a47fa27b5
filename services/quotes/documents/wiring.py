"""Documents, put together: who makes them, where they are kept, how they are given out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from sfa.contacts.v1.contacts_pb2_grpc import AccountServiceStub, ContactServiceStub
from sfa.quotes.v1 import documents_pb2

from chassis.service import ServiceContext
from services.quotes.documents.email import EMAIL, EmailSending
from services.quotes.documents.issuing import Documents
from services.quotes.documents.links import LinkSigner
from services.quotes.documents.parties import Parties
from services.quotes.documents.settings import DocumentSettings
from services.quotes.documents.typesetting import Typesetter
from services.quotes.servicer.acceptance_pages import AcceptancePageServicer
from services.quotes.servicer.document_templates import DocumentTemplateServicer
from services.quotes.servicer.quote_documents import QuoteDocumentServicer
from services.quotes.store.documents import DatabaseBlobs, FolderBlobs
from services.quotes.tables.documents import ACCEPTANCE_LINK, DOCUMENT_TEMPLATE, QUOTE_EMAIL

DOCUMENTS: Final = (DOCUMENT_TEMPLATE, ACCEPTANCE_LINK, QUOTE_EMAIL)


@dataclass(frozen=True)
class DocumentParts:
    """What the service has to do with documents."""

    servicers: Mapping[ServiceDescriptor, Any]
    due: Mapping[str, Callable[..., Any]]


def documents(context: ServiceContext, settings: DocumentSettings | None = None) -> DocumentParts:
    """The parts, by the settings of the environment where none are given."""
    settings = settings or DocumentSettings()
    contacts = cast("grpc.aio.Channel", context.peers.channel("contacts"))
    folder = settings.documents_folder
    made = Documents(
        Typesetter(settings.documents_at_once, settings.fonts_folder),
        Parties(AccountServiceStub(contacts), ContactServiceStub(contacts)),
        FolderBlobs(folder) if folder is not None else DatabaseBlobs(),
    )
    signer = LinkSigner(settings.signing_keys(context.settings.secret), settings.public_url)
    services = documents_pb2.DESCRIPTOR.services_by_name
    return DocumentParts(
        servicers={
            services["DocumentTemplateService"]: DocumentTemplateServicer(made),
            services["QuoteDocumentService"]: QuoteDocumentServicer(made, signer, settings),
            services["AcceptancePageService"]: AcceptancePageServicer(made, signer),
        },
        due={EMAIL: EmailSending(made, signer, settings)},
    )
