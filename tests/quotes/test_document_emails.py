"""Quotes by e-mail, handed to a real mail server in the test's process."""

from __future__ import annotations

import asyncio
import email
import email.policy
import hashlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr
from sfa.quotes.v1 import documents_pb2 as pb
from sfa.quotes.v1 import quotes_pb2

from tests.eventually import eventually
from tests.quotes.customers import PUBLIC_URL, Browser, Office, build, document_settings, gateway_before
from tests.quotes.service import refusal
from tests.stack import Stack

State = pb.QuoteEmail.State
SENDER = "Sales <sales@sonne.example>"


class Mailbox:
    """A mail server that keeps what it takes; `refusing` are the next answers to a message."""

    def __init__(self) -> None:
        self.answers_lost = 0
        self.taken: list[EmailMessage] = []
        self.envelopes: list[Envelope] = []
        self.was_secure: list[bool] = []
        self.refusing: list[str] = []
        self.port = 0

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.refusing:
            return self.refusing.pop(0)
        content = envelope.content
        assert isinstance(content, bytes)
        self.taken.append(email.message_from_bytes(content, policy=email.policy.default))
        self.envelopes.append(envelope)
        self.was_secure.append(session.ssl is not None)
        if self.answers_lost:
            self.answers_lost -= 1
            return "421 gone before it could say so"
        return "250 taken"


def _certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "mail.pem"
    path.write_bytes(pem + certificate.public_bytes(serialization.Encoding.PEM))
    return path


@asynccontextmanager
async def mail_server(**options: Any) -> AsyncIterator[Mailbox]:
    mailbox = Mailbox()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(mailbox, loop=loop, **options), "127.0.0.1", 0)
    mailbox.port = server.sockets[0].getsockname()[1]
    try:
        yield mailbox
    finally:
        server.close()


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    async with mail_server() as mailbox:
        yield mailbox


async def office_of(stack: Stack, port: int, **settings: Any) -> Office:
    given = {
        "smtp_host": "127.0.0.1",
        "smtp_port": port,
        "smtp_security": "none",
        "smtp_from": "Sales <sales@sonne.example>",
    }
    await stack.start("opportunities")
    await stack.start("quotes", build=build(document_settings(**{**given, **settings})))
    return Office(stack)


async def mailed(office: Office, quote: quotes_pb2.Quote, **fields: Any) -> pb.QuoteEmail:
    asked = pb.QuoteEmail(quote_id=quote.id, **{"recipient_email": "ada@example.com", **fields})
    return await office.documents.EmailQuote(pb.EmailQuoteRequest(quote_email=asked))


async def ended(office: Office, sent: pb.QuoteEmail, step: timedelta = timedelta(0)) -> pb.QuoteEmail:
    """The e-mail once it is queued no more; at every look the clock has gone on by a step."""
    found = sent

    async def is_over() -> bool:
        nonlocal found
        office.stack.clock.move(step)
        found = await office.documents.GetQuoteEmail(pb.GetQuoteEmailRequest(id=sent.id))
        return found.state != State.QUEUED

    await eventually(is_over, "the end of the e-mail")
    return found


async def test_a_quote_goes_out_with_document_and_link(stack: Stack, mailbox: Mailbox) -> None:
    office = await office_of(stack, mailbox.port)
    operations = Office(stack, "operations")
    await operations.template(sender_name="Sonne\r\nBcc: all@example.com", is_default=True, language="de")
    quote = await office.offer()
    queued = await mailed(office, quote, recipient_name='Ada "Countess" Lovelace')
    assert queued.state == State.QUEUED
    sent = await ended(office, queued)
    assert (sent.state, sent.failure) == (State.SENT, "")
    (message,) = mailbox.taken
    assert mailbox.envelopes[0].rcpt_tos == ["ada@example.com"]
    assert message["From"] == "Sales <sales@sonne.example>"
    assert message["Bcc"] is None
    assert "ada@example.com" in message["To"]
    assert message["Message-ID"] == f"<{queued.id}@sonne.example>"
    assert quote.number in message["Subject"]
    body = message.get_body(("plain",))
    assert body is not None
    text = body.get_content()
    assert text.startswith("Guten Tag Ada")
    (pdf,) = message.iter_attachments()
    content = pdf.get_content()
    link = await office.documents.GetAcceptanceLink(pb.GetAcceptanceLinkRequest(id=sent.acceptance_link_id))
    assert hashlib.sha256(content).hexdigest() == link.document_hash
    assert link.url in text
    async with (
        gateway_before(stack) as gateway,
        httpx.AsyncClient(base_url=gateway.address) as client,
    ):
        assert (await Browser(client, link.url.removeprefix(PUBLIC_URL)).accept()).status_code == 303


async def test_a_busy_server_is_tried_again_and_gets_one_e_mail(stack: Stack, mailbox: Mailbox) -> None:
    office = await office_of(stack, mailbox.port)
    mailbox.refusing = ["451 later", "421 later"]
    queued = await mailed(office, await office.offer(), message="Have a look:", language="ar")
    found = await ended(office, queued, timedelta(seconds=30))
    assert found.state == State.SENT
    (message,) = mailbox.taken
    body = message.get_body(("plain",))
    assert body is not None
    assert body.get_content().startswith("Have a look:")


async def test_an_e_mail_whose_answer_was_lost_is_the_same_e_mail_again(
    stack: Stack, mailbox: Mailbox
) -> None:
    office = await office_of(stack, mailbox.port)
    mailbox.answers_lost = 1
    sent = await ended(office, await mailed(office, await office.offer()), timedelta(seconds=30))
    assert sent.state == State.SENT
    first, again = mailbox.taken
    assert first["Message-ID"] == again["Message-ID"], "by which a mail program shows one"
    assert first.as_bytes().count(b"filename") == again.as_bytes().count(b"filename") == 1


async def test_a_refused_e_mail_says_why(stack: Stack, mailbox: Mailbox) -> None:
    office = await office_of(stack, mailbox.port)
    mailbox.refusing = ["554 no such person"]
    failed = await ended(office, await mailed(office, await office.offer()))
    assert failed.state == State.FAILED
    assert "no such person" in failed.failure


async def test_a_server_that_stays_away_is_given_up(stack: Stack) -> None:
    async with mail_server() as gone:
        pass
    office = await office_of(stack, gone.port)
    queued = await mailed(office, await office.offer())
    found = await ended(office, queued, timedelta(minutes=3))
    assert found.state == State.FAILED


async def test_what_was_decided_meanwhile_does_not_go_out(stack: Stack, mailbox: Mailbox) -> None:
    office = await office_of(stack, mailbox.port)
    mailbox.refusing = ["451 later"] * 3
    quote = await office.offer()
    queued = await mailed(office, quote)
    await office.quotes.CancelQuote(quotes_pb2.CancelQuoteRequest(id=quote.id))
    found = await ended(office, queued, timedelta(minutes=1))
    assert found.state == State.FAILED
    assert not mailbox.taken


async def test_a_retried_request_sends_one_e_mail(stack: Stack, mailbox: Mailbox) -> None:
    office = await office_of(stack, mailbox.port)
    asked = pb.QuoteEmail(quote_id=(await office.offer()).id, recipient_email="ada@example.com")
    request = pb.EmailQuoteRequest(quote_email=asked, request_id="once")
    first, again = await office.documents.EmailQuote(request), await office.documents.EmailQuote(request)
    assert first.id == again.id
    await ended(office, first)
    assert len(mailbox.taken) == 1


async def test_starttls_is_insisted_on_and_the_password_given_within(stack: Stack, tmp_path: Path) -> None:
    pem = _certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)

    def authenticate(
        server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        return AuthResult(success=(data.login, data.password) == (b"sales", b"secret"))

    options = {
        "tls_context": context,
        "require_starttls": True,
        "authenticator": authenticate,
        "auth_required": True,
    }
    async with mail_server(**options) as mailbox:
        office = await office_of(
            stack, mailbox.port, smtp_security="starttls", smtp_ca_file=str(pem), smtp_user="sales",
            smtp_password=SecretStr("secret"),
        )  # fmt: skip
        assert (await ended(office, await mailed(office, await office.offer()))).state == State.SENT
        assert mailbox.was_secure == [True]


async def test_nothing_is_said_to_a_server_without_starttls(stack: Stack, mailbox: Mailbox) -> None:
    office = await office_of(stack, mailbox.port, smtp_security="starttls")
    failed = await ended(office, await mailed(office, await office.offer()))
    assert (failed.state, mailbox.taken) == (State.FAILED, [])


async def test_without_a_mail_server_it_is_refused(stack: Stack) -> None:
    office = await office_of(stack, 25, smtp_host="")
    quote = await office.offer()
    assert (await refusal(mailed(office, quote)))[1] == "EMAIL_NOT_CONFIGURED"


async def test_an_e_mail_goes_to_somebody(stack: Stack, mailbox: Mailbox) -> None:
    office = await office_of(stack, mailbox.port)
    quote = await office.offer()
    assert (await refusal(mailed(office, quote, recipient_email="")))[2] == "quote_email.recipient_email"
    for address in ("ada", "a@b\r\nRCPT TO:<x@y>", "a b@example.com"):
        assert (await refusal(mailed(office, quote, recipient_email=address)))[
            2
        ] == "quote_email.recipient_email"
