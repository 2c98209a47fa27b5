"""The page on which a customer decides, for whoever holds its link."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from dataclasses import dataclass, replace
from typing import Final

from google.api.httpbody_pb2 import HttpBody
from sfa.api.v1.http_pb2 import Client, HttpAnswer
from sfa.quotes.v1 import documents_pb2 as pb

from chassis.call import Call, Sight
from chassis.errors import Refusal
from chassis.ids import new_id
from services.quotes import life
from services.quotes.documents import web_page
from services.quotes.documents.forms import BadForm, Form, form_of
from services.quotes.documents.issuing import Documents
from services.quotes.documents.language import Language, language_of
from services.quotes.documents.links import LinkSigner, digest_of
from services.quotes.documents.web_page import Notice, Page
from services.quotes.domain.acceptance import (
    AcceptanceLink,
    Answer,
    Evidence,
    EvidenceKind,
    QuestionsExhausted,
)
from services.quotes.domain.document_templates import DEFAULT_LANGUAGE
from services.quotes.domain.quotes import WITH_CUSTOMER, Quote, QuoteState
from services.quotes.servicer.http import answer, inline, picture
from services.quotes.servicer.quote_documents import file_name
from services.quotes.store import QuoteStore
from services.quotes.store.documents import (
    AcceptanceLinkStore,
    EvidenceStore,
    QuoteDocumentStore,
    handle_of,
)

_HTML: Final = "text/html; charset=utf-8"
_PIXEL: Final = b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
_MAY: Final = frozenset({"quotes.read", "quotes.write"})


@dataclass(frozen=True, slots=True)
class _Opened:
    """A link, and the quote behind it."""

    token: str
    link: AcceptanceLink
    quote: Quote
    language: Language


class AcceptancePageServicer:
    """The pages."""

    def __init__(self, documents: Documents, signer: LinkSigner) -> None:
        self.documents = documents
        self.signer = signer

    async def GetAcceptancePage(self, request: pb.GetAcceptancePageRequest, call: Call) -> HttpBody:
        opened = await self._open(request.token, call)
        return await self._page(call, opened) if opened is not None else _unknown()

    async def GetAcceptanceDocument(self, request: pb.GetAcceptanceDocumentRequest, call: Call) -> HttpBody:
        opened = await self._open(request.token, call)
        if opened is None or not _shows_content(opened, call):
            return await self._page(call, opened) if opened is not None else _unknown()
        pdf = await QuoteDocumentStore(call, self.documents.blobs).content(opened.link.document_hash)
        return inline(pdf, file_name(opened.quote))

    async def GetAcceptanceLogo(self, request: pb.GetAcceptanceLogoRequest, call: Call) -> HttpBody:
        opened = await self._open(request.token, call)
        if opened is None:
            return _unknown()
        content = await self.documents.said(call, opened.link)
        logo = await self.documents.picture(call, content["logo_hash"], content["logo_media_type"])
        return picture(logo) if logo is not None else _unknown()

    async def SeeAcceptancePage(self, request: pb.SeeAcceptancePageRequest, call: Call) -> HttpBody:
        opened = await self._open(request.token, call)
        if opened is not None and _state(opened, call) == "open":
            quotes, links = QuoteStore(call), AcceptanceLinkStore(call)
            quote, link = await quotes.get(opened.quote.id), await links.get(opened.link.id)
            if link.viewed_at is None and quote.state in WITH_CUSTOMER:
                await EvidenceStore(call).add(_evidence(opened, EvidenceKind.VIEWED, request.client, call))
                await links.save(link, link.view(call.now))
                await quotes.save(quote, quote.view(call.now))
        return answer("image/gif", _PIXEL, HttpAnswer(no_store=True))

    async def SubmitAcceptancePage(self, request: pb.SubmitAcceptancePageRequest, call: Call) -> HttpBody:
        opened = await self._open(request.token, call)
        if opened is None:
            return _unknown()
        try:
            form = form_of(request.form.content_type, request.form.data)
            if _state(opened, call) == "open":
                await self._decide(call, opened, form, request.client)
        except BadForm as wrong:
            await call.tx.rollback()
            return await self._page(call, opened, wrong)
        except Refusal:  # between reading and deciding something else became of it
            await call.tx.rollback()
            again = await self._open(request.token, call)
            return await self._page(call, again or opened, undecided=True)
        return answer(_HTML, b"", HttpAnswer(status=303, location=f"/q/{request.token}", no_store=True))

    async def _open(self, token: str, call: Call) -> _Opened | None:
        """The link of a token that we signed; from now on the call is the customer's, who sees this one
        tenant and acts by way of the link."""
        if self.signer.link_id(token) is None:
            return None
        handle = await handle_of(call, digest_of(token))
        if handle is None:
            return None
        tenant, link_id = handle
        await call.become(
            replace(
                call.caller, tenant=tenant, actor="service:quotes", via=f"link:{link_id}", sight=Sight.ALL,
                permissions=_MAY,
            )
        )  # fmt: skip
        link = await AcceptanceLinkStore(call).get(link_id)
        quote = await QuoteStore(call).get(link.quote_id, deleted=True)
        return _Opened(token, link, quote, language_of(link.language))

    async def _decide(self, call: Call, opened: _Opened, form: Form, client: Client) -> None:
        quotes, links = QuoteStore(call), AcceptanceLinkStore(call)
        quote, link = await quotes.get(opened.quote.id), await links.get(opened.link.id)
        evidence = EvidenceStore(call)
        if form.action == "accept":
            _check_acceptance(form, link)
            await life.accept(call, quotes, quote, form["name"], form["order_number"], None)
            kept = _evidence(opened, EvidenceKind.ACCEPTED, client, call, form)
            await evidence.add(
                replace(kept, signature=form.signature, purchase_order_number=form["order_number"])
            )
            await links.save(link, link.decide(Answer.ACCEPTED, call.now))
        elif form.action == "reject":
            await life.reject(call, quotes, quote, form["reason"], None)
            await evidence.add(
                replace(_evidence(opened, EvidenceKind.REJECTED, client, call, form), text=form["reason"])
            )
            await links.save(link, link.decide(Answer.REJECTED, call.now))
        else:
            if not form["question"]:
                raise BadForm("question_missing", form.values)
            if await evidence.was_asked(quote.id, link.id, form["question"]):
                return
            try:
                asked = link.ask(form["question"])
            except QuestionsExhausted:
                raise BadForm("too_many", form.values) from None
            kept = _evidence(opened, EvidenceKind.ASKED, client, call, form)
            await evidence.add(replace(kept, text=form["question"], email=form["email"]))
            await links.save(link, asked)

    async def _page(
        self, call: Call, opened: _Opened, wrong: BadForm | None = None, *, undecided: bool = False
    ) -> HttpBody:
        link, language = opened.link, opened.language
        state = _state(opened, call)
        said = await self.documents.said(call, link)
        content = await asyncio.to_thread(web_page.plain, said) if _shows_content(opened, call) else None
        notice = await self._notice(call, opened, state)
        if undecided and state == "open":
            notice = Notice(language.say("changed_title"), language.say("changed"), "bad")
        page = Page(
            language=language,
            token=opened.token,
            accent=said["accent"],
            sender=web_page.bare(said["sender"]["name"]),
            has_logo=bool(said["logo_hash"]),
            recipient=link.recipient_name,
            content=content,
            document=link.document_hash,
            notice=notice,
            is_open=state == "open",
            asked=link.question_count > 0 and state in ("open", "accepted"),
            action=wrong.values.get("action", "accept") if wrong is not None else "",
            wrong=language.say(wrong.label) if wrong is not None else "",
            values=wrong.values if wrong is not None else {},
        )
        status = 410 if content is None else 422 if wrong is not None else 409 if undecided else 200
        return await asyncio.to_thread(_html, page, status)

    async def _notice(self, call: Call, opened: _Opened, state: str) -> Notice | None:
        say, quote = opened.language.say, opened.quote
        if state == "open":
            return None
        if state == "accepted":
            at = quote.accepted_at or call.now
            text = say("accepted", name=quote.accepted_by or "–", date=opened.language.instant(at))
            return Notice(say("accepted_title"), text, "good")
        if state == "expired":
            text = say("expired", date=opened.language.instant(opened.link.expires_at))
            return Notice(say("expired_title"), text, "bad")
        return Notice(say(f"{state}_title"), say(state), "bad")


def _state(opened: _Opened, call: Call) -> str:
    """What can be done by a link, or why nothing can: the first of all reasons."""
    quote, link = opened.quote, opened.link
    if link.revoked_at is not None:
        return "revoked"
    if quote.state is QuoteState.ACCEPTED:
        return "accepted"
    if quote.state is QuoteState.SUPERSEDED:
        return "superseded"
    if quote.state is QuoteState.REJECTED:
        return "rejected"
    if link.is_over(call.now) or quote.state is QuoteState.EXPIRED:
        return "expired"
    return "open" if quote.state in WITH_CUSTOMER and quote.deleted_at is None else "cancelled"


def _shows_content(opened: _Opened, call: Call) -> bool:
    return _state(opened, call) in ("open", "accepted", "rejected")


def _check_acceptance(form: Form, link: AcceptanceLink) -> None:
    if not form["name"]:
        raise BadForm("name_missing", form.values)
    if form["agree"] != "yes":
        raise BadForm("agree_missing", form.values)
    if form["document"] != link.document_hash:  # the page was of something else
        raise BadForm("malformed", form.values)


def _evidence(
    opened: _Opened, kind: EvidenceKind, client: Client, call: Call, form: Form | None = None
) -> Evidence:
    return Evidence(
        id=new_id(),
        quote_id=opened.quote.id,
        link_id=opened.link.id,
        kind=kind,
        at=call.now,
        address=client.address,
        user_agent=client.user_agent,
        document_hash=opened.link.document_hash,
        name=form["name"] if form is not None else "",
    )


def _unknown() -> HttpBody:
    language = language_of(DEFAULT_LANGUAGE)
    notice = Notice(language.say("unknown_title"), language.say("unknown"), "bad")
    return _html(Page(language=language, notice=notice), 404)


def _html(page: Page, status: int) -> HttpBody:
    rendered = web_page.render(page)
    how = HttpAnswer(
        status=status,
        content_security_policy=rendered.policy,
        content_language=page.language.code,
        no_store=True,
    )
    return answer(_HTML, rendered.html, how)
