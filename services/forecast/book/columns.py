"""Arrays that grow at their end."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt


class Columns:
    """Arrays of one length under one name each; what they hold so far is an attribute by that name.

    An attribute shows the rows that were there when it was read: after `extend` it is to be read again.
    """

    DTYPES: ClassVar[Mapping[str, npt.DTypeLike]] = {}

    def __init__(self) -> None:
        self._arrays: dict[str, npt.NDArray[Any]] = {
            name: np.empty(0, dtype) for name, dtype in self.DTYPES.items()
        }
        self._room = 0
        self._show(0)

    def __len__(self) -> int:
        return self._length

    @property
    def bytes(self) -> int:
        """How much memory they take."""
        return sum(array.nbytes for array in self._arrays.values())

    def extend(self, columns: Mapping[str, npt.ArrayLike]) -> None:
        """Adds rows, given as one array for each name."""
        added = len(np.atleast_1d(next(iter(columns.values()))))
        start, end = self._length, self._length + added
        if end > self._room:
            self._grow(max(end, start + start // 4 + 64) if start else end)
        for name, array in self._arrays.items():
            array[start:end] = columns[name]
        self._show(end)

    def adopt(self, columns: Mapping[str, npt.NDArray[Any]]) -> None:
        """Takes arrays of the right types as its own; there is nothing yet."""
        self._arrays = {name: columns[name].astype(dtype, copy=False) for name, dtype in self.DTYPES.items()}
        self._room = len(next(iter(columns.values())))
        self._show(self._room)

    def _grow(self, room: int) -> None:
        self._room = room
        for name, array in self._arrays.items():
            grown = np.empty(room, array.dtype)
            grown[: self._length] = array[: self._length]
            self._arrays[name] = grown

    def _show(self, length: int) -> None:
        self._length = length
        for name, array in self._arrays.items():
            setattr(self, name, array[:length])
