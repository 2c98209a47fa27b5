"""The fonts that documents are set in: Noto, from two packages of plain files, so that every script is there
on a bare machine and nothing is fetched. A folder of one's own can come before them."""

from functools import lru_cache
from importlib import resources

import typst

LATIN = "Noto Sans"
_CJK = {"ja": "JP", "ko": "KR", "zh": "SC"}
_OTHERS = ("Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari", "Noto Sans Thai")


@lru_cache(maxsize=8)
def fonts(own: str = "") -> typst.Fonts:
    """All fonts, looked through once in a process; `own` is a folder of further ones."""
    packages = [str(resources.files(package)) for package in ("manimgx_fonts", "manimgx_fonts_cjk")]
    return typst.Fonts(
        include_system_fonts=False,
        include_embedded_fonts=False,
        font_paths=[own, *packages] if own else packages,
    )


def families(language: str, preferred: str = "") -> list[str]:
    """Which families a text in a language is set in, in this order, glyph by glyph.

    Han characters look different in Japan, Korea and China: those of the language come first.
    """
    cjk = f"Noto Sans CJK {_CJK.get(language, 'JP')}"
    return [*([preferred] if preferred else []), LATIN, cjk, *_OTHERS]
