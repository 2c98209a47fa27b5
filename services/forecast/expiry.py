"""Submissions expire by themselves. They no longer count from their expire time on, whenever this is done;
it is what has the event published."""

from typing import Any, Final
from uuid import UUID

from chassis.call import Call
from services.forecast.store.judgement import SubmissionStore

EXPIRY: Final = "forecast_submission.expires"


async def expire(call: Call, key: str, payload: Any) -> None:
    """The submission of this id expires, unless it was withdrawn, or revised to count for longer."""
    store = SubmissionStore(call)
    submission = await store.find(UUID(key))
    if submission is not None and (expired := submission.expire(call.now)) is not None:
        await store.save(submission, expired)
