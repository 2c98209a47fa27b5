"""How often one caller may ask: a token bucket each, kept in this process.

The limit holds per replica: two replicas together let twice as much through. It protects the system
from one careless client; it is no quota to be billed by.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from time import monotonic

from gateway.problems import Header, Problem

_REMEMBERED = 50_000


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


class RateLimit:
    """Buckets of `burst` requests that refill at `rate` per second."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = monotonic) -> None:
        self.rate = rate
        self.burst = burst
        self._clock = clock
        self._buckets: OrderedDict[Hashable, _Bucket] = OrderedDict()
        self._limit = (b"ratelimit-limit", str(burst).encode())
        self._policy = (b"ratelimit-policy", f"{burst};w={max(1, round(burst / rate))}".encode())

    def take(self, caller: Hashable) -> list[Header]:
        """Takes one request of the caller's, and says in headers what is left.

        `RateLimit-Reset` is the number of seconds until the bucket is full again.

        Raises:
            Problem: 429 with `Retry-After`, where nothing is left.
        """
        now = self._clock()
        bucket = self._buckets.get(caller)
        if bucket is None:
            bucket = self._buckets[caller] = _Bucket(self.burst, now)
            if len(self._buckets) > _REMEMBERED:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(caller)
            bucket.tokens = min(self.burst, bucket.tokens + (now - bucket.filled_at) * self.rate)
            bucket.filled_at = now
        if bucket.tokens < 1:
            wait = b"%d" % max(1, round((1 - bucket.tokens) / self.rate + 0.5))
            headers = [*self._headers(bucket), (b"retry-after", wait)]
            raise Problem(429, "RATE_LIMITED", "Too many requests; slow down.", headers=headers)
        bucket.tokens -= 1
        return self._headers(bucket)

    def _headers(self, bucket: _Bucket) -> list[Header]:
        left = int(bucket.tokens)
        reset = -int(-(self.burst - bucket.tokens) // self.rate)
        return [
            self._limit,
            self._policy,
            (b"ratelimit-remaining", b"%d" % left),
            (b"ratelimit-reset", b"%d" % reset),
        ]
