"""What a document says: every text as it will stand there, for the pages and for the web page alike."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from chassis.money import Money
from services.quotes.documents.fonts import families
from services.quotes.documents.language import Language
from services.quotes.documents.parties import Party
from services.quotes.domain.document_templates import DocumentTemplate
from services.quotes.domain.lines import QuoteLine
from services.quotes.domain.quotes import IN_PREPARATION, Quote

Content = Mapping[str, Any]

_PLACES: Final = re.compile(r"(\{page\}|\{pages\})")
_LONG: Final = re.compile(r"[^\s\u200b]{25,}")
_JOINTS: Final = re.compile(r"(?<=[/._,:;@&=?+-])(?=[^/._,:;@&=?+\s-])")
_PIECE: Final = 16
_LINES_OF_A_PAGE: Final = 30
_FIRST_STRONG_ISOLATE, _POP_ISOLATE = "\u2068", "\u2069"
_TURNING: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def content_of(
    quote: Quote, template: DocumentTemplate, language: Language, customer: Party, at: datetime
) -> Content:
    """What the document of a quote says; `at` is when it is made, where the quote has not been sent."""
    say = language.say
    texts = template.texts(language.code)
    return {
        "title": say("quote"),
        "number": quote.number,
        "name": _own(quote.name, language),
        "language": language.base,
        "region": language.region,
        "right_to_left": language.is_right_to_left,
        "fonts": families(language.base),
        "accent": template.colour,
        "paper": template.paper,
        "logo_hash": template.logo_hash,
        "logo_media_type": template.logo_media_type,
        "draft": quote.state in IN_PREPARATION,
        "labels": language.labels,
        "page_label": [part for part in _PLACES.split(say("page")) if part],
        "sender": {
            "name": _own(template.sender_name, language),
            "address": _own(template.sender_address, language),
        },
        "customer": {"name": _own(customer.name, language), "address": _own(customer.address, language)},
        "facts": list(_facts(quote, language, at)),
        "introduction": _own(texts.introduction, language),
        "lines": list(_lines(quote, language)),
        "has_discounts": any(_discount(line, language) for line in quote.lines),
        **_sums(quote, language),
        "sections": list(_sections(quote, texts.terms, language)),
        "footer": [_own(column, language) for column in texts.footer],
    }


def _facts(quote: Quote, language: Language, at: datetime) -> Iterator[dict[str, str]]:
    yield {"label": language.say("number"), "value": quote.number}
    if quote.revision > 1:
        yield {"label": language.say("version"), "value": language.number(Decimal(quote.revision))}
    yield {"label": language.say("date"), "value": language.date((quote.sent_at or at).date())}
    if quote.valid_until is not None:
        yield {"label": language.say("valid_until"), "value": language.date(quote.valid_until)}


def _lines(quote: Quote, language: Language) -> Iterator[dict[str, Any]]:
    so_far = Decimal(0)
    for position, line in enumerate(quote.lines, 1):
        amount = line.total_before_share
        if line.counts:
            so_far += amount
        written = language.money(quote.money(amount))
        notes = _notes(line, language)
        yield {
            "position": language.number(Decimal(position)),
            "title": _own(line.description, language),
            "detail": "\n".join(notes),
            "is_long": len(line.description) > 1000 or line.description.count("\n") > _LINES_OF_A_PAGE,
            "quantity": " ".join(filter(None, (language.number(line.quantity), _own(line.unit, language)))),
            "unit_price": language.money(line.unit_price),
            "discount": _discount(line, language),
            "amount": written if line.counts else f"({written})",
            "so_far": language.money(quote.money(so_far)),
        }


def _notes(line: QuoteLine, language: Language) -> list[str]:
    notes = []
    if not line.counts:
        notes.append(language.say("optional"))
    if line.counts and (line.is_gift or (line.unit_price.amount and not line.total_before_share)):
        notes.append(language.say("gift"))
    return notes


def _discount(line: QuoteLine, language: Language) -> str:
    """In percent where it is one, else what it takes off."""
    taken = line.subtotal.amount - line.total_before_share
    if line.discount_percent and not line.promotion:
        return language.percent(line.discount_percent)
    return language.money(Money(taken, line.unit_price.currency)) if taken else ""


def _sums(quote: Quote, language: Language) -> dict[str, Any]:
    """The sums below the lines: they begin with what the column of amounts adds up to."""

    def row(label: str, amount: Decimal) -> dict[str, str]:
        return {"label": label, "amount": language.money(quote.money(amount))}

    counted = [line for line in quote.lines if line.counts]
    of_lines = sum((line.total_before_share for line in counted), Decimal(0))
    of_whole = sum((line.discount_share for line in counted), Decimal(0))
    sums = [row(language.say("subtotal"), of_lines)] if of_whole or quote.taxes else []
    if of_whole:
        sums.append(row(language.say("discounts"), -of_whole))
    said = []
    for tax in quote.taxes:
        name = _own(tax.name, language) or language.say("tax")
        said.append((f"{name} {language.percent(tax.percent)}", tax))
    if quote.prices_include_tax:
        included = [
            row(language.say("tax_included", rate=language.percent(tax.percent)), tax.amount)
            for _, tax in said
        ]
        return {
            "sums": sums,
            "total": language.money(quote.money(quote.payable_total)),
            "below_total": included,
        }
    if of_whole and quote.taxes:
        sums.append(row(language.say("net"), quote.total))
    sums += [row(label, tax.amount) for label, tax in said]
    return {"sums": sums, "total": language.money(quote.money(quote.payable_total)), "below_total": []}


def _sections(quote: Quote, terms: str, language: Language) -> Iterator[dict[str, str]]:
    payment = []
    if quote.payment_days:
        payment.append(language.say("payment_days", days=language.number(Decimal(quote.payment_days))))
    for part in quote.payment_schedule:
        facts = (language.percent(part.percent), language.money(quote.money(part.amount)))
        payment.append(" · ".join((_own(part.label, language), *facts)))
    if payment:
        yield {"title": language.say("payment"), "text": "\n".join(payment)}
    if written := "\n\n".join(filter(None, (_own(quote.terms, language), _own(terms, language)))):
        yield {"title": language.say("terms"), "text": written}


def _own(text: str, language: Language) -> str:
    """Somebody's text, ready to stand in a document: it breaks where it must, keeps its own direction
    whatever stands around it, and holds no character that cannot be seen or that turns others around."""
    text = "".join(each for each in text.replace("\r\n", "\n").replace("\t", " ") if _is_sound(each))
    lines = _LONG.sub(_breakable, text).strip().split("\n")
    return "\n".join(_isolated(line, right_to_left=language.is_right_to_left) for line in lines)


def _is_sound(character: str) -> bool:
    if character == "\n":
        return True
    return unicodedata.category(character) not in ("Cc", "Cs", "Co", "Cn") and character not in _TURNING


def _isolated(line: str, *, right_to_left: bool) -> str:
    """A line that may run against the document is kept apart from what stands around it."""
    strong = {unicodedata.bidirectional(each) for each in line} & ({"L"} if right_to_left else {"R", "AL"})
    return f"{_FIRST_STRONG_ISOLATE}{line}{_POP_ISOLATE}" if strong else line


def _breakable(found: re.Match[str]) -> str:
    """A word that is longer than a column: it may break after its joints, and within long pieces of what is
    no word of a language."""
    pieces = _JOINTS.split(found[0])
    broken = [
        "\u200b".join(piece[at : at + _PIECE] for at in range(0, len(piece), _PIECE))
        if len(piece) > _PIECE and any(each.isdigit() for each in piece)
        else piece
        for piece in pieces
    ]
    return "\u200b".join(broken)
