"""Guessing gets slower and slower; a refresh token is good for one use."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from services.identity.domain.signing_in import (
    ACCOUNT_PATIENCE,
    Attempts,
    RefreshToken,
    Session,
    TooManyAttempts,
    digest_of,
)

NOW = datetime(2026, 1, 5, tzinfo=UTC)


def guess(attempts: Attempts, times: int, at: datetime = NOW) -> Attempts:
    for _ in range(times):
        attempts = attempts.begin(at, ACCOUNT_PATIENCE)
        if attempts.locked_until:
            at = attempts.locked_until
    return attempts


def test_the_first_attempts_are_free() -> None:
    assert guess(Attempts(), ACCOUNT_PATIENCE.free - 1).locked_until is None


def test_then_the_wait_doubles_with_each_up_to_its_limit() -> None:
    attempts = guess(Attempts(), ACCOUNT_PATIENCE.free - 1)
    at, waits = NOW, []
    for _ in range(14):
        attempts = attempts.begin(at, ACCOUNT_PATIENCE)
        assert attempts.locked_until is not None
        waits.append(int((attempts.locked_until - at).total_seconds()))
        at = attempts.locked_until
    assert waits[:5] == [1, 2, 4, 8, 16]
    assert waits[-1] == ACCOUNT_PATIENCE.longest.total_seconds()


def test_a_locked_account_says_for_how_long() -> None:
    attempts = guess(Attempts(), ACCOUNT_PATIENCE.free + 4)
    assert attempts.locked_until is not None
    with pytest.raises(TooManyAttempts, match="16 seconds") as refused:
        attempts.begin(attempts.locked_until - timedelta(seconds=16), ACCOUNT_PATIENCE)
    assert refused.value.facts == {"retry_after": "16"}


def test_attempts_at_the_same_moment_all_count() -> None:
    attempts = Attempts()
    for _ in range(ACCOUNT_PATIENCE.free):
        attempts = attempts.begin(NOW, ACCOUNT_PATIENCE)
    with pytest.raises(TooManyAttempts):
        attempts.begin(NOW, ACCOUNT_PATIENCE)


def test_a_day_without_attempts_is_forgiven() -> None:
    attempts = guess(Attempts(), 50)
    assert attempts.last_at is not None
    later = attempts.begin(attempts.last_at + timedelta(hours=25), ACCOUNT_PATIENCE)
    assert (later.failures, later.locked_until) == (1, None)


def test_a_success_takes_its_attempt_back() -> None:
    attempts = guess(Attempts(), 3)
    assert attempts.take_back().failures == 2
    assert Attempts().take_back().failures == 0


def test_a_refresh_token_is_good_once_and_not_for_ever() -> None:
    token = RefreshToken(uuid4(), uuid4(), digest_of(b"secret"), NOW + timedelta(days=30))
    assert token.answers_to(b"secret")
    assert not token.answers_to(b"Secret")
    assert token.is_good(NOW)
    assert not token.is_good(NOW + timedelta(days=30))
    used = RefreshToken(token.id, token.session_id, token.digest, token.expires_at, used_at=NOW)
    assert not used.is_good(NOW)
    assert used.was_stolen


def test_a_session_ends_once() -> None:
    session = Session(user_id=uuid4(), method="password")
    session.revoke("signed out", NOW)
    session.revoke("something else", NOW + timedelta(hours=1))
    assert (session.revoked_at, session.revoke_reason) == (NOW, "signed out")
