"""What held for whom on which day, as arrays: for many users and days at once."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

EARLIEST: Final = -(1 << 31)
_SHIFT: Final = 33

Numbers = npt.NDArray[np.int64]


class Timelines:
    """For each user (a code) one number from each of some days on; the first one holds ever since."""

    def __init__(self, of_user: Mapping[int, Sequence[tuple[int, int]]]) -> None:
        """Takes for each user the days (since 1970), ascending, from which on each number holds."""
        keys, values = [], []
        for user in sorted(of_user):
            for place, (day, value) in enumerate(of_user[user]):
                keys.append((user << _SHIFT) + (0 if not place else day - EARLIEST))
                values.append(value)
        self._keys = np.array(keys, np.int64)
        self._values = np.array(values, np.int64)
        self.days = sorted({day for each in of_user.values() for day, _ in each[1:]})
        """The days on which anything changes for anybody."""

    def at(self, users: npt.NDArray[np.int64], days: npt.NDArray[np.int64]) -> Numbers:
        """The number of each user on each day; every one of them must be known."""
        places = np.searchsorted(self._keys, (users << _SHIFT) + (days - EARLIEST), side="right") - 1
        found: Numbers = self._values[places]
        return found
