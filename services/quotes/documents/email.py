"""Quotes by e-mail: due work hands each to the mail server.

An e-mail is handed over at least once, and more than once only where the process dies between the mail
server's answer and our commit; all of them carry the same Message-ID, by which mail programs show one.
"""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from collections.abc import Callable
from datetime import datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from chassis import due
from chassis.call import Call
from services.quotes.documents.issuing import Documents
from services.quotes.documents.language import language_of
from services.quotes.documents.links import LinkSigner
from services.quotes.documents.settings import DocumentSettings
from services.quotes.domain.acceptance import AcceptanceLink
from services.quotes.domain.document_templates import DocumentTemplate
from services.quotes.domain.quote_emails import EmailState, QuoteEmail
from services.quotes.domain.quotes import WITH_CUSTOMER, Quote
from services.quotes.store import QuoteStore
from services.quotes.store.documents import (
    AcceptanceLinkStore,
    DocumentTemplateStore,
    QuoteDocumentStore,
    QuoteEmailStore,
)

EMAIL: Final = "quote.email"
_ATTEMPTS: Final = 8
_FIRST_PAUSE: Final = timedelta(seconds=5)
"""The last attempt is about ten minutes after the first."""
_AWAY: Final = timedelta(seconds=5)
_BREATH: Final = 5.0
_ONE_LINE: Final = str.maketrans({"\r": " ", "\n": " ", "\0": " "})


class MailServerBusy(Exception):
    """The mail server cannot take it now: it is tried again."""


class Mailer:
    """Hands e-mails over. Blocking, for a thread."""

    def __init__(self, settings: DocumentSettings) -> None:
        self._settings = settings

    def send(self, message: EmailMessage) -> None:
        """Hands one over.

        Raises:
            MailServerBusy: it may go another time.
            smtplib.SMTPException: it is refused for good.
        """
        try:
            with self._session() as session:
                session.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            if all(400 <= code < 500 for code, _ in error.recipients.values()):
                raise MailServerBusy(str(error)) from error
            raise
        except smtplib.SMTPResponseException as error:
            if 400 <= error.smtp_code < 500:
                raise MailServerBusy(str(error)) from error
            raise
        except (OSError, smtplib.SMTPServerDisconnected) as error:
            if isinstance(error, smtplib.SMTPException) and not isinstance(
                error, smtplib.SMTPServerDisconnected
            ):
                raise
            raise MailServerBusy(str(error) or type(error).__name__) from error

    def _session(self) -> smtplib.SMTP:
        settings = self._settings
        host, port, seconds = settings.smtp_host, settings.smtp_port, settings.smtp_seconds
        secure = settings.smtp_security
        context = ssl.create_default_context(cafile=settings.smtp_ca_file or None)
        session = (
            smtplib.SMTP_SSL(host, port, timeout=seconds, context=context)
            if secure == "tls"
            else smtplib.SMTP(host, port, timeout=seconds)
        )
        try:
            if secure == "starttls":
                session.starttls(context=context)
            if settings.smtp_user:
                session.login(settings.smtp_user, settings.smtp_password.get_secret_value())
        except BaseException:
            session.close()
            raise
        return session


class EmailSending:
    """Sends what is due, one at a time. While the mail server is away nothing else waits for it."""

    def __init__(
        self,
        documents: Documents,
        signer: LinkSigner,
        settings: DocumentSettings,
        send: Callable[[EmailMessage], None] | None = None,
    ) -> None:
        self._documents = documents
        self._signer = signer
        self._settings = settings
        self._send = send or Mailer(settings).send
        self._away_until: datetime | None = None

    async def __call__(self, call: Call, key: str, payload: Any) -> None:
        """The e-mail of this id goes out, unless it did, or there is nothing to decide on any more."""
        store = QuoteEmailStore(call)
        email = await store.find(UUID(key))
        if email is None or email.state is not EmailState.QUEUED:
            return
        quote = await QuoteStore(call).get(email.quote_id)
        link = await AcceptanceLinkStore(call).get(email.acceptance_link_id)
        if quote.state not in WITH_CUSTOMER or link.revoked_at is not None:
            await store.save(email, email.fail("The quote was decided on or withdrawn before it went out."))
            return
        if self._away_until is not None and call.now < self._away_until:
            await due.schedule(call, EMAIL, key, self._away_until, payload)
            return
        template = await DocumentTemplateStore(call).named(email.template_id, "template_id")
        pdf = await QuoteDocumentStore(call, self._documents.blobs).content(link.document_hash)
        message = self.message(call, email, quote, link, template, pdf)
        try:
            await self._hand_over(call, message)
        except MailServerBusy as error:
            self._away_until = call.now + _AWAY
            attempt = int(payload.get("attempt", 1))
            if attempt < _ATTEMPTS:
                pause = _FIRST_PAUSE * 2 ** (attempt - 1)
                await due.schedule(call, EMAIL, key, call.now + pause, {"attempt": attempt + 1})
            else:
                await store.save(email, email.fail(str(error)))
        except (smtplib.SMTPException, ssl.SSLError) as error:
            await store.save(email, email.fail(str(error) or type(error).__name__))
        else:
            self._away_until = None
            await store.save(email, email.succeed(call.clock.now()))

    async def _hand_over(self, call: Call, message: EmailMessage) -> None:
        """The transaction stays open, since its lock keeps other replicas from the same e-mail; it must
        not look forgotten meanwhile."""
        sending = asyncio.ensure_future(asyncio.to_thread(self._send, message))
        while not sending.done():
            await asyncio.wait({sending}, timeout=_BREATH)
            if not sending.done():
                await call.tx.fetchval(sa.text("SELECT 1"))
        await sending

    def message(
        self,
        call: Call,
        email: QuoteEmail,
        quote: Quote,
        link: AcceptanceLink,
        template: DocumentTemplate,
        pdf: bytes,
    ) -> EmailMessage:
        """The e-mail; the same Message-ID whenever it is made again."""
        language = language_of(link.language)
        say = language.say
        seller, name = (
            text.translate(_ONE_LINE).strip() for text in (template.sender_name, email.recipient_name)
        )
        url = self._signer.url(link.id, link.digest)
        total = language.money(quote.money(quote.payable_total))
        message = EmailMessage()
        message["Subject"] = (
            say("mail_subject", number=quote.number, seller=seller)
            if seller
            else say("mail_subject_plain", number=quote.number)
        )
        message["From"] = self._settings.smtp_from
        local, _, domain = email.recipient_email.rpartition("@")
        message["To"] = Address(name, local, domain)
        message["Message-ID"] = f"<{email.id}@{parseaddr(self._settings.smtp_from)[1].rpartition('@')[2]}>"
        message["Date"] = format_datetime(email.created_at or call.now)
        message["Content-Language"] = language.code
        message["Auto-Submitted"] = "auto-generated"
        facts = {
            "number": quote.number,
            "total": total,
            "link": url,
            "date": language.instant(link.expires_at),
        }
        if email.message:
            body = f"{email.message.rstrip()}\n\n{url}\n"
        elif name:
            body = say("mail_body", name=name, **facts)
        else:
            body = say("mail_body_plain", **facts)
        message.set_content(body, cte="base64" if language.is_right_to_left else "quoted-printable")
        message.add_attachment(pdf, maintype="application", subtype="pdf", filename=f"{quote.number}.pdf")
        return message
