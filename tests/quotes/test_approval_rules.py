"""When an approval rule asks, why, and when what was approved still allows what is offered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.errors import Refusal
from chassis.ids import new_id
from chassis.money import Money
from services.quotes.domain.approval_reasons import (
    Offer,
    OfferedLine,
    Reason,
    ReasonKind,
    figures_of,
    is_covered,
    why,
)
from services.quotes.domain.approval_rules import (
    AmountRepeated,
    ApprovalRule,
    Approver,
    ApproverBelowMinimum,
    ApproverKind,
    ApproversMissing,
    ApproverUnclear,
    Condition,
    DiscountBasis,
    Measure,
    PercentOutOfRange,
    RuleNameMissing,
)

MANAGER = Approver(ApproverKind.OWNERS_MANAGER)


def rule(
    approvers: Sequence[Approver] = (MANAGER,), minimum_role: str = "", **condition: Any
) -> ApprovalRule:
    return ApprovalRule(
        name="Discounts",
        approvers=tuple(approvers),
        minimum_role=minimum_role,
        condition=Condition(**condition),
    )


def line(
    full: str = "100", net: str | None = None, *, promotion: str = "0", cost: str | None = None, **fields: Any
) -> OfferedLine:
    """A line whose discount is by hand but for `promotion`."""
    paid = Decimal(full if net is None else net)
    return OfferedLine(
        id=new_id(),
        families=(fields.pop("family", "chairs"), "furniture"),
        full=Decimal(full),
        net=paid,
        manual=Decimal(full) - Decimal(promotion) - paid,
        cost=None if cost is None else Decimal(cost),
        **fields,
    )


def offer(*lines: OfferedLine, currency: str = "EUR", **fields: Any) -> Offer:
    return Offer(currency, sum((each.net for each in lines if each.counts), Decimal(0)), lines, **fields)


def asks(rule: ApprovalRule, offered: Offer, *roles: str) -> bool:
    return why(rule, offered, roles or ("rep",)) is not None


def reasons(rule: ApprovalRule, offered: Offer, *roles: str) -> tuple[Reason, ...]:
    found = why(rule, offered, roles or ("rep",))
    assert found is not None
    return found


def test_a_discount_by_hand_asks_above_its_limit_and_not_at_it() -> None:
    ten = rule(discount_above=Decimal(10))
    assert not asks(ten, offer(line("100", "90")))
    (reason,) = reasons(ten, offer(line("100", "89.99")))
    assert (reason.kind, reason.limit, reason.actual) == (ReasonKind.DISCOUNT, "10", "10.01")
    assert reason.text == "The discount by hand is 10.01 %, above 10 %."


def test_what_promotions_take_off_is_no_discount_by_hand() -> None:
    offered = offer(line("100", "70", promotion="30"))
    assert not asks(rule(discount_above=Decimal(10)), offered)
    assert asks(rule(discount_above=Decimal(10), discount_basis=DiscountBasis.TOTAL), offered)


def test_figures_are_rounded_against_the_offer() -> None:
    assert asks(rule(discount_above=Decimal(10)), offer(line("100000", "89999.99")))
    assert asks(rule(margin_below=Decimal(20)), offer(line("100000", cost="80000.01")))
    assert not asks(rule(margin_below=Decimal(20)), offer(line("100000", cost="80000")))


def test_the_worst_line_asks_though_the_quote_as_a_whole_does_not() -> None:
    good, bad = line("900"), line("100", "50")
    by_line = rule(discount_above=Decimal(10), measure=Measure.LINE)
    assert not asks(rule(discount_above=Decimal(10)), offer(good, bad))
    (reason,) = reasons(by_line, offer(good, bad))
    assert (reason.actual, reason.line_ids) == ("50", (bad.id,))


def test_an_option_that_the_customer_may_still_choose_is_looked_at_by_line_only() -> None:
    option = line("100", "10", counts=False)
    assert not asks(rule(discount_above=Decimal(10)), offer(line("100"), option))
    assert asks(rule(discount_above=Decimal(10), measure=Measure.LINE), offer(line("100"), option))


def test_a_margin_is_that_of_the_lines_whose_cost_is_known() -> None:
    twenty = rule(margin_below=Decimal(20))
    assert not asks(twenty, offer(line("100")))
    (reason,) = reasons(twenty, offer(line("100", cost="90"), line("100")))
    assert (reason.kind, reason.actual) == (ReasonKind.MARGIN, "10")
    unknown = rule(margin_below=Decimal(20), asks_where_cost_unknown=True)
    (reason,) = reasons(unknown, offer(line("100", cost="10"), line("100")))
    assert reason.kind is ReasonKind.COST_UNKNOWN


def test_a_gift_has_no_margin_of_its_own_and_lowers_that_of_the_quote() -> None:
    gift = line("50", "0", promotion="50", cost="40", is_gift=True)
    sold = line("100", cost="50")
    assert not asks(rule(margin_below=Decimal(20), measure=Measure.LINE), offer(sold, gift))
    assert asks(rule(margin_below=Decimal(20)), offer(sold, gift))
    given_by_hand = line("50", "0", cost="40")
    (reason,) = reasons(rule(margin_below=Decimal(20), measure=Measure.LINE), offer(sold, given_by_hand))
    assert reason.text == "It is given away at a cost on a line."


def test_an_amount_asks_in_its_currency_and_in_those_that_nobody_thought_of() -> None:
    large = rule(amounts_from=(Money(Decimal(1000), "EUR"), Money(Decimal(150000), "JPY")))
    assert not asks(large, offer(line("999.99")))
    assert asks(large, offer(line("1000")))
    assert not asks(large, offer(line("1000"), currency="JPY"))
    (reason,) = reasons(large, offer(line("1"), currency="CHF"))
    assert reason.text == "The total is 1 CHF, and the rule states no amount in CHF."


def test_a_family_narrows_what_is_looked_at() -> None:
    chairs = rule(product_families=("chairs",), discount_above=Decimal(10))
    dear = line("100", "50", family="tables")
    assert not asks(chairs, offer(dear))
    assert not asks(chairs, offer(line("100"), dear))
    found = reasons(chairs, offer(line("100", "80"), dear))
    assert [reason.kind for reason in found] == [ReasonKind.PRODUCT_FAMILY, ReasonKind.DISCOUNT]


def test_payment_terms_ask_by_days_or_by_name() -> None:
    late = rule(payment_days_above=30, payment_terms=("on approval",))
    assert not asks(late, offer(line(), payment_days=30))
    assert asks(late, offer(line(), payment_days=31))
    assert asks(late, offer(line(), payment_days=10, payment_terms="on approval"))
    assert not asks(late, offer(line(), payment_terms="net 30"))


def test_the_weightiest_role_counts_and_a_service_is_always_asked() -> None:
    reps = rule(submitter_roles=("rep",))
    assert asks(reps, offer(line()), "rep")
    assert not asks(reps, offer(line()), "rep", "manager")
    assert asks(rule(submitter_roles=("manager",)), offer(line()), "rep", "manager")
    assert asks(reps, offer(line()), "integration")
    assert why(reps, offer(line()), ()) is not None


def test_all_that_is_stated_must_be_so_and_nothing_stated_asks_always() -> None:
    both = rule(discount_above=Decimal(10), amounts_from=(Money(Decimal(1000), "EUR"),))
    assert not asks(both, offer(line("2000")))
    assert not asks(both, offer(line("100", "50")))
    assert len(reasons(both, offer(line("2000", "1000")))) == 2
    assert reasons(rule(), offer(line()))[0].kind is ReasonKind.ALWAYS


def test_a_line_below_its_floor_asks() -> None:
    floor = rule(below_floor=True)
    assert not asks(floor, offer(line()))
    low = line(is_below_floor=True)
    assert reasons(floor, offer(line(), low))[0].line_ids == (low.id,)
    assert asks(floor, offer(line(), is_below_floor=True))


@pytest.mark.parametrize(
    ("made", "refusal"),
    [
        (ApprovalRule(approvers=(MANAGER,)), RuleNameMissing),
        (ApprovalRule(name="A"), ApproversMissing),
        (ApprovalRule(name="A", approvers=(Approver(ApproverKind.USER),)), ApproverUnclear),
        (
            ApprovalRule(name="A", approvers=(Approver(ApproverKind.ROLE, role="integration"),)),
            ApproverUnclear,
        ),
        (rule([Approver(ApproverKind.ROLE, role="manager")], "operations"), ApproverBelowMinimum),
        (rule(amounts_from=(Money(Decimal(1), "EUR"), Money(Decimal(2), "EUR"))), AmountRepeated),
        (rule(discount_above=Decimal(101)), PercentOutOfRange),
    ],
)
def test_a_rule_that_could_not_be_followed_is_refused(made: ApprovalRule, refusal: type[Refusal]) -> None:
    with pytest.raises(refusal):
        made.create()


def test_what_was_approved_covers_what_is_no_worse() -> None:
    ten = rule(discount_above=Decimal(10), margin_below=Decimal(30))
    approved = reasons(ten, offer(line("100", "80", cost="60")))
    assert is_covered(approved, approved)
    assert is_covered(reasons(ten, offer(line("100", "85", cost="60"))), approved)
    assert not is_covered(reasons(ten, offer(line("100", "79", cost="58"))), approved)
    assert not is_covered(approved, ())


def test_what_was_approved_below_its_floor_allows_no_other_line_there() -> None:
    floor = rule(below_floor=True)
    low, other = line(is_below_floor=True), line()
    approved = reasons(floor, offer(low, other))
    assert is_covered(reasons(floor, offer(low, other)), approved)
    lower = replace(other, is_below_floor=True)
    assert not is_covered(reasons(floor, offer(low, lower)), approved)
    assert is_covered(approved, reasons(floor, offer(low, lower)))
    assert not is_covered(approved, reasons(floor, offer(line(), is_below_floor=True)))


amounts = st.decimals(min_value=1, max_value=10_000, places=2)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(amounts, st.integers(0, 100), st.integers(0, 120)), min_size=1, max_size=6))
def test_a_deeper_discount_never_escapes_a_rule_that_a_smaller_one_met(
    drawn: list[tuple[Decimal, int, int]],
) -> None:
    def offered(extra: Decimal) -> Offer:
        lines = []
        for full, percent, cost in drawn:
            net = full * (100 - percent) / 100 * (1 - extra)
            lines.append(line(str(full), str(net), cost=str(full * cost / 100)))
        return offer(*lines)

    for measure in Measure:
        for each in (
            rule(discount_above=Decimal(20), measure=measure),
            rule(margin_below=Decimal(20), measure=measure),
        ):
            small, deep = (
                why(each, offered(Decimal(0)), ("rep",)),
                why(each, offered(Decimal("0.1")), ("rep",)),
            )
            if small is not None:
                assert deep is not None
                assert is_covered(small, deep)
    figures = figures_of(offered(Decimal(0)))
    assert Decimal(0) <= figures.manual_discount_percent <= 100
