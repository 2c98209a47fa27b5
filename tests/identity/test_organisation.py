"""People, reporting lines and territories over gRPC, on a real database."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import uuid4

import grpc
from google.protobuf.field_mask_pb2 import FieldMask
from google.type.date_pb2 import Date
from sfa.api.v1.resource_pb2 import ExternalId, RowResult
from sfa.identity.v1 import events_pb2
from sfa.identity.v1 import organisation_pb2 as pb
from sfa.identity.v1 import organisation_pb2_grpc as stubs

from chassis.envelope import subject
from tests.identity.conftest import ADDRESS, Company, Refused

CREATED, UPDATED, UNCHANGED, REJECTED = (
    RowResult.CREATED,
    RowResult.UPDATED,
    RowResult.UNCHANGED,
    RowResult.REJECTED,
)
Row = pb.BatchUpsertUsersRequest.Row


def day(value: date) -> Date:
    return Date(year=value.year, month=value.month, day=value.day)


def key(name: str) -> ExternalId:
    return ExternalId(system="maven", id=name)


def agent(name: str, manager: str = "", region: str = "", **user: Any) -> Row:
    row = Row(user=pb.User(display_name=name, external_ids=[key(name)], **user))
    if manager:
        row.manager.CopyFrom(key(manager))
    if region:
        row.territory.CopyFrom(key(region))
    return row


async def upsert(company: Company, *rows: Row, role: str = "operations", **request: Any) -> list[RowResult]:
    users = stubs.UserServiceStub(company.stack.channel("identity", role))
    answer = await users.BatchUpsertUsers(pb.BatchUpsertUsersRequest(rows=rows, **request))
    return list(answer.results)


async def lines_of(company: Company, user: str) -> list[pb.ReportingLine]:
    answer = await company.lines.ListReportingLines(
        pb.ListReportingLinesRequest(filter=f'user_id = "{user}"', order_by="create_time")
    )
    return list(answer.reporting_lines)


async def test_the_tenant_is_read_and_changed(company: Company) -> None:
    tenant = await company.tenants.GetTenant(pb.GetTenantRequest())
    assert (tenant.name, tenant.reporting_currency, tenant.fiscal_calendar.start_month) == ("Acme", "EUR", 1)
    changed = await company.tenants.UpdateTenant(
        pb.UpdateTenantRequest(
            tenant=pb.Tenant(fiscal_calendar=pb.FiscalCalendar(start_month=2)),
            update_mask=FieldMask(paths=["fiscal_calendar"]),
            etag=tenant.etag,
        )
    )
    assert (changed.name, changed.fiscal_calendar.start_month) == ("Acme", 2)
    periods = await company.tenants.ListFiscalPeriods(pb.ListFiscalPeriodsRequest(year=2018))
    first = periods.fiscal_periods[1]
    assert (first.name, first.start_date, first.end_date) == (
        "2018-Q1",
        day(date(2017, 2, 1)),
        day(date(2017, 5, 1)),
    )
    async with Refused("TIME_ZONE_UNKNOWN", grpc.StatusCode.INVALID_ARGUMENT):
        await company.tenants.UpdateTenant(pb.UpdateTenantRequest(tenant=pb.Tenant(time_zone="Moon")))


async def test_a_fiscal_year_can_be_one_of_weeks(company: Company) -> None:
    retail = pb.FiscalCalendar(start_month=2, pattern=pb.FiscalCalendar.WEEKS_4_5_4)
    request = pb.UpdateTenantRequest(tenant=pb.Tenant(fiscal_calendar=retail))
    calendar = (await company.tenants.UpdateTenant(request)).fiscal_calendar
    assert (calendar.first_weekday, calendar.year_end, calendar.long_month) == (7, calendar.NEAREST, 12)
    assert (await company.tenants.GetTenant(pb.GetTenantRequest())).fiscal_calendar == calendar
    periods = await company.tenants.ListFiscalPeriods(pb.ListFiscalPeriodsRequest(year=2018))
    year, *_, last = periods.fiscal_periods
    assert (year.start_date, year.end_date) == (day(date(2017, 1, 29)), day(date(2018, 2, 4)))  # 53 weeks
    assert (last.name, last.start_date) == ("2018-P12", day(date(2017, 12, 31)))
    request.tenant.fiscal_calendar.CopyFrom(pb.FiscalCalendar(start_month=1))
    calendar = (await company.tenants.UpdateTenant(request)).fiscal_calendar
    assert calendar == pb.FiscalCalendar(start_month=1)


async def test_a_user_is_created_read_listed_and_changed(company: Company) -> None:
    anna = await company.user("anna", email="Anna@example.com", language="de-CH", roles=[pb.MANAGER])
    assert anna.active
    read = await company.users.GetUser(pb.GetUserRequest(id=anna.id))
    assert read == anna
    listed = await company.users.ListUsers(pb.ListUsersRequest(filter="roles:MANAGER AND active = true"))
    assert list(listed.users) == [anna]
    searched = await company.users.ListUsers(pb.ListUsersRequest(filter="ann"))
    assert list(searched.users) == [anna]
    changed = await company.users.UpdateUser(
        pb.UpdateUserRequest(id=anna.id, user=pb.User(display_name="Anna Snelling"), etag=anna.etag)
    )
    assert (changed.display_name, changed.email) == ("Anna Snelling", "Anna@example.com")
    async with Refused("ETAG_MISMATCH", grpc.StatusCode.ABORTED):
        await company.users.UpdateUser(
            pb.UpdateUserRequest(id=anna.id, user=pb.User(display_name="X"), etag=anna.etag)
        )
    versions = await company.users.ListUserVersions(pb.ListUserVersionsRequest(id=anna.id))
    assert [version.event for version in versions.versions] == ["UserUpdated", "UserCreated"]


async def test_an_address_is_one_users_whatever_its_case(company: Company) -> None:
    async with Refused("EMAIL_TAKEN", grpc.StatusCode.ALREADY_EXISTS):
        await company.user("anna", email=ADDRESS.upper())


async def test_operations_neither_make_nor_change_administrators(company: Company) -> None:
    users = stubs.UserServiceStub(company.stack.channel("identity", "operations"))
    ada = str(company.stack.callers.user("ada"))
    async with Refused("ADMINISTRATORS_ONLY", grpc.StatusCode.PERMISSION_DENIED):
        await users.CreateUser(
            pb.CreateUserRequest(user=pb.User(display_name="Eve", roles=[pb.ADMINISTRATOR]))
        )
    async with Refused("ADMINISTRATORS_ONLY"):
        await users.UpdateUser(pb.UpdateUserRequest(id=ada, user=pb.User(email="eve@example.com")))
    results = await upsert(company, Row(user=pb.User(id=ada, email="eve@example.com")))
    assert [result.reason for result in results] == ["ADMINISTRATORS_ONLY"]


async def test_the_last_administrator_stays_one(company: Company) -> None:
    ada = str(company.stack.callers.user("ada"))
    async with Refused("LAST_ADMINISTRATOR", grpc.StatusCode.FAILED_PRECONDITION):
        await company.users.UpdateUser(pb.UpdateUserRequest(id=ada, user=pb.User(roles=[pb.REP])))
    await company.user("eva", roles=[pb.ADMINISTRATOR])
    await company.users.UpdateUser(pb.UpdateUserRequest(id=ada, user=pb.User(roles=[pb.REP])))


async def test_reps_read_users_and_write_none(company: Company) -> None:
    users = stubs.UserServiceStub(company.stack.channel("identity", "rep"))
    assert len((await users.ListUsers(pb.ListUsersRequest())).users) == 1
    async with Refused("PERMISSION_MISSING", grpc.StatusCode.PERMISSION_DENIED):
        await users.CreateUser(pb.CreateUserRequest(user=pb.User(display_name="Eve")))


async def test_nobody_sees_the_users_of_another_tenant(company: Company) -> None:
    other = uuid4()
    await company.provision(str(other), "eve@example.com")
    users = stubs.UserServiceStub(company.stack.channel("identity", "administrator", tenant=other))
    listed = (await users.ListUsers(pb.ListUsersRequest())).users
    assert [user.email for user in listed] == ["eve@example.com"]
    async with Refused("NOT_FOUND", grpc.StatusCode.NOT_FOUND):
        await users.GetUser(pb.GetUserRequest(id=str(company.stack.callers.user("ada"))))


async def line(
    company: Company, user: pb.User, manager: pb.User, start: date | None = None
) -> pb.ReportingLine:
    return await company.lines.CreateReportingLine(
        pb.CreateReportingLineRequest(
            reporting_line=pb.ReportingLine(
                user_id=user.id, manager_id=manager.id, start_date=day(start) if start else None
            )
        )
    )


async def test_a_new_manager_follows_the_old_one_on_a_future_day(company: Company) -> None:
    anna, dustin, melvin = [await company.user(name) for name in ("anna", "dustin", "melvin")]
    await line(company, anna, dustin)
    future = await line(company, anna, melvin, date(2035, 7, 1))
    assert future.start_time.ToDatetime().isoformat() == "2035-06-30T22:00:00"  # the day begins in Rome
    first, second = await lines_of(company, anna.id)
    assert (first.manager_id, first.end_date, first.etag) == (dustin.id, day(date(2035, 7, 1)), "2")
    assert second == future
    await company.stack.settled()
    events = await company.stack.events()
    subscription = await events.pull_subscribe(
        subject(company.stack.tenant, events_pb2.ReportingLineChanged.DESCRIPTOR.full_name),
        stream="IDENTITY",
    )
    taken = await subscription.fetch(3, timeout=5)
    assert [
        (message.headers["ce-subject"], message.headers["ce-version"]) for message in taken if message.headers
    ] == [(first.id, "1"), (second.id, "1"), (first.id, "2")]


async def test_nobody_comes_to_be_above_themselves(company: Company) -> None:
    anna, dustin, melvin = [await company.user(name) for name in ("anna", "dustin", "melvin")]
    await line(company, anna, dustin)
    await line(company, dustin, melvin)
    async with Refused("REPORTS_TO_THEMSELVES", grpc.StatusCode.FAILED_PRECONDITION):
        await line(company, melvin, anna)


async def test_a_line_is_ended_and_deleted(company: Company) -> None:
    anna, dustin = [await company.user(name) for name in ("anna", "dustin")]
    made = await line(company, anna, dustin, date(2026, 1, 1))
    ended = await company.lines.EndReportingLine(
        pb.EndReportingLineRequest(id=made.id, end_date=day(date(2026, 3, 1)))
    )
    assert ended.end_date == day(date(2026, 3, 1))
    async with Refused("NEVER_HOLDS", grpc.StatusCode.INVALID_ARGUMENT):
        await company.lines.EndReportingLine(
            pb.EndReportingLineRequest(id=made.id, end_date=day(date(2025, 1, 1)))
        )
    deleted = await company.lines.DeleteReportingLine(pb.DeleteReportingLineRequest(id=made.id))
    assert deleted.HasField("delete_time")
    assert await lines_of(company, anna.id) == []


async def test_the_same_request_for_a_line_is_carried_out_once(company: Company) -> None:
    anna, dustin = [await company.user(name) for name in ("anna", "dustin")]
    await line(company, anna, dustin)
    request = pb.CreateReportingLineRequest(
        reporting_line=pb.ReportingLine(
            user_id=anna.id,
            manager_id=str(company.stack.callers.user("ada")),
            start_date=day(date(2026, 1, 1)),
        ),
        request_id="once",
    )
    first = await company.lines.CreateReportingLine(request)
    assert await company.lines.CreateReportingLine(request) == first
    assert len(await lines_of(company, anna.id)) == 2


async def territory(company: Company, name: str, parent: str = "") -> pb.Territory:
    return await company.territories.CreateTerritory(
        pb.CreateTerritoryRequest(
            territory=pb.Territory(name=name, parent_id=parent, external_ids=[key(name)])
        )
    )


async def test_a_user_can_cover_several_territories_with_shares_that_are_one_in_all(company: Company) -> None:
    west, east, north = [await territory(company, name) for name in ("West", "East", "North")]
    anna = await company.user("anna")

    def covers(share: str, *others: tuple[str, str], **fields: Any) -> pb.CreateTerritoryAssignmentRequest:
        other = pb.CreateTerritoryAssignmentRequest.Other
        assignment = pb.TerritoryAssignment(user_id=anna.id, territory_id=west.id, share=share, **fields)
        return pb.CreateTerritoryAssignmentRequest(
            territory_assignment=assignment,
            others=[other(territory_id=id, share=share) for id, share in others],
        )

    first = await company.territories.CreateTerritoryAssignment(covers("0.6", (east.id, "0.4")))
    assert (first.territory_id, first.share) == (west.id, "0.6")
    for wrong in (covers("0.6", (east.id, "0.3")), covers("0.5"), covers("0.5", (west.id, "0.5"))):
        async with Refused("SHARES_NOT_WHOLE", grpc.StatusCode.INVALID_ARGUMENT):
            await company.territories.CreateTerritoryAssignment(wrong)
    async with Refused("TERRITORY_UNKNOWN", grpc.StatusCode.NOT_FOUND):
        await company.territories.CreateTerritoryAssignment(covers("0.5", (str(uuid4()), "0.5")))
    async with Refused("ONE_OF_SEVERAL", grpc.StatusCode.FAILED_PRECONDITION):
        await company.territories.EndTerritoryAssignment(pb.EndTerritoryAssignmentRequest(id=first.id))
    async with Refused("ONE_OF_SEVERAL", grpc.StatusCode.FAILED_PRECONDITION):
        await company.territories.DeleteTerritoryAssignment(pb.DeleteTerritoryAssignmentRequest(id=first.id))
    start = day(date(2030, 1, 1))
    again = covers("0.2", (east.id, "0.3"), (north.id, "0.5"), start_date=start)
    await company.territories.CreateTerritoryAssignment(again)
    listed = await company.territories.ListTerritoryAssignments(pb.ListTerritoryAssignmentsRequest())
    shares = sorted((each.share, each.HasField("end_date")) for each in listed.territory_assignments)
    assert shares == [("0.2", False), ("0.3", False), ("0.4", True), ("0.5", False), ("0.6", True)]


async def test_a_territory_that_is_used_is_not_deleted(company: Company) -> None:
    world = await territory(company, "World")
    west = await territory(company, "West", world.id)
    anna = await company.user("anna")
    async with Refused("TERRITORY_IN_USE", grpc.StatusCode.FAILED_PRECONDITION):
        await company.territories.DeleteTerritory(pb.DeleteTerritoryRequest(id=world.id))
    assigned = await company.territories.CreateTerritoryAssignment(
        pb.CreateTerritoryAssignmentRequest(
            territory_assignment=pb.TerritoryAssignment(user_id=anna.id, territory_id=west.id)
        )
    )
    async with Refused("TERRITORY_IN_USE"):
        await company.territories.DeleteTerritory(pb.DeleteTerritoryRequest(id=west.id))
    async with Refused("TERRITORY_BELOW_ITSELF"):
        await company.territories.UpdateTerritory(
            pb.UpdateTerritoryRequest(id=world.id, territory=pb.Territory(parent_id=west.id))
        )
    await company.territories.DeleteTerritoryAssignment(pb.DeleteTerritoryAssignmentRequest(id=assigned.id))
    await company.territories.DeleteTerritory(pb.DeleteTerritoryRequest(id=west.id))
    listed = await company.territories.ListTerritories(pb.ListTerritoriesRequest())
    assert list(listed.territories) == [world]


async def test_territories_are_upserted_with_parents_from_the_same_batch(company: Company) -> None:
    row = pb.BatchUpsertTerritoriesRequest.Row
    rows = [
        row(territory=pb.Territory(name="World", external_ids=[key("World")])),
        row(territory=pb.Territory(name="West", external_ids=[key("West")]), parent=key("World")),
        row(territory=pb.Territory(name="Lost", external_ids=[key("Lost")]), parent=key("Atlantis")),
    ]
    request = pb.BatchUpsertTerritoriesRequest(rows=rows)
    results = (await company.territories.BatchUpsertTerritories(request)).results
    assert [result.outcome for result in results] == [CREATED, CREATED, REJECTED]
    assert (results[2].reason, results[2].field) == ("TERRITORY_UNKNOWN", "parent")
    again = (await company.territories.BatchUpsertTerritories(request)).results
    assert [result.outcome for result in again] == [UNCHANGED, UNCHANGED, REJECTED]


async def test_sales_teams_come_in_with_managers_and_regions_and_a_second_time_change_nothing(
    company: Company,
) -> None:
    await territory(company, "Central")
    await territory(company, "East")
    team = [
        agent("Anna Snelling", "Dustin Brinkmann", "Central"),  # before the manager's own row
        agent("Cecily Lampkin", "Dustin Brinkmann", "Central"),
        agent("Dustin Brinkmann", region="Central", roles=[pb.MANAGER]),
    ]
    first = await upsert(company, *team)
    assert [result.outcome for result in first] == [CREATED] * 3
    again = await upsert(company, *team)
    assert [(result.outcome, result.id) for result in again] == [(UNCHANGED, result.id) for result in first]
    (anna,) = await lines_of(company, first[0].id)
    assert anna.manager_id == first[2].id
    assert not anna.HasField("start_date")
    assignments = await company.territories.ListTerritoryAssignments(pb.ListTerritoryAssignmentsRequest())
    assert len(assignments.territory_assignments) == 3

    moved = await upsert(company, agent("Anna Snelling", "Cecily Lampkin", "East"))
    assert [result.outcome for result in moved] == [UPDATED]
    old, new = await lines_of(company, first[0].id)
    assert (old.manager_id, new.manager_id) == (first[2].id, first[1].id)
    assert old.end_date == new.start_date


async def test_a_row_that_is_wrong_is_rejected_and_the_others_are_taken(company: Company) -> None:
    results = await upsert(
        company,
        agent("Anna", "Nobody"),
        agent("Bert", region="Atlantis"),
        agent("Carl", time_zone="Moon"),
        agent("Dora", "Carl"),
        agent("Emil", email=ADDRESS),
        agent("Fred", email="fred@example.com"),
        agent("Gert", email="FRED@example.com"),
        agent("Hans", "Hans"),
        agent("Ines"),
    )
    assert [(result.outcome, result.reason, result.field) for result in results] == [
        (REJECTED, "USER_UNKNOWN", "manager"),
        (REJECTED, "TERRITORY_UNKNOWN", "territory"),
        (REJECTED, "TIME_ZONE_UNKNOWN", "user.time_zone"),
        (REJECTED, "USER_UNKNOWN", "manager"),
        (REJECTED, "EMAIL_TAKEN", "user.email"),
        (CREATED, "", ""),
        (REJECTED, "EMAIL_TAKEN", "user.email"),
        (REJECTED, "REPORTS_TO_THEMSELVES", "reporting_line.manager_id"),
        (CREATED, "", ""),
    ]
    listed = await company.users.ListUsers(pb.ListUsersRequest(order_by="display_name"))
    assert [user.display_name for user in listed.users] == ["Ada", "Fred", "Ines"]


async def test_managers_in_a_circle_within_one_batch_are_rejected(company: Company) -> None:
    results = await upsert(company, agent("Anna", "Bert"), agent("Bert", "Anna"))
    assert sorted(result.outcome for result in results) == [CREATED, REJECTED] or [
        result.outcome for result in results
    ] == [REJECTED, REJECTED]


async def test_a_dry_run_says_the_same_and_writes_nothing(company: Company) -> None:
    team = [agent("Anna", "Dustin"), agent("Dustin"), agent("Bert", "Nobody")]
    results = await upsert(company, *team, validate_only=True)
    assert [result.outcome for result in results] == [CREATED, CREATED, REJECTED]
    assert len((await company.users.ListUsers(pb.ListUsersRequest())).users) == 1


async def test_a_batch_sent_again_under_its_key_is_answered_not_written(company: Company) -> None:
    team = [agent("Anna", "Dustin"), agent("Dustin")]
    first = await upsert(company, *team, request_id="batch 1")
    again = await upsert(company, *team, request_id="batch 1")
    assert [(result.outcome, result.id, result.etag) for result in again] == [
        (result.outcome, result.id, result.etag) for result in first
    ]
    assert len(await lines_of(company, first[0].id)) == 1


async def test_a_start_date_says_from_when_on_the_manager_holds(company: Company) -> None:
    (dustin, melvin, anna) = await upsert(company, agent("Dustin"), agent("Melvin"), agent("Anna", "Dustin"))
    row = agent("Anna", "Melvin")
    row.start_date.CopyFrom(day(date(2017, 4, 1)))
    await upsert(company, row)
    assert [result.outcome for result in await upsert(company, row)] == [UNCHANGED]
    old, new = await lines_of(company, anna.id)
    assert (old.manager_id, old.end_date) == (dustin.id, day(date(2017, 4, 1)))
    assert (new.manager_id, new.start_date) == (melvin.id, day(date(2017, 4, 1)))


async def test_names_come_back_as_they_were(company: Company) -> None:
    for text in ("' OR 1=1 --", "ﷺ", "👩‍👩‍👧", " leading and trailing ", "\u202etest"):
        user = await company.users.CreateUser(pb.CreateUserRequest(user=pb.User(display_name=text)))
        assert (await company.users.GetUser(pb.GetUserRequest(id=user.id))).display_name == text
