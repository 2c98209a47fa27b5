"""`sfa forecast report`: asks, draws, writes."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, date, datetime, time
from pathlib import Path

import typer

from deploy.importing.client import Api, SignIn
from deploy.report.content import Report
from deploy.report.gather import Wanted, gather
from deploy.report.page import page


def write(
    url: str,
    sign_in: SignIn,
    output: Path,
    *,
    period: str,
    group_by: str,
    currency: str,
    node: str,
    depth: int | None,
    as_of: str,
    since: str,
    business_time: bool,
    backtest: str,
) -> None:
    """Writes the page, and says where it is."""
    wanted = Wanted(
        period, group_by, node, depth, currency,
        as_of=instant_of(as_of, "--as-of", time.max), in_business_time=business_time,
        since=instant_of(since, "--since", time.min), backtest=backtest,
    )  # fmt: skip

    async def run() -> Report:
        async with Api(url, sign_in) as api:
            return await gather(api, wanted, datetime.now(UTC))

    text = page(asyncio.run(run()))
    try:
        output.write_text(text, "utf-8")
    except OSError as error:
        raise typer.BadParameter(f"{output} cannot be written ({error.strerror}).") from None
    sys.stdout.write(f"{output}\n")


def instant_of(text: str, option: str, of_day: time) -> datetime | None:
    """An instant, or a time of a day where only the day is named; None for nothing."""
    if not text:
        return None
    try:
        if len(text) == len("2017-09-30"):
            return datetime.combine(date.fromisoformat(text), of_day, UTC)
        found = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{option} is a day such as 2017-09-30, or an instant such as 2017-09-30T18:00:00Z."
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
