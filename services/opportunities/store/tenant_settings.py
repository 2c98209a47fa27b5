"""What the tenant has set, as identity said it: the reporting currency and the time zone."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from chassis.call import Call
from services.opportunities.tables.metrics import tenant_settings

_UTC: Final = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class Tenant:
    """What the tenant has set; `reporting_currency` is empty where identity was not heard."""

    reporting_currency: str = ""
    zone: ZoneInfo = _UTC

    def day(self, at: datetime) -> date:
        """The tenant's day of an instant; that of UTC where the calendar begins or ends."""
        try:
            return at.astimezone(self.zone).date()
        except OverflowError:
            return at.date()


async def tenant_of(call: Call, as_of: datetime | None = None) -> Tenant:
    """What holds, or held as it was recorded at an instant; before the first version that one."""
    settings = tenant_settings.c
    early = sa.and_(sa.literal(as_of is not None), settings.recorded_at > (as_of or call.now))
    rows = await call.tx.read(
        sa.select(settings.reporting_currency, settings.time_zone)
        .where(settings.id == call.caller.tenant)
        .order_by(early, sa.case((early, -settings.version), else_=settings.version).desc())
        .limit(1)
    )
    if not rows:
        return Tenant()
    return Tenant(rows[0]["reporting_currency"], _zone(rows[0]["time_zone"]))


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name or "UTC")
    except (KeyError, ValueError, OSError):  # one that this machine does not know
        return _UTC
