"""Encryption at rest: AES-256-GCM under data keys, which are themselves encrypted by a master key.

The master key lives in a file, or in a key management service that never gives it away. Every
ciphertext carries the id of its master key and its own encrypted data key, so that a master key can
be rotated while old ciphertexts stay readable. A ciphertext is bound to its tenant and field: moved
to another place, it does not open.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_FORMAT: Final = 1
_NONCE: Final = 12
_KEY: Final = 32
_TAG: Final = 16
_USES: Final = 2**24
"""How often a data key is used before a new one is made; far below what random nonces allow (2^32)."""
_REMEMBERED: Final = 1000


class CannotDecrypt(Exception):
    """The ciphertext was changed, belongs to another tenant or field, or its master key is not there."""


class MasterKeysUnusable(Exception):
    """The master keys are missing, malformed, or open to others."""


class MasterKeys(Protocol):
    """What encrypts data keys: a file, or a key management service."""

    @property
    def current(self) -> str:
        """The id of the key that new data keys are wrapped with: ASCII, at most 255 characters."""
        ...

    async def wrap(self, key_id: str, data_key: bytes) -> bytes:
        """The data key, encrypted."""
        ...

    async def unwrap(self, key_id: str, wrapped: bytes) -> bytes:
        """The data key; CannotDecrypt where the master key is unknown or is another one."""
        ...


class LocalMasterKeys:
    """Master keys that this process holds itself: base64 of 32 bytes each, the last one is current.

    Rotation appends a key. Old ones stay as long as something is encrypted under them. A key's id is
    taken from its digest, so that nobody has to keep ids and keys together.
    """

    def __init__(self, *keys: bytes) -> None:
        if not keys or any(len(key) != _KEY for key in keys):
            raise MasterKeysUnusable(f"The key ring needs master keys of {_KEY} bytes each, in base64.")
        self._ciphers = {_id_of(key): AESGCM(key) for key in keys}
        self._current = _id_of(keys[-1])

    @classmethod
    def parse(cls, text: str) -> LocalMasterKeys:
        """Keys in base64, separated by commas or white space.

        Raises:
            MasterKeysUnusable: with the sentence that says what is wrong.
        """
        try:
            return cls(*(base64.b64decode(word, validate=True) for word in text.replace(",", " ").split()))
        except ValueError:
            raise MasterKeysUnusable(
                f"The key ring needs master keys of {_KEY} bytes each, in base64."
            ) from None

    @classmethod
    def load(cls, path: Path) -> LocalMasterKeys:
        """Reads a file with one key a line, which only its owner may read.

        Raises:
            MasterKeysUnusable: with the sentence that says what is wrong with it.
        """
        try:
            if path.stat().st_mode & 0o077:
                raise MasterKeysUnusable(f"{path} is open to others: make it readable by its owner only.")
            text = path.read_text("ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise MasterKeysUnusable(f"The master keys cannot be read from {path}.") from error
        return cls.parse(text)

    @staticmethod
    def rotate(path: Path) -> str:
        """Appends a new key to the file, made where it is not there, and returns the key's id."""
        key = os.urandom(_KEY)
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, base64.b64encode(key) + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return _id_of(key)

    @property
    def current(self) -> str:
        return self._current

    async def wrap(self, key_id: str, data_key: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + self._ciphers[key_id].encrypt(nonce, data_key, key_id.encode())

    async def unwrap(self, key_id: str, wrapped: bytes) -> bytes:
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise CannotDecrypt(f"the master key {key_id} is not there")
        try:
            return cipher.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], key_id.encode())
        except InvalidTag:
            raise CannotDecrypt(f"the data key was not wrapped by the master key {key_id}") from None


@dataclass(slots=True)
class _DataKey:
    master: str
    wrapped: bytes
    cipher: AESGCM
    uses: int = 0


class KeyRing:
    """Encrypts and decrypts fields of tenants."""

    def __init__(self, masters: MasterKeys) -> None:
        self._masters = masters
        self._current: _DataKey | None = None
        self._opened: OrderedDict[tuple[str, bytes], AESGCM] = OrderedDict()

    async def encrypt(self, tenant: UUID, field: str, plaintext: bytes) -> bytes:
        """The ciphertext: format, master key id, wrapped data key, nonce, encrypted text with its tag.

        It opens only for the same tenant and `field`, such as `signing_key.private`.
        """
        key = await self._data_key()
        key.uses += 1
        nonce = os.urandom(_NONCE)
        head = _head(key.master, key.wrapped)
        return head + nonce + key.cipher.encrypt(nonce, plaintext, head + _bound_to(tenant, field))

    async def decrypt(self, tenant: UUID, field: str, ciphertext: bytes) -> bytes:
        """The plaintext.

        Raises:
            CannotDecrypt: it was changed, is another tenant's or another field's, or its key is gone.
        """
        head, master, wrapped, rest = _parts(ciphertext)
        cipher = await self._open(master, wrapped)
        try:
            return cipher.decrypt(rest[:_NONCE], rest[_NONCE:], head + _bound_to(tenant, field))
        except InvalidTag:
            raise CannotDecrypt("it was changed, or belongs to another tenant or field") from None

    async def renew(self, tenant: UUID, field: str, ciphertext: bytes) -> bytes | None:
        """The same under the current master key; None where it is already. How a rotation is finished."""
        if _parts(ciphertext)[1] == self._masters.current:
            return None
        return await self.encrypt(tenant, field, await self.decrypt(tenant, field, ciphertext))

    async def _data_key(self) -> _DataKey:
        key = self._current
        if key is None or key.uses >= _USES or key.master != self._masters.current:
            master, plain = self._masters.current, os.urandom(_KEY)
            key = _DataKey(master, await self._masters.wrap(master, plain), AESGCM(plain))
            self._current = key
        return key

    async def _open(self, master: str, wrapped: bytes) -> AESGCM:
        cipher = self._opened.get((master, wrapped))
        if cipher is None:
            cipher = AESGCM(await self._masters.unwrap(master, wrapped))
            self._opened[master, wrapped] = cipher
            if len(self._opened) > _REMEMBERED:
                self._opened.popitem(last=False)
        return cipher


def _head(master: str, wrapped: bytes) -> bytes:
    name = master.encode("ascii")
    return bytes((_FORMAT, len(name))) + name + len(wrapped).to_bytes(2, "big") + wrapped


def _parts(ciphertext: bytes) -> tuple[bytes, str, bytes, bytes]:
    """Head, master key id, wrapped data key, and nonce with encrypted text."""
    if len(ciphertext) < 2 or ciphertext[0] != _FORMAT:
        raise CannotDecrypt("it is not a ciphertext of this key ring")
    name_end = 2 + ciphertext[1]
    start = name_end + 2
    end = start + int.from_bytes(ciphertext[name_end:start], "big")
    if len(ciphertext) < end + _NONCE + _TAG:
        raise CannotDecrypt("it is cut off")
    try:
        master = ciphertext[2:name_end].decode("ascii")
    except UnicodeDecodeError:
        raise CannotDecrypt("it is not a ciphertext of this key ring") from None
    return ciphertext[:end], master, ciphertext[start:end], ciphertext[end:]


def _id_of(key: bytes) -> str:
    return hashlib.blake2b(key, digest_size=8, person=b"sfa master key").hexdigest()


def _bound_to(tenant: UUID, field: str) -> bytes:
    return tenant.bytes + field.encode()
