"""Between the protos and the domain."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from google.type.date_pb2 import Date
from sfa.identity.v1 import auth_pb2, finance_pb2
from sfa.identity.v1 import organisation_pb2 as pb

from chassis import convert
from chassis.fiscal import FiscalYears, Pattern, YearEnd
from chassis.history import Version
from services.identity.domain.deactivation import Deactivation, State
from services.identity.domain.people import Role, User
from services.identity.domain.providers import IdentityProvider
from services.identity.domain.rates import ExchangeRate
from services.identity.domain.reporting import Dated, ReportingLine, Territory, TerritoryAssignment
from services.identity.domain.signing_in import Session
from services.identity.domain.tenants import FiscalPeriod, PeriodKind, Tenant
from services.identity.keys import SigningKey

_ROLES = {role: pb.Role.Value(role.name) for role in Role}
_ROLE_OF = {number: role for role, number in _ROLES.items()}
_PERIODS = {kind: pb.FiscalPeriod.Kind.Value(kind.name) for kind in PeriodKind}
_STATES = {state: pb.Deactivation.State.Value(state.name) for state in State}

Readers = Mapping[str, Callable[[Any], Any]]
"""How each field that a client may set is read; the names are those of the update mask."""


def _date(message: Any, name: str, path: str) -> Any:
    return convert.date_of(getattr(message, name), f"{path}.{name}") if message.HasField(name) else None


def day_of(value: Date, field: str) -> Any:
    """A date that may be left out."""
    return convert.date_of(value, field) if value.year or value.month or value.day else None


# Tenants


def tenant_to_proto(tenant: Tenant) -> pb.Tenant:
    """The resource."""
    result = pb.Tenant()
    convert.set_head(result, tenant)
    result.name = tenant.name
    result.reporting_currency = tenant.reporting_currency
    result.time_zone = tenant.time_zone
    calendar = tenant.fiscal_calendar
    result.fiscal_calendar.start_month = calendar.start_month
    if calendar.is_weekly:
        result.fiscal_calendar.pattern = pb.FiscalCalendar.Pattern.ValueType(calendar.pattern)
        result.fiscal_calendar.first_weekday = calendar.first_weekday
        result.fiscal_calendar.year_end = pb.FiscalCalendar.YearEnd.ValueType(calendar.year_end)
        result.fiscal_calendar.long_month = calendar.long_month
    return result


TENANT_FIELDS: Readers = {
    "name": lambda message: message.name,
    "external_ids": lambda message: convert.external_ids_of(message.external_ids),
    "reporting_currency": lambda message: message.reporting_currency,
    "time_zone": lambda message: message.time_zone,
    "fiscal_calendar": lambda message: fiscal_years_of(message.fiscal_calendar),
}


def fiscal_years_of(calendar: pb.FiscalCalendar) -> FiscalYears:
    """How years are divided. What only years of weeks have is left where months are calendar months."""
    start_month, pattern = calendar.start_month or 1, Pattern(calendar.pattern or Pattern.CALENDAR_MONTHS)
    if pattern is Pattern.CALENDAR_MONTHS:
        return FiscalYears(start_month)
    return FiscalYears(
        start_month,
        pattern,
        calendar.first_weekday or FiscalYears().first_weekday,
        YearEnd(calendar.year_end or YearEnd.NEAREST),
        calendar.long_month or FiscalYears().long_month,
    )


def period_to_proto(period: FiscalPeriod) -> pb.FiscalPeriod:
    """The resource."""
    return pb.FiscalPeriod(
        name=period.name,
        kind=_PERIODS[period.kind],
        year=period.year,
        number=period.number,
        start_date=convert.date_to_proto(period.start_date),
        end_date=convert.date_to_proto(period.end_date),
    )


# Users


def user_to_proto(user: User) -> pb.User:
    """The resource."""
    result = pb.User()
    convert.set_head(result, user)
    result.email = user.email
    result.display_name = user.display_name
    result.roles.extend(_ROLES[role] for role in user.roles)
    result.active = user.active
    result.time_zone = user.time_zone
    result.language = user.language
    return result


USER_FIELDS: Readers = {
    "display_name": lambda message: message.display_name,
    "external_ids": lambda message: convert.external_ids_of(message.external_ids),
    "email": lambda message: message.email,
    "roles": lambda message: tuple(_ROLE_OF[number] for number in message.roles),
    "time_zone": lambda message: message.time_zone,
    "language": lambda message: message.language,
}


def user_version_to_proto(version: Version) -> pb.UserVersion:
    """One version."""
    assert isinstance(version.resource, pb.User)
    return pb.UserVersion(
        user=version.resource,
        event=version.event,
        changed_fields=version.changed_fields,
        actor=version.actor,
        via=version.via,
    )


# Reporting lines and territories


def _set_dates(target: Any, dated: Dated) -> None:
    target.user_id = str(dated.user_id)
    if dated.start_date is not None and dated.starts_at is not None:
        convert.set_date(target.start_date, dated.start_date)
        convert.set_timestamp(target.start_time, dated.starts_at)
    if dated.end_date is not None and dated.ends_at is not None:
        convert.set_date(target.end_date, dated.end_date)
        convert.set_timestamp(target.end_time, dated.ends_at)


def reporting_line_to_proto(line: ReportingLine) -> pb.ReportingLine:
    """The resource."""
    result = pb.ReportingLine(manager_id=str(line.manager_id))
    convert.set_head(result, line)
    _set_dates(result, line)
    return result


def dates_of(message: pb.ReportingLine | pb.TerritoryAssignment, path: str) -> dict[str, Any]:
    """The days of an interval."""
    return {name: _date(message, name, path) for name in ("start_date", "end_date")}


def share_of(text: str) -> Decimal:
    """How much of a user's deals counts in a territory; all of it where nothing is said."""
    return Decimal(text or 1)


def territory_to_proto(territory: Territory) -> pb.Territory:
    """The resource."""
    result = pb.Territory(name=territory.name)
    convert.set_head(result, territory)
    if territory.parent_id is not None:
        result.parent_id = str(territory.parent_id)
    return result


TERRITORY_FIELDS: Readers = {
    "name": lambda message: message.name,
    "external_ids": lambda message: convert.external_ids_of(message.external_ids),
    "parent_id": lambda message: convert.uuid_of(message.parent_id),
}


def territory_assignment_to_proto(assignment: TerritoryAssignment) -> pb.TerritoryAssignment:
    """The resource."""
    result = pb.TerritoryAssignment(territory_id=str(assignment.territory_id))
    convert.set_head(result, assignment)
    result.share = convert.decimal_text(assignment.share)
    _set_dates(result, assignment)
    return result


# Exchange rates


def exchange_rate_to_proto(rate: ExchangeRate) -> finance_pb2.ExchangeRate:
    """The resource."""
    result = finance_pb2.ExchangeRate()
    convert.set_head(result, rate)
    result.from_currency = rate.from_currency
    result.to_currency = rate.to_currency
    convert.set_date(result.date, rate.date)
    result.rate = convert.decimal_text(rate.rate)
    return result


# Signing in


def session_to_proto(session: Session) -> auth_pb2.Session:
    """The resource."""
    result = auth_pb2.Session()
    convert.set_head(result, session)
    result.user_id = str(session.user_id)
    result.method = session.method
    result.client_address = session.client_address
    result.user_agent = session.user_agent
    if session.revoked_at is not None:
        convert.set_timestamp(result.revoke_time, session.revoked_at)
    result.revoke_reason = session.revoke_reason
    return result


def signing_key_to_proto(key: SigningKey) -> auth_pb2.Jwk:
    """The public half, as it is published."""
    return auth_pb2.Jwk(
        kty="OKP",
        crv="Ed25519",
        x=base64.urlsafe_b64encode(key.public).decode().rstrip("="),
        kid=str(key.id),
        use="sig",
        alg="Ed25519",
    )


def identity_provider_to_proto(provider: IdentityProvider) -> auth_pb2.IdentityProvider:
    """The resource."""
    result = auth_pb2.IdentityProvider()
    convert.set_head(result, provider)
    result.name = provider.name
    result.issuer = provider.issuer
    result.audience = provider.audience
    result.jwks_uri = provider.jwks_uri
    result.external_id_system = provider.external_id_system
    return result


IDENTITY_PROVIDER_FIELDS: Readers = {
    "external_ids": lambda message: convert.external_ids_of(message.external_ids),
    "name": lambda message: message.name,
    "issuer": lambda message: message.issuer,
    "audience": lambda message: message.audience,
    "jwks_uri": lambda message: message.jwks_uri,
    "external_id_system": lambda message: message.external_id_system,
}


# Deactivation


def deactivation_to_proto(deactivation: Deactivation) -> pb.Deactivation:
    """The resource."""
    result = pb.Deactivation()
    convert.set_head(result, deactivation)
    result.user_id = str(deactivation.user_id)
    if deactivation.successor_id is not None:
        result.successor_id = str(deactivation.successor_id)
    if deactivation.queue_id is not None:
        result.queue_id = str(deactivation.queue_id)
    result.state = _STATES[deactivation.state]
    for part in deactivation.parts:
        result.parts.add(
            service=part.service,
            entity=part.entity,
            moved=part.moved,
            moved_back=part.moved_back,
            remaining=part.remaining,
            error=part.error,
            to_queue=part.to_queue,
        )
    return result
