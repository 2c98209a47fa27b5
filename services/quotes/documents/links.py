"""Tokens of links: which link, and our signature under it. Whoever has no key cannot make one, and what is
kept in the database is the token's hash alone."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from uuid import UUID

from services.quotes.domain.acceptance import LinksNotConfigured

_PURPOSE = b"sfa.quotes.acceptance-link.v1:"
_LENGTH = 64  # of 16 bytes of id and 32 of signature


class LinkSigner:
    """Makes tokens and tells true ones; the last key signs, the others still hold."""

    def __init__(self, keys: Sequence[bytes], public_url: str) -> None:
        self._keys = tuple(keys)
        self._url = public_url.rstrip("/")

    def token(self, link_id: UUID) -> str:
        """The token of a link.

        Raises:
            LinksNotConfigured: there is no key.
        """
        if not self._keys:
            raise LinksNotConfigured
        return urlsafe_b64encode(link_id.bytes + _signature(self._keys[-1], link_id)).decode()

    def url(self, link_id: UUID, digest: str) -> str:
        """The address of a link; empty where the key that it was made with signs no more."""
        if not self._keys:
            return ""
        token = self.token(link_id)
        return f"{self._url}/q/{token}" if digest_of(token) == digest else ""

    def link_id(self, token: str) -> UUID | None:
        """The link that a token is for; None where we have not signed it."""
        if len(token) != _LENGTH or not token.isascii():
            return None
        try:
            raw = urlsafe_b64decode(token)
        except ValueError:
            return None
        if len(raw) != 48 or urlsafe_b64encode(raw).decode() != token:
            return None
        link_id = UUID(bytes=raw[:16])
        holds = [hmac.compare_digest(_signature(key, link_id), raw[16:]) for key in self._keys]
        return link_id if any(holds) else None


def digest_of(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def _signature(key: bytes, link_id: UUID) -> bytes:
    return hmac.digest(key, _PURPOSE + link_id.bytes, hashlib.sha256)
