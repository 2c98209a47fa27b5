"""Pages: every row once and in order, whatever the order, the nulls and the page size; tokens hold
only for the list that gave them out.
"""

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects.postgresql.asyncpg import dialect

from chassis.errors import InvalidArgument
from chassis.fields import Field
from chassis.filtering import Filter, condition
from chassis.paging import Keyset, Order, OrderInvalid, PageTokenInvalid
from tests.engines import TestDatabase

deals = sa.Table(
    "paged_deals",
    sa.MetaData(),
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("amount", sa.Numeric),
    sa.Column("close_date", sa.Date),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
)
c = deals.c
DIALECT = dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
FIELDS = {
    "id": Field.of(c.id),
    "name": Field.of(c.name, sortable=True),
    "state": Field.of(c.state, names={"OPEN": "open", "WON": "won"}, sortable=True),
    "amount": Field.of(c.amount, sortable=True),
    "close_date": Field.of(c.close_date, sortable=True),
    "create_time": Field.of(c.created_at, sortable=True),
    "secret": Field.of(c.name),
}
EPOCH = datetime(2017, 1, 1, tzinfo=UTC)


def keyset(order: str = "close_date desc", *arguments: object) -> Keyset:
    return Keyset(Order.parse(order, FIELDS), *arguments)


def row(**values: Any) -> dict[str, Any]:
    return {
        "id": UUID(int=7),
        "name": "x",
        "state": "won",
        "amount": None,
        "close_date": None,
        "created_at": EPOCH,
    } | values


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("", "create_time desc,id desc"),
        ("name", "name,id"),
        ("closeDate desc", "closeDate desc,id desc"),
        ("close_date desc, name asc", "close_date desc,name,id"),
        ("amount desc, id, name", "amount desc,id"),
        ("  name   desc  ", "name desc,id desc"),
    ],
)
def test_reads_an_order_and_ends_it_with_the_id(text: str, order: str) -> None:
    assert str(Order.parse(text, FIELDS, default="create_time desc")) == order


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "nme",
            "This list cannot be ordered by 'nme', but by id, name, state, amount, close_date, create_time.",
        ),
        ("secret", "This list cannot be ordered by 'secret'"),
        ("name descending", "'name descending' is no order"),
        ("name,,amount", "'' is no order"),
        ("name, name desc", "name stands twice in the order."),
        ("close_date, closeDate", "closeDate stands twice in the order."),
        ("name; DROP TABLE deals", "'name; DROP TABLE deals' is no order"),
    ],
)
def test_refuses_an_order_that_the_list_does_not_have(text: str, sentence: str) -> None:
    with pytest.raises(OrderInvalid, match="order") as caught:
        Order.parse(text, FIELDS)
    assert sentence in str(caught.value)
    assert caught.value.violations[0].field == "order_by"


def test_orders_that_are_never_null_and_go_one_way_compare_rows() -> None:
    made = keyset("name, create_time")
    where = made.after(made.token(row()))
    assert where is not None
    assert "(paged_deals.name, paged_deals.created_at, paged_deals.id) > ($1" in str(
        where.compile(dialect=DIALECT)
    )


def test_other_orders_still_bound_the_range_of_the_first_field() -> None:
    made = keyset("close_date desc, name")
    where = made.after(made.token(row(close_date=date(2017, 3, 1))))
    assert where is not None
    assert str(where.compile(dialect=DIALECT)).startswith("paged_deals.close_date <= $1::DATE AND (")


@pytest.mark.parametrize(
    ("order", "arguments"),
    [
        ("close_date", ("f", False)),
        ("close_date desc, name", ("f", False)),
        ("close_date desc", ("g", False)),
        ("close_date desc", ("f", True)),
    ],
)
def test_a_token_holds_only_for_the_arguments_that_it_was_given_out_for(
    order: str, arguments: tuple[object, ...]
) -> None:
    token = keyset("close_date desc", "f", False).token(row())
    assert keyset("close_date desc", "f", False).after(token) is not None
    with pytest.raises(PageTokenInvalid) as caught:
        keyset(order, *arguments).after(token)
    assert isinstance(caught.value, InvalidArgument)
    assert caught.value.violations[0].field == "page_token"


def tampered(*texts: Any, version: Any = 1) -> str:
    digest = json.loads(base64.urlsafe_b64decode(keyset().token(row()) + "=="))[1]
    return base64.urlsafe_b64encode(json.dumps([version, digest, texts]).encode()).decode()


SOMEONE = "00000000-0000-0000-0000-000000000007"


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "ä",
        "AAAA",
        "e30",
        "bnVsbA",
        "W10",
        "[[[[",
        tampered("2017-03-01"),
        tampered("2017-03-01", SOMEONE, SOMEONE),
        tampered("2017-03-01", SOMEONE, version=2),
        tampered("2017-03-99", SOMEONE),
        tampered("2017-03-01", None),
        tampered("2017-03-01", "nobody"),
        tampered(7, SOMEONE),
        tampered("2017-03-01", [SOMEONE]),
        tampered({}, SOMEONE),
    ],
)
def test_refuses_what_is_no_token(token: str) -> None:
    with pytest.raises(PageTokenInvalid):
        keyset().after(token)


def test_the_longest_name_fits_into_a_token() -> None:
    name = "".join(chr(0x4E00 + number * 37 % 20000) for number in range(500))
    pages = keyset("name")
    token = pages.token(row(name=name))
    assert len(token) <= 2000
    where = pages.after(token)
    assert where is not None
    assert name in where.compile(dialect=DIALECT).params.values()


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_any_text_is_a_token_or_refused(token: str) -> None:
    with suppress(PageTokenInvalid):
        keyset().after(token)


@dataclass(frozen=True)
class Walk:
    """Rows with many equal and missing values, an order over any of their fields, and a page size."""

    rows: list[tuple[Any, ...]]
    order: str
    page_size: int


@st.composite
def walks(draw: st.DrawFn) -> Walk:
    cells = st.tuples(
        st.sampled_from(["", "a", "A", "ä", "b'\"\\%_", "😀"]),
        st.sampled_from(["open", "won"]),
        st.none() | st.decimals(-2, 2, places=1),
        st.none() | st.integers(0, 3).map(lambda days: date(2017, 1, 1) + timedelta(days)),
        st.integers(0, 3).map(lambda micros: EPOCH + timedelta(microseconds=micros)),
    )
    rows = [(UUID(int=index + 1), *draw(cells)) for index in range(draw(st.integers(0, 25)))]
    sortable = st.sampled_from(["name", "state", "amount", "close_date", "create_time"])
    names = draw(st.lists(sortable, min_size=1, max_size=3, unique=True))
    order = ", ".join(name + draw(st.sampled_from(["", " desc"])) for name in names)
    return Walk(rows, order, draw(st.integers(1, 7)))


@pytest.fixture
async def connection(
    database: Callable[[str], Awaitable[TestDatabase]],
) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect((await database("blank")).admin_url)
    await connection.execute(
        "CREATE TEMP TABLE paged_deals (id uuid PRIMARY KEY, name text NOT NULL, state text NOT NULL,"
        " amount numeric, close_date date, created_at timestamptz NOT NULL)"
    )
    yield connection
    await connection.close()


async def fetch(
    connection: "asyncpg.Connection[asyncpg.Record]", statement: sa.Select[Any], prefix: str = ""
) -> list[asyncpg.Record]:
    compiled = statement.compile(dialect=DIALECT, compile_kwargs={"render_postcompile": True})
    values = [compiled.params[name] for name in compiled.positiontup or ()]
    return await connection.fetch(prefix + str(compiled), *values)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(walk=walks())
async def test_walking_the_pages_meets_each_row_once_and_in_order(
    connection: "asyncpg.Connection[asyncpg.Record]", walk: Walk
) -> None:
    await connection.execute("TRUNCATE paged_deals")
    await connection.copy_records_to_table("paged_deals", records=walk.rows)
    order = Order.parse(walk.order, FIELDS)
    expected = [found["id"] for found in await fetch(connection, sa.select(deals).order_by(*order.clauses))]
    met: list[UUID] = []
    token = ""
    while True:
        pages = Keyset(order, "filter")
        statement = sa.select(deals).order_by(*order.clauses).limit(walk.page_size)
        where = pages.after(token)
        found = await fetch(connection, statement if where is None else statement.where(where))
        met += [each["id"] for each in found]
        if len(found) < walk.page_size:
            break
        token = pages.token(found[-1])
    assert met == expected
    assert sorted(met) == [each[0] for each in walk.rows]


@pytest.mark.parametrize("order", ["name", "create_time desc", "close_date desc"])
async def test_a_deep_page_reads_only_its_range_of_the_index(
    connection: "asyncpg.Connection[asyncpg.Record]", order: str
) -> None:
    for columns in ("name, id", "created_at, id", "close_date, id"):
        await connection.execute(f"CREATE INDEX ON paged_deals ({columns})")
    await connection.execute(
        "INSERT INTO paged_deals SELECT gen_random_uuid(), 'deal ' || n, 'open', NULL,"
        " date '2017-01-01' + n / 10, timestamptz '2017-01-01' + n * interval '1 hour' FROM generate_series(1, 5000) n"
    )
    await connection.execute("ANALYZE paged_deals")
    parsed = Order.parse(order, FIELDS)
    statement = sa.select(deals).order_by(*parsed.clauses)
    middle = (await fetch(connection, statement.offset(2500).limit(1)))[0]
    where = Keyset(parsed).after(Keyset(parsed).token(middle))
    assert where is not None
    page = statement.where(where).limit(50)
    plan = json.loads((await fetch(connection, page, "EXPLAIN (FORMAT JSON) "))[0][0])[0]["Plan"]["Plans"][0]
    assert plan["Node Type"] == "Index Scan"
    assert "Index Cond" in plan


async def test_a_number_beyond_the_column_is_compared_and_not_an_error(
    connection: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    number = Field.of(sa.Column("amount", sa.Integer), nullable=False)

    where = condition(Filter.parse("amount < 99999999999999999999 AND amount > -0.5"), {"amount": number})
    assert where is not None
    values: sa.Select[Any] = sa.select(sa.literal_column("amount")).select_from(
        sa.text("(VALUES (1), (2)) AS t(amount)")
    )
    assert len(await fetch(connection, values.where(where))) == 2
