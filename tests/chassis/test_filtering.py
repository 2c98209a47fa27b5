"""Filters: precedence as AIP-160 says, constants as bind parameters, and a sentence for whatever is wrong."""

from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.dialects.postgresql.asyncpg import dialect

from chassis.errors import InvalidArgument
from chassis.fields import Field, FieldType
from chassis.filtering import MAX_DEPTH, All, Comparison, Filter, FilterInvalid, Literal, Node, Not, condition
from chassis.filtering import Any as AnyOf

deals = sa.Table(
    "deals",
    sa.MetaData(),
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("next_step", sa.Text),
    sa.Column("probability", sa.Integer),
    sa.Column("amount", sa.Numeric),
    sa.Column("amount_currency", sa.Text),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("account_id", sa.Uuid),
    sa.Column("close_date", sa.Date),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("is_big", sa.Boolean, nullable=False),
    sa.Column("contact_ids", ARRAY(sa.Uuid)),
    sa.Column("line_items", JSONB),
    sa.Column("external_ids", JSONB),
)
c = deals.c
DIALECT = dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
FIELDS = {
    "id": Field.of(c.id),
    "name": Field.of(c.name),
    "next_step": Field.of(c.next_step),
    "probability": Field.of(c.probability),
    "amount": Field.of(c.amount, currency=c.amount_currency),
    "state": Field.of(c.state, names={"OPEN": "open", "WON": "won", "LOST": "lost"}),
    "account_id": Field.of(c.account_id),
    "close_date": Field.of(c.close_date),
    "create_time": Field.of(c.created_at),
    "is_big": Field.of(c.is_big),
    "contact_ids": Field.of(c.contact_ids),
    "line_items.product_id": Field(c.line_items, FieldType.UUID, repeated=True, path=("product_id",)),
    "external_ids": Field.of(c.external_ids),
}
SOME_ID = UUID("018f2a3c-0000-7000-8000-000000000001")


def shape(text: str) -> str:
    """The tree of a filter, with every operator's operands in parentheses."""

    def drawn(node: Node) -> str:
        match node:
            case Literal(text):
                return text
            case Comparison(name, operator, value):
                return f"{name}{operator}{value.text}"
            case Not(inner):
                return f"!{drawn(inner)}"
            case All(nodes):
                return "(" + " & ".join(map(drawn, nodes)) + ")"
            case AnyOf(nodes):
                return "(" + " | ".join(map(drawn, nodes)) + ")"

    root = Filter.parse(text).root
    return "" if root is None else drawn(root)


def sql(text: str, search: tuple[str, ...] = ()) -> tuple[str, list[Any]]:
    """The SQL and the bind parameters, in order."""
    made = condition(Filter.parse(text), FIELDS, search)
    assert made is not None
    compiled = made.compile(dialect=DIALECT, compile_kwargs={"render_postcompile": True})
    assert compiled.positiontup is not None
    return str(compiled).replace("deals.", ""), [compiled.params[name] for name in compiled.positiontup]


def refusal(text: str, search: tuple[str, ...] = ()) -> str:
    with pytest.raises(FilterInvalid) as caught:
        condition(Filter.parse(text), FIELDS, search)
    assert isinstance(caught.value, InvalidArgument)
    assert caught.value.violations[0].field == "filter"
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("", ""),
        ("   ", ""),
        ("a b AND c AND d", "((a & b) & c & d)"),
        ("New York Giants OR Yankees", "(New & York & (Giants | Yankees))"),
        ("a < 10 OR a >= 100", "(a<10 | a>=100)"),
        ("a=1 AND b=2 OR c=3", "(a=1 & (b=2 | c=3))"),
        ("NOT (a OR b)", "!(a | b)"),
        ('-file:".java" -30', "(!file:.java & !30)"),
        ("NOT a=1 b=2", "(!a=1 & b=2)"),
        ("a.b.c = x.y", "a.b.c=x.y"),
        ("a = -5 -b=1", "(a=-5 & !b=1)"),
        ("a:*", "a:*"),
        ("a=(x OR y)", "(a=x | a=y)"),
        ("a:(x -y)", "(a:x & !a:y)"),
        ("t > 2012-04-21T11:30:00-04:00", "t>2012-04-21T11:30:00-04:00"),
        ("ANDROID=1 NOTE=2 ORDER=3", "(ANDROID=1 & NOTE=2 & ORDER=3)"),
        ("a='it\\'s' AND b=\"\\\"\\\\\"", "(a=it's & b=\"\\)"),
        ('"a b".c = 1', "a b.c=1"),
        ("näme = Zoë", "näme=Zoë"),
    ],
)
def test_reads_precedence_as_the_aip_says(text: str, tree: str) -> None:
    assert shape(text) == tree


@pytest.mark.parametrize(
    ("text", "where", "parameters"),
    [
        ('name = "Acme"', "name = $1::VARCHAR", ["Acme"]),
        ('name = "Acme*"', "name LIKE $1::VARCHAR ESCAPE '\\'", ["Acme%"]),
        ('name = "10\\*_%*"', "name LIKE $1::VARCHAR ESCAPE '\\'", ["10*\\_\\%%"]),
        ('name = "10\\*"', "name = $1::VARCHAR", ["10*"]),
        ("name:acme", "name ILIKE $1::VARCHAR ESCAPE '\\'", ["%acme%"]),
        ("name != Acme", "name != $1::VARCHAR", ["Acme"]),
        ("next_step != call", "(next_step = $1::VARCHAR) IS NOT true", ["call"]),
        ('nextStep = ""', "next_step = $1::VARCHAR OR next_step IS NULL", [""]),
        ("next_step:*", "next_step != $1::VARCHAR", [""]),
        ("close_date:*", "close_date IS NOT NULL", []),
        ("NOT closeDate:*", "close_date IS NULL", []),
        ("probability >= 50", "probability >= $1::INTEGER", [50]),
        ("probability > 2.5", "probability > $1::NUMERIC", [Decimal("2.5")]),
        ("probability < 99999999999", "probability < $1::NUMERIC", [Decimal(99999999999)]),
        ("amount > -1.5", "amount > $1::NUMERIC", [Decimal("-1.5")]),
        ('amount > "10 EUR"', "amount > $1::NUMERIC AND amount_currency = $2::VARCHAR", [Decimal(10), "EUR"]),
        ("amount.currencyCode = EUR", "amount_currency = $1::VARCHAR", ["EUR"]),
        ("state = WON", "state = $1::VARCHAR", ["won"]),
        ("state != WON", "state != $1::VARCHAR", ["won"]),
        ("NOT state = WON", "state != $1::VARCHAR", ["won"]),
        (f"account_id = {SOME_ID}", "account_id = $1::UUID", [SOME_ID]),
        ('account_id = ""', "account_id IS NULL", []),
        ("close_date <= 2017-03-01", "close_date <= $1::DATE", [date(2017, 3, 1)]),
        (
            "create_time > 2017-03-01T01:00:00+01:00",
            "created_at > $1::TIMESTAMP WITH TIME ZONE",
            [datetime(2017, 3, 1, tzinfo=UTC)],
        ),
        (
            "create_time > 2017-03-01",
            "created_at > $1::TIMESTAMP WITH TIME ZONE",
            [datetime(2017, 3, 1, tzinfo=UTC)],
        ),
        ("is_big = true", "is_big = $1::BOOLEAN", [True]),
        (f"contact_ids:{SOME_ID}", "contact_ids @> $1::UUID[]", [[SOME_ID]]),
        ("contact_ids:*", "cardinality(contact_ids) > $1::INTEGER", [0]),
        (
            f"lineItems.productId:{SOME_ID}",
            "line_items @> CAST($1::VARCHAR AS JSONB)",
            [f'[{{"product_id": "{SOME_ID}"}}]'],
        ),
        (
            'external_ids:"erp:4:7"',
            "external_ids @> CAST($1::VARCHAR AS JSONB)",
            ['[{"system": "erp", "id": "4:7"}]'],
        ),
        (
            "NOT (state = WON AND probability = 1)",
            "(state = $1::VARCHAR AND probability = $2::INTEGER) IS NOT true",
            ["won", 1],
        ),
    ],
)
def test_becomes_sql_with_bind_parameters(text: str, where: str, parameters: list[Any]) -> None:
    made, bound = sql(text)
    assert (made, bound) == (where, parameters)


def test_looks_for_a_value_alone_in_the_fields_that_the_list_searches() -> None:
    made, bound = sql("Ac*e 50%", search=("name", "next_step"))
    assert made.count("ILIKE") == 4
    assert set(bound) == {"%Ac%e%", "%50\\%%"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("acme", "At character 1: 'acme' needs a comparison, such as acme = \"…\"."),
        (
            "state = WON AND",
            "At character 16: The filter ends where a name or value or ( or NOT is expected.",
        ),
        ("state =", "At character 8: The filter ends where a name or value or ( is expected."),
        ("state = 'WON", "At character 9: The quotation mark is not closed."),
        ("(state = WON", "At character 13: The filter ends where ) is expected."),
        ("state == WON", "At character 8: '=' stands where a name or value or ( is expected."),
        ("a AND AND b=1", "At character 7: AND stands between two comparisons."),
        ("now() > 1", "At character 1: There is no function now."),
        ("stat = WON", "At character 1: There is no field 'stat' to filter by, but id, name,"),
        ("state = won", "At character 9: state is compared with one of OPEN, WON, LOST, not with 'won'."),
        ("state > WON", "At character 1: state cannot be compared by >, but by = != :."),
        (
            "probability = much",
            "At character 15: probability is compared with a number such as 12 or 2.5, not with 'much'.",
        ),
        ("amount > NaN", "amount is compared with an amount"),
        ("amount > 1e999999999", "amount is compared with an amount"),
        ("amount > 1_0", "amount is compared with an amount"),
        ("close_date = 2017-02-30", "close_date is compared with a date such as"),
        ("create_time > 2017-03-01T01:00:00", "create_time is compared with an instant"),
        ("create_time > '0001-01-01T00:00:00+14:00'", "create_time is compared with an instant"),
        ("account_id = 7", "account_id is compared with a UUID, not with '7'."),
        ("is_big = yes", "is_big is compared with true or false, not with 'yes'."),
        (f"contact_ids = {SOME_ID}", "contact_ids cannot be compared by =, but by :."),
        ("external_ids:erp", "external_ids is compared with an external id such as"),
        ("name = (state = WON)", "At character 9: The values of name are compared once."),
        ("name = 'a\0b'", "At character 8: U+0000 is in no text."),
        ("name:a\0b", "U+0000 is in no text"),
        ("name:x " * 201, "A filter has at most 200 comparisons."),
        ("(" * 101, "A filter has at most 100 parentheses."),
        ("NOT (" * 40 + "name:x" + ")" * 40, f"A filter nests at most {MAX_DEPTH} deep."),
        ("x" * 4001, "A filter has at most 4000 characters."),
    ],
)
def test_refuses_with_position_and_what_is_right(text: str, sentence: str) -> None:
    assert sentence in refusal(text)


ALPHABET = st.sampled_from(["name", "state", "WON", "AND", "OR", "NOT", *"=:()-*'., 1é", '"', "\\", "\0"])


@given(st.lists(ALPHABET, max_size=30).map("".join) | st.text(max_size=50))
def test_any_text_is_understood_or_refused(text: str) -> None:
    with suppress(FilterInvalid):
        condition(Filter.parse(text), FIELDS, ("name",))


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40))
def test_any_quoted_text_is_compared_as_it_is(text: str) -> None:
    quoted = text.replace("\\", "\\\\").replace('"', '\\"').replace("*", "\\*")
    made, bound = sql(f'name = "x{quoted}"')
    assert (made, bound) == ("name = $1::VARCHAR", [f"x{text}"])
