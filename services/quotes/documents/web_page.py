"""The page on which a customer decides: HTML without a script that it needs, nothing from other sites, and a
policy that lets nothing else in. Every text is escaped by the template engine."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from services.quotes.documents.content import Content
from services.quotes.documents.language import Language

_FOLDER = "pages"


@dataclass(frozen=True, slots=True)
class Notice:
    """What stands at the top: `good`, `bad` or neither."""

    title: str
    text: str
    tone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a page shows. Without content it is a notice alone."""

    language: Language
    token: str = ""
    accent: str = "#17457a"
    sender: str = ""
    has_logo: bool = False
    recipient: str = ""
    content: Content | None = None
    document: str = ""
    notice: Notice | None = None
    is_open: bool = False
    may_ask: bool = False
    asked: bool = False
    action: str = ""
    wrong: str = ""
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rendered:
    """A page, and what a browser may load for it."""

    html: bytes
    policy: str


def render(page: Page) -> Rendered:
    """The HTML, and its Content-Security-Policy: style and script by their hash, pictures from here, forms
    to here, nothing else."""
    style = _text("style.css").replace("{{ accent }}", page.accent)
    script = _text("sign.js")
    title = page.content["title"] + " " + page.content["number"] if page.content else ""
    if not title and page.notice is not None:
        title = page.notice.title
    html = (
        _environment()
        .get_template("page.html")
        .render(
            **{name: getattr(page, name) for name in Page.__slots__},
            title=title,
            label=page.language.say,
            style=Markup(style),  # noqa: S704  # ours; the colour is six digits
            script=Markup(script),  # noqa: S704  # ours
        )
    )
    policy = (
        f"default-src 'none'; img-src 'self'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    return Rendered(html.encode(), policy)


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.DictLoader({"page.html": _text("page.html")}), autoescape=True, trim_blocks=True,
        undefined=jinja2.ChainableUndefined, auto_reload=False,
    )  # fmt: skip


@lru_cache
def _text(name: str) -> str:
    return (resources.files("services.quotes.documents") / _FOLDER / name).read_text("utf-8").strip()


def _hash(text: str) -> str:
    return f"sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def plain(content: Content) -> dict[str, Any]:
    """Content for a page, where the browser breaks words by itself."""
    texts = {name: _bare(value) for name, value in content.items()}
    texts["customer_line"] = texts["customer"]["name"]
    return texts


def bare(text: str) -> str:
    """A text without the places where it may break."""
    return text.replace("\u200b", "")


def _bare(value: Any) -> Any:
    if isinstance(value, str):
        return bare(value)
    if isinstance(value, Mapping):
        return {name: _bare(each) for name, each in value.items()}
    return [_bare(each) for each in value] if isinstance(value, list) else value
