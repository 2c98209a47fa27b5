"""Small numbers for ids: a column of the book holds an int32 where the table holds a UUID.

Ids that came in bulk lie in arrays sorted by a 64-bit key; those that came since, in a dictionary. Each
id takes 28 bytes, not the 150 that a dictionary would take.
"""

from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.uint64]
"""Two columns: the high and the low half of each id."""
Codes = npt.NDArray[np.int32]

MISSING: Final = -1
"""The code of no id."""
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)
_LOW: Final = (1 << 64) - 1
_FEW: Final = 4096
_MANY: Final = 64
"""From how many ids on arrays are faster than one look-up after the other."""


def ids_of(raw: npt.NDArray[np.void]) -> Ids:
    """UUIDs as PostgreSQL sends them, 16 bytes each, as numbers."""
    halves = np.ascontiguousarray(raw).view(">u8").reshape(-1, 2)
    return halves.astype(np.uint64)


def _keys(ids: Ids) -> npt.NDArray[np.uint64]:
    with np.errstate(over="ignore"):
        keys: npt.NDArray[np.uint64] = ids[:, 0] ^ (ids[:, 1] * _MIX)
    return keys


class Interner:
    """The ids of one sort of thing, each with its code: 0, 1, 2 …"""

    def __init__(self) -> None:
        self._ids: Ids = np.empty((0, 2), np.uint64)
        self._sorted_keys = np.empty(0, np.uint64)
        self._sorted_codes: Codes = np.empty(0, np.int32)
        self._recent: dict[tuple[int, int], int] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def bytes(self) -> int:
        """How much memory it takes."""
        return (
            self._ids.nbytes + self._sorted_keys.nbytes + self._sorted_codes.nbytes + 200 * len(self._recent)
        )

    def id(self, code: int) -> UUID:
        """The id that a code stands for."""
        high, low = self._ids[code]
        return UUID(int=(int(high) << 64) | int(low))

    def ids(self, codes: Iterable[int]) -> list[UUID]:
        """The ids that some codes stand for."""
        return [self.id(code) for code in codes]

    def halves(self, codes: Codes) -> Ids:
        """The ids that some codes stand for, as numbers: the high and the low half of each."""
        return self._ids[codes]

    def code(self, id: UUID | None) -> int:
        """The code of an id; `MISSING` for none, and for one that never came."""
        if id is None:
            return MISSING
        pair = (id.int >> 64, id.int & _LOW)
        recent = self._recent.get(pair)
        return recent if recent is not None else self._find(pair)

    def codes(self, ids: Iterable[UUID]) -> Codes:
        """The codes of those ids that came, in no order."""
        found = [code for code in map(self.code, ids) if code != MISSING]
        return np.array(found, np.int32)

    def intern(self, id: UUID | None) -> int:
        """The code of an id, a new one where it has none; `MISSING` for None."""
        code = self.code(id)
        if code != MISSING or id is None:
            return code
        return self._append((id.int >> 64, id.int & _LOW))

    def intern_all(self, ids: Ids) -> Codes:
        """The codes of many ids; nil stands for none."""
        if not ids.any():
            return np.full(len(ids), MISSING, np.int32)
        if len(ids) < _MANY:
            return self._one_by_one(ids)
        self._settle()
        keys, first, inverse = np.unique(_keys(ids), return_index=True, return_inverse=True)
        distinct = ids[first]
        if not np.array_equal(distinct[inverse], ids):  # two ids with one key
            return self._one_by_one(ids)
        places = np.searchsorted(self._sorted_keys, keys)
        codes = np.full(len(keys), MISSING, np.int32)
        inside = places < len(self._sorted_keys)
        same = np.zeros(len(keys), bool)
        same[inside] = self._sorted_keys[places[inside]] == keys[inside]
        codes[same] = self._sorted_codes[places[same]]
        if not np.array_equal(self._ids[codes[same]], distinct[same]):
            return self._one_by_one(ids)
        nil = ~distinct.any(axis=1)
        fresh = np.flatnonzero(~same & ~nil)
        codes[fresh] = np.arange(self._count, self._count + len(fresh), dtype=np.int32)
        self._extend(distinct[fresh])
        self._index(keys[fresh], codes[fresh])
        result: Codes = codes[inverse]
        return result

    def _one_by_one(self, ids: Ids) -> Codes:
        result = np.empty(len(ids), np.int32)
        for place, (high, low) in enumerate(ids.tolist()):
            if not high and not low:
                result[place] = MISSING
                continue
            pair = (high, low)
            code = self._recent.get(pair)
            if code is None:
                code = self._find(pair)
            result[place] = self._append(pair) if code == MISSING else code
        return result

    def _find(self, pair: tuple[int, int]) -> int:
        if not len(self._sorted_keys):
            return MISSING
        key = np.uint64(pair[0] ^ ((pair[1] * int(_MIX)) & _LOW))
        place = int(np.searchsorted(self._sorted_keys, key))
        while place < len(self._sorted_keys) and self._sorted_keys[place] == key:
            code = int(self._sorted_codes[place])
            if (int(self._ids[code, 0]), int(self._ids[code, 1])) == pair:
                return code
            place += 1
        return MISSING

    def _append(self, pair: tuple[int, int]) -> int:
        code = self._count
        self._extend(np.array([pair], np.uint64))
        self._recent[pair] = code
        if len(self._recent) > max(_FEW, self._count // 8):
            self._settle()
        return code

    def _extend(self, ids: Ids) -> None:
        needed = self._count + len(ids)
        if needed > len(self._ids):
            grown = np.empty((max(needed, self._count + self._count // 4 + 16), 2), np.uint64)
            grown[: self._count] = self._ids[: self._count]
            self._ids = grown
        self._ids[self._count : needed] = ids
        self._count = needed

    def _settle(self) -> None:
        """Moves what came since to the sorted arrays."""
        if self._recent:
            codes = np.fromiter(self._recent.values(), np.int32, len(self._recent))
            self._index(_keys(self._ids[codes]), codes)
            self._recent = {}

    def _index(self, keys: npt.NDArray[np.uint64], codes: Codes) -> None:
        keys = np.concatenate([self._sorted_keys, keys])
        codes = np.concatenate([self._sorted_codes, codes])
        order = np.argsort(keys, kind="stable")
        self._sorted_keys, self._sorted_codes = keys[order], codes[order]


class Currencies:
    """Currencies as int16: three letters, read as a number to the base of 26."""

    @staticmethod
    def code(currency: str) -> int:
        """The code of a currency; `MISSING` for none."""
        if len(currency) != 3:
            return MISSING
        high, middle, low = (ord(letter) - 65 for letter in currency)
        return (high * 26 + middle) * 26 + low

    @staticmethod
    def id(code: int) -> str:
        """The currency that a code stands for; empty for none."""
        if code < 0:
            return ""
        return chr(code // 676 + 65) + chr(code // 26 % 26 + 65) + chr(code % 26 + 65)

    @staticmethod
    def codes_of(raw: npt.NDArray[Any]) -> npt.NDArray[np.int16]:
        """Currencies as PostgreSQL sends them, three letters each; `---` stands for none."""
        letters = np.ascontiguousarray(raw).view(np.uint8).reshape(-1, 3).astype(np.int16) - 65
        codes = (letters[:, 0] * 26 + letters[:, 1]) * 26 + letters[:, 2]
        return np.where(letters[:, 0] < 0, np.int16(MISSING), codes).astype(np.int16)
