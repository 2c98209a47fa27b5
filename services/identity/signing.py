"""Signs access tokens with the deployment's current key, which is made when there is none and rotated by
itself; every replica takes the same keys from the database."""

from __future__ import annotations

import asyncio
from typing import Final
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.jwk import OKPKey
from sfa.identity.v1 import auth_pb2

from chassis.clock import Clock
from chassis.database import Database
from chassis.ids import new_id
from chassis.keyring import KeyRing
from chassis.subscriptions import service_call
from chassis.tokens import TokenIssuer
from services.identity import wire
from services.identity.keys import SigningKey, SigningKeyRotated
from services.identity.store import SigningKeyStore, lock

DEPLOYMENT: Final = UUID(int=0)
"""The tenant of what belongs to no tenant."""
_FIELD: Final = "signing_key.private"
_FRESH_SECONDS: Final = 30.0


class Signing:
    """The keys of this deployment, as this process knows them."""

    def __init__(self, database: Database, ring: KeyRing, clock: Clock) -> None:
        self._database = database
        self._ring = ring
        self._clock = clock
        self._lock = asyncio.Lock()
        self._known: tuple[TokenIssuer, list[SigningKey]] | None = None
        self._looked_at = float("-inf")

    async def issuer(self) -> TokenIssuer:
        """What signs with the current key."""
        return (await self._current())[0]

    async def published(self) -> list[auth_pb2.Jwk]:
        """The public keys that tokens in use may be signed with."""
        now = self._clock.now()
        keys = (await self._current())[1]
        return [wire.signing_key_to_proto(key) for key in keys if key.is_published(now)]

    async def rotate(self) -> None:
        """Has another key sign from now on."""
        async with self._lock:
            self._known = await self._load(anew=True)

    async def _current(self) -> tuple[TokenIssuer, list[SigningKey]]:
        async with self._lock:
            elapsed = asyncio.get_running_loop().time() - self._looked_at
            if self._known is None or elapsed > _FRESH_SECONDS:
                self._known = await self._load()
                self._looked_at = asyncio.get_running_loop().time()
            return self._known

    async def _load(self, *, anew: bool = False) -> tuple[TokenIssuer, list[SigningKey]]:
        async with self._database.transaction(DEPLOYMENT) as tx:
            call = service_call("identity", DEPLOYMENT, tx, self._clock, "signing keys", None)
            store = SigningKeyStore(call)
            keys = await store.all()
            if anew or self._is_due(keys):
                await lock(tx, "signing keys")
                keys = await store.all()  # another replica may have been faster
                if anew or self._is_due(keys):
                    keys = await self._make(store, keys)
            current = next(key for key in keys if key.retired_at is None)
            private = await self._ring.decrypt(DEPLOYMENT, _FIELD, current.sealed)
            renewed = await self._ring.renew(DEPLOYMENT, _FIELD, current.sealed)
            if renewed is not None:  # the master key was rotated
                current.sealed = renewed
                await store.save(current, SigningKeyRotated())
        key = OKPKey.import_key(Ed25519PrivateKey.from_private_bytes(private), {"kid": str(current.id)})
        return TokenIssuer(key), keys

    def _is_due(self, keys: list[SigningKey]) -> bool:
        now = self._clock.now()
        return not any(key.retired_at is None and not key.is_due(now) for key in keys)

    async def _make(self, store: SigningKeyStore, keys: list[SigningKey]) -> list[SigningKey]:
        private = Ed25519PrivateKey.generate()
        sealed = await self._ring.encrypt(DEPLOYMENT, _FIELD, private.private_bytes_raw())
        new = SigningKey(id=new_id(), public=private.public_key().public_bytes_raw(), sealed=sealed)
        await store.add(new, SigningKeyRotated())
        for key in keys:
            if key.retired_at is None:
                await store.save(key, key.retire(self._clock.now()))
        return [new, *keys]
