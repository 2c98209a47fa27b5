"""What documents say, and how their pages are set."""

from __future__ import annotations

import asyncio
import re
import time
import zlib
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.ids import new_id
from chassis.money import Money
from services.quotes.documents import language as languages
from services.quotes.documents.content import Content, content_of
from services.quotes.documents.fonts import families, fonts
from services.quotes.documents.language import LANGUAGES, LanguageUnknown, language_of
from services.quotes.documents.parties import Party
from services.quotes.documents.pictures import (
    PictureNotPlain,
    PictureTooLarge,
    PictureUnreadable,
    is_signature,
    logo_of,
)
from services.quotes.documents.typesetting import (
    TooManyDocuments,
    Typesetter,
    hash_of,
    set_pages,
    set_pictures,
)
from services.quotes.domain.document_templates import DocumentTemplate, DocumentTexts
from services.quotes.domain.lines import QuoteLine
from services.quotes.domain.quotes import Quote
from services.quotes.domain.taxation import TaxAmount, Taxation

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PNG = (
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89"
    b"\0\0\0\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\0\x05\0\x01\xff\x89\x99=\x1d\0\0\0\0IEND\xaeB`\x82"
)
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><rect width="9" height="9" fill="#f50"/></svg>'


def line(description: str = "Panel", quantity: str = "2", price: str = "10.00", **fields: Any) -> QuoteLine:
    currency = fields.pop("currency", "EUR")
    values = {"product_id": None, "list_price": None, "discount_percent": Decimal(0), **fields}
    return QuoteLine(
        id=new_id(), description=description, quantity=Decimal(quantity),
        unit_price=Money(Decimal(price), currency), **values,
    )  # fmt: skip


def quoted(*lines: QuoteLine, sent: bool = True, taxation: Taxation | None = None, **fields: Any) -> Quote:
    someone = new_id()
    quote = Quote(
        opportunity_id=someone, owner_id=someone, price_book_id=someone,
        **{"number": "Q-000042", "currency": "EUR", "valid_until": date(2026, 3, 31), **fields},
    )  # fmt: skip
    quote.create(lines or (line(),), taxation or Taxation())
    if sent:
        quote.send(NOON)
    return quote


def said(quote: Quote, code: str = "en", template: DocumentTemplate | None = None, **party: str) -> Content:
    return content_of(
        quote, template or DocumentTemplate(name="Plain"), language_of(code), Party(**party), NOON
    )


def text_of(pdf: bytes) -> str:
    """What the content streams hold: not the words, but enough to tell two pages apart."""
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
    texts = []
    for stream in streams:
        try:
            texts.append(zlib.decompress(stream).decode("latin-1"))
        except zlib.error:
            continue
    return "\n".join(texts)


def pages_of(pdf: bytes) -> int:
    return max(int(found) for found in re.findall(rb"/Count (\d+)", pdf + b"".join(_objects(pdf))))


def _objects(pdf: bytes) -> list[bytes]:
    return [text_of(pdf).encode("latin-1")]


@pytest.mark.parametrize("code", [*LANGUAGES, "de-CH", "ar-EG", "en-IN"])
def test_a_document_is_set_in_every_language(code: str) -> None:
    content = said(quoted(line("東京 مضخة הצעה Panel")), code, name="株式会社", address="شارع 1\nרחוב 2")
    assert set_pages(content, None, NOON).startswith(b"%PDF-")


def test_every_label_exists_in_every_language_with_the_same_facts() -> None:
    english = language_of("en").labels
    for code in LANGUAGES:
        labels = language_of(code).labels
        assert labels.keys() == english.keys(), code
        for name, text in labels.items():
            places = set(re.findall(r"{(\w+)}", text))
            assert places == set(re.findall(r"{(\w+)}", english[name])), f"{code}: {name}"
            assert text.strip(), f"{code}: {name}"


def test_numbers_dates_and_amounts_are_written_as_the_place_writes_them() -> None:
    amount = Money(Decimal("1234567.5"), "EUR")
    german, swiss, french, japanese = (language_of(code) for code in ("de", "de-CH", "fr", "ja"))
    assert german.money(amount) == "1.234.567,50\u00a0€"
    assert swiss.money(Money(amount.amount, "CHF")) == "CHF\u00a01’234’567.50"
    assert french.percent(Decimal("7.5")) == "7,5\u00a0%"
    assert japanese.date(date(2026, 3, 1)) == "2026年3月1日"
    assert german.date(date(2026, 3, 1)) == "1. März 2026"
    assert language_of("en").money(Money(Decimal(1234), "JPY")) == "¥1,234"
    assert language_of("en").money(Money(Decimal("5.125"), "KWD")) == "KWD\u00a05.125"
    assert german.money(Money(Decimal("0.12345"), "USD")) == "0,12345\u00a0$", "a unit price has its digits"
    assert german.number(Decimal("12.500")) == "12,5"
    assert language_of("ar").is_right_to_left


@pytest.mark.parametrize("code", ["xx", "", "../../etc", "e n", "de_DE.UTF-8@x", "q" * 500])
def test_no_other_language_is_taken(code: str) -> None:
    with pytest.raises(LanguageUnknown):
        language_of(code)


def test_the_amounts_of_the_lines_add_up_to_the_first_sum() -> None:
    taxation = Taxation(taxes=(TaxAmount("VAT", Decimal(19), Decimal("47.5"), Decimal("9.03")),))
    quote = quoted(
        line(price="10.00"),
        line(price="15.00", discount_percent=Decimal(10)),
        line(price="99.00", is_optional=True),
        discount_percent=Decimal(5),
        taxation=taxation,
    )
    content = said(quote)
    assert [each["so_far"] for each in content["lines"]] == ["€20.00", "€47.00", "€47.00"]
    assert content["lines"][2]["amount"] == "(€198.00)"
    assert content["lines"][2]["detail"] == "Optional"
    labels = [(each["label"], each["amount"]) for each in content["sums"]]
    assert labels == [
        ("Subtotal", "€47.00"), ("Discounts", "-€2.35"), ("Net", "€44.65"), ("VAT 19%", "€9.03"),
    ]  # fmt: skip
    assert content["total"] == language_of("en").money(quote.money(quote.payable_total))


def test_tax_within_prices_stands_below_the_total() -> None:
    taxation = Taxation(taxes=(TaxAmount("MwSt", Decimal(19), Decimal("16.81"), Decimal("3.19")),))
    content = said(quoted(taxation=taxation, prices_include_tax=True), "de")
    assert content["below_total"] == [{"label": "darin Steuer 19\u00a0%", "amount": "3,19\u00a0€"}]
    assert content["total"] == "20,00\u00a0€"


def test_what_costs_nothing_is_said_to_be_free_where_it_is_given() -> None:
    lines = said(
        quoted(
            line(),
            line("Cable", price="0", is_gift=True),
            line("Bracket", discount_percent=Decimal(100)),
            line("Advice", price="0"),
        )
    )["lines"]
    assert [each["detail"] for each in lines] == ["", "Free of charge", "Free of charge", ""]


def test_a_template_speaks_the_language_of_the_document() -> None:
    template = DocumentTemplate(
        name="T",
        language="en",
        introduction="Hello",
        translations=(DocumentTexts("de", "Guten Tag", footer=("Fuß",)), DocumentTexts("de-CH", "Grüezi")),
    )
    quote = quoted()
    assert said(quote, "de", template)["introduction"] == "Guten Tag"
    assert said(quote, "de-CH", template)["introduction"] == "Grüezi"
    assert (
        said(quote, "de-AT", template)["footer"] == ["Fuß"] or said(quote, "de-AT", template)["introduction"]
    )
    assert said(quote, "fr", template)["introduction"] == "Hello"


EVIL = [
    '#panic("x")', '#read("/etc/passwd")', "$ x $ *bold* _it_ @ref <label> `raw`", "\\u{41} #{1+1} //c /*",
    '"] #sys.inputs', "= Title\n- list\n+ enum", "{page} {pages} {0} {name}", "\0\x01\x7f\ud800", "%PDF-1.7 endstream",
]  # fmt: skip


@pytest.mark.parametrize("evil", EVIL)
def test_no_text_is_program_text(evil: str) -> None:
    template = DocumentTemplate(
        name=evil, sender_name=evil, sender_address=evil, terms=evil, footer=(evil, evil)
    )
    quote = quoted(line(evil), name=evil, terms=evil)
    content = said(quote, "en", template, name=evil, address=evil)
    assert set_pages(content, None, NOON).startswith(b"%PDF-")


@given(st.text(max_size=300), st.sampled_from(LANGUAGES))
@settings(max_examples=40, deadline=None)
def test_any_text_can_be_set(text: str, code: str) -> None:
    content = said(quoted(line(text), name=text, terms=text), code, name=text, address=text)
    assert set_pages(content, None, NOON)
    assert not any(turn in str(content["lines"]) for turn in "\u202a\u202b\u202d\u202e")


def test_texts_against_the_direction_of_a_document_keep_their_own() -> None:
    quote = quoted(line("Delivery (net)."), line("مضخة (مياه)."))
    titles = [each["title"] for each in said(quote, "ar")["lines"]]
    assert titles == ["\u2068Delivery (net).\u2069", "مضخة (مياه)."]
    titles = [each["title"] for each in said(quote, "en")["lines"]]
    assert titles == ["Delivery (net).", "\u2068مضخة (مياه).\u2069"]


def test_a_long_word_may_break() -> None:
    title = said(quoted(line("SKU0123456789" * 10)))["lines"][0]["title"]
    assert max(map(len, title.split("\u200b"))) <= 16


def test_three_hundred_lines_repeat_their_head_and_carry_their_sum() -> None:
    quote = quoted(*(line(f"Item {number}", discount_percent=Decimal(number % 2)) for number in range(300)))
    content = said(quote)
    pdf = set_pages(content, None, NOON)
    pages = set_pictures(content, dots_per_inch=30)
    assert len(pages) == pages_of(pdf) > 5
    assert all(page.startswith(b"\x89PNG") for page in pages)


def test_the_same_document_has_the_same_bytes() -> None:
    content = said(quoted())
    first, second = set_pages(content, None, NOON), set_pages(dict(content), None, NOON)
    assert hash_of(first) == hash_of(second)
    assert hash_of(first) != hash_of(set_pages({**content, "number": "Q-000043"}, None, NOON))


def test_one_page_takes_less_than_300_milliseconds() -> None:
    set_pages(said(quoted()), None, NOON)  # fonts are looked through once in a process
    best = 10.0
    for number in range(3):  # a new content each time: nothing is remembered of it
        content = said(quoted(*(line(f"Line {number}-{each}") for each in range(5)), number=f"Q-{number}"))
        began = time.perf_counter()
        pdf = set_pages(content, None, NOON)
        best = min(best, time.perf_counter() - began)
        assert pages_of(pdf) == 1
    assert best < 0.3


async def test_the_event_loop_runs_on_while_pages_are_set() -> None:
    content = said(quoted(*(line(f"Item {number}") for number in range(200))))
    setter = Typesetter(1)
    setting = asyncio.ensure_future(setter.pdf(content, None, NOON))
    turns = 0
    while not setting.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 50
    assert (await setting).startswith(b"%PDF-")


async def test_too_many_at_once_are_refused() -> None:
    setter = Typesetter(1)
    content = said(quoted())
    asked = [asyncio.ensure_future(setter.pdf(content, None, NOON)) for _ in range(40)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    refused = [each for each in answers if isinstance(each, TooManyDocuments)]
    assert 0 < len(refused) < 40
    assert len([each for each in answers if isinstance(each, bytes)]) == 40 - len(refused)


def test_every_script_has_a_font_that_came_along() -> None:
    known = set(fonts().families())
    for code in (*LANGUAGES, "zh", "ko"):
        assert set(families(code)) <= known
    assert families("zh")[1] == "Noto Sans CJK SC"


def test_logos_of_all_kinds_are_set() -> None:
    for content, kind in ((PNG, "image/png"), (SVG, "image/svg+xml")):
        logo = logo_of(content)
        assert logo.media_type == kind
        assert set_pages(said(quoted()), logo, NOON).startswith(b"%PDF-")


@pytest.mark.parametrize(
    "content",
    [
        b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", PNG[:40], b"\xff\xd8\xff\xe0\0\x10JFIF", b"<html></html>", b"\0\xff<svg>",
        b'<svg xmlns="http://www.w3.org/2000/svg">', b"%PDF-1.7",
    ],
)  # fmt: skip
def test_what_is_no_sound_picture_is_refused(content: bytes) -> None:
    with pytest.raises(PictureUnreadable):
        logo_of(content)


@pytest.mark.parametrize(
    "inside",
    [
        "<script>alert(1)</script>", '<rect onload="x()"/>', '<image href="http://x/y.png"/>',
        '<use href="http://x/#a"/>', '<a href="javascript:x"><rect/></a>', "<foreignObject/>",
        '<rect style="fill:url(http://x)"/>', "<style>@import 'x'</style>",
    ],
)  # fmt: skip
def test_an_svg_that_does_more_than_show_itself_is_refused(inside: str) -> None:
    with pytest.raises(PictureNotPlain):
        logo_of(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">{inside}</svg>'.encode())


def test_an_svg_has_no_entities() -> None:
    bomb = b'<!DOCTYPE svg [<!ENTITY a "aaaa">]><svg xmlns="http://www.w3.org/2000/svg">&a;</svg>'
    with pytest.raises(PictureNotPlain):
        logo_of(bomb)


def test_large_pictures_are_refused() -> None:
    huge = PNG[:16] + (60_000).to_bytes(4, "big") * 2 + PNG[24:]
    for content in (huge, SVG + b" " * 300_000):
        with pytest.raises(PictureTooLarge):
            logo_of(content)


def test_a_signature_is_a_small_png() -> None:
    assert is_signature(PNG)
    assert not is_signature(SVG)
    assert not is_signature(PNG[:20])
    assert not is_signature(PNG + b"\0" * 100_000)


def test_languages_are_read_once() -> None:
    assert languages.language_of("de") is language_of("de")
