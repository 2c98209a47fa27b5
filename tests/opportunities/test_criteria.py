"""Exit criteria in CEL: what is refused when they are saved, what they come to, and what is said of a part that
is not met."""

from datetime import UTC, datetime
from time import perf_counter
from typing import Any

import pytest
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money
from hypothesis import given, settings
from hypothesis import strategies as st
from sfa.opportunities.v1 import opportunities_pb2 as pb

from services.opportunities.criteria import facts
from services.opportunities.criteria.expressions import Expression, ExpressionError, Failing, compiled

NOW = datetime(2026, 4, 20, 15, tzinfo=UTC)


def deal(**fields: Any) -> pb.Opportunity:
    return pb.Opportunity(name="Roof", **fields)


def euros(units: int, nanos: int = 0) -> Money:
    return Money(currency_code="EUR", units=units, nanos=nanos)


def failing(text: str, of: pb.Opportunity) -> tuple[Failing, ...]:
    expression = compiled(text)
    return expression.failing(facts.facts(of, NOW, expression.fields))


LINES = [pb.LineItem(product_id="p", quantity=quantity, unit_price=euros(9)) for quantity in ("2", "0.5")]
FULL = deal(
    amount=euros(5000, 100_000_000),
    close_date=Date(year=2026, month=5, day=1),
    line_items=LINES,
    next_step="Call",
    tags=["renewal"],
    contact_roles=[{"contact_id": "c", "role": "CHAMPION"}],
    state=pb.Opportunity.OPEN,
)


@pytest.mark.parametrize(
    "text",
    [
        "opportunity.amount.value >= 5000 && opportunity.amount.value == 5000.1",
        'opportunity.amount.currency_code == "EUR"',
        "has(opportunity.next_step) && !has(opportunity.description)",
        'opportunity.close_date > today && opportunity.close_date < today + duration("2400h")',
        "opportunity.line_items.all(line, double(line.quantity) > 0.25)",
        "opportunity.line_items.exists(line, line.unit_price.value > 8)",
        "size(opportunity.line_items) == 2 && opportunity.line_items[0].quantity == '2'",
        'opportunity.contact_roles.exists(each, each.role == "CHAMPION")',
        '"renewal" in opportunity.tags || opportunity.state == "WON"',
        "opportunity.close_date < now ? has(opportunity.lost_reason) : true",
        r"opportunity.name.matches('^Ro{2}f$')",
        # what is not set is empty
        'opportunity.description == "" && opportunity.contact_ids == [] && opportunity.lost_reason.size() == 0',
        "!has(opportunity.quote_proposal)",
    ],
)
def test_what_is_true_of_a_deal(text: str) -> None:
    assert failing(text, FULL) == ()


@pytest.mark.parametrize(
    "text",
    [
        "opportunity.amount.value > 0",
        'opportunity.amount.currency_code != ""',
        "opportunity.close_date > today",
        "opportunity.line_items.exists(line, true)",
        "opportunity.line_items[0].quantity == '1'",
        "double(opportunity.next_step) > 1.0",
    ],
)
def test_a_deal_without_values_meets_nothing_and_breaks_nothing(text: str) -> None:
    assert len(failing(text, deal())) == 1


def test_of_several_conditions_those_are_named_that_fail_with_the_fields_they_read() -> None:
    text = (
        "opportunity.amount.value >= 10000 && has(opportunity.close_date)"
        ' && (opportunity.next_step != "" && opportunity.tags.size() > 0 || size(opportunity.contact_ids) > 1)'
    )
    assert failing(text, deal(amount=euros(1), close_date=Date(year=2026, month=5, day=1))) == (
        Failing("opportunity.amount.value >= 10000", ("amount",)),
        Failing(
            'opportunity.next_step != "" && opportunity.tags.size() > 0 || size(opportunity.contact_ids) > 1',
            ("next_step", "tags", "contact_ids"),
        ),
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("opportunity.amount.value >", "cannot be read at character"),
        ("opportunity.nmae == ''", "no field nmae"),
        ("opportunity.line_items.all(line, line.price > 1)", "no field price"),
        ("opportunity.amount.units > 1", "no units"),
        ("opportunity.id == ''", "no field id"),
        ("deal.name == ''", "no variable deal"),
        ("opportunity.name", "true or false"),
        ("opportunity.line_items.all(line, line.quantity)", "true or false"),
        ("opportunity.name > 3", "does not go together"),
        ("false && opportunity.name > 3", "does not go together"),
        ("opportunity.amount > 5", "does not go together"),
        ("1 / 0 == 1", "says nothing of the opportunity"),
        ("opportunity.name.matches('(')", "no regular expression"),
        ("opportunity.name.matches(opportunity.name)", "written out"),
        ("opportunity.name.foo()", "no function foo"),
        ("type(opportunity.name) == string", "no function type"),
        ("opportunity.line_items.reduce(a, b, 0, a + b) == 0", "no function reduce"),
        ("{'a': opportunity.name}.a == ''", "holds a map"),
        ("!" * 500 + "has(opportunity.name)", "nested too deeply"),
        ("(" * 40 + "has(opportunity.name)" + ")" * 40, "nested too deeply"),
        ("opportunity.name == '" + "x" * 1000 + "'", "longer than 1000"),
        (
            "opportunity.line_items.all(a, opportunity.line_items.all(b, a.quantity == b.quantity))",
            "take too long",
        ),
        ("has(opportunity)", "asks for a field"),
        ("opportunity.line_items.all(opportunity, true)", "new variable"),
        ("opportunity.name.all(letter, letter == 'x')", "looks through a list"),
        ("opportunity.__class__ == ''", "no field __class__"),
        ("", "cannot be read"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(ExpressionError, match=why):
        Expression(text)


@pytest.mark.parametrize("joint", [" && ", " || ", " + "])
def test_long_chains_neither_overflow_nor_take_long(joint: str) -> None:
    term = "opportunity.name" if joint == " + " else "now==now"
    text = joint.join([term] * (950 // len(term + joint))) + (' != ""' if joint == " + " else "")
    begun = perf_counter()
    assert failing(text, deal()) == ()
    assert perf_counter() - begun < 5


def test_a_large_deal_is_judged_within_the_steps_that_were_counted() -> None:
    expression = compiled(
        "opportunity.line_items.all(line, double(line.quantity) > 0.0 && line.product_id != '')"
    )
    assert 1000 < expression.steps < 8000
    assert expression.failing(facts.facts(deal(line_items=LINES * 250), NOW, expression.fields)) == ()


WORDS = st.sampled_from(
    ["opportunity", ".amount", ".value", ".line_items", ".all(", ".exists(", "x", ",", ")", "(", "&&", "||", "==",
     ">", "1", "2.5", '"a"', "has(", "size(", "now", "today", "!", "-", "?", ":", "[", "]", "in", "+", "\\", "'"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(WORDS, max_size=14).map("".join) | st.text(max_size=30))
def test_whatever_is_written_is_refused_or_judged_and_nothing_else(text: str) -> None:
    try:
        expression = Expression(text)
    except ExpressionError:
        return
    for each in (deal(), FULL):
        expression.failing(facts.facts(each, NOW, expression.fields))
