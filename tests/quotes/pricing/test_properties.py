"""What holds for every document, selection and rule."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from itertools import islice

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.quotes.pricing.computed import Computed
from services.quotes.pricing.evaluation import compute, plain_of
from services.quotes.pricing.model import (
    AmountOff,
    BuyGet,
    Document,
    Free,
    ManualDiscount,
    Per,
    PercentOff,
    PricedCharge,
    PricedLine,
    Promotion,
    Remainder,
    Result,
    Segment,
    Selection,
    Settings,
    UnitOrder,
    UsesUp,
)
from services.quotes.pricing.pieces import IllegalSelection
from services.quotes.pricing.problem import prepare
from services.quotes.pricing.report import evaluate, report
from services.quotes.pricing.validation import check, check_document
from tests.quotes.pricing.oracle import best, legal, selections
from tests.quotes.pricing.strategies import priced, promotions
from tests.quotes.pricing.strategies import settings as rules

Case = tuple[Document, tuple[Promotion, ...]]
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def _some(case: Case, number: int) -> list[Computed]:
    """Some legal selections of a case, spread over all there are."""
    document, offered = case
    problem = prepare(document, offered)
    found: list[Computed] = []
    for selection in islice(selections(problem), 0, 400):
        try:
            found.append(compute(problem, selection))
        except IllegalSelection:
            continue
    step = max(1, len(found) // number)
    return found[::step] + found[-1:]


@settings(max_examples=30, deadline=None, suppress_health_check=SLOW)
@given(priced())
def test_everything_adds_up_in_every_currency_and_rounding_rule(case: Case) -> None:
    document, offered = case
    check_document(document, offered)
    for promotion in offered:
        check(promotion)
    for computed in _some(case, 6):
        result = report(computed)
        _adds_up(result)
        assert {one.code for one in result.applied} <= {one.code for one in offered}


def _adds_up(result: Result) -> None:
    totals = result.totals
    for line in result.lines:
        assert line.amount == line.quoted - line.promotions - line.manual
        assert line.net + line.tax == line.gross
        assert sum(step.change for step in line.steps) == line.amount
        assert line.steps[-1].amount == line.amount
    for charge in result.charges:
        assert charge.amount == charge.quoted - charge.promotions
        assert charge.net + charge.tax == charge.gross
    everything: list[PricedLine | PricedCharge] = [*result.lines, *result.charges]
    assert totals.total == sum(one.gross for one in everything) == totals.net + totals.tax
    assert totals.net == sum(one.net for one in everything)
    assert totals.tax == sum(one.tax for one in everything) == sum(result.tax_by_rate.values())
    assert totals.promotions == sum(one.promotions for one in everything)
    assert totals.promotions == sum(applied.discount for applied in result.applied)
    assert totals.manual == sum(line.manual for line in result.lines)
    by_key: Counter[str] = Counter()
    for applied in result.applied:
        assert applied.discount == sum(applied.by_line.values())
        by_key.update(applied.by_line)
    assert by_key == Counter({one.key: one.promotions for one in everything if one.promotions})


@settings(max_examples=30, deadline=None, suppress_health_check=SLOW)
@given(priced())
def test_nothing_is_negative_and_floors_hold(case: Case) -> None:
    document, _ = case
    for computed in _some(case, 6):
        plain = report(plain_of(computed.problem))
        for index, (line, before) in enumerate(zip(report(computed).lines, plain.lines, strict=False)):
            assert min(line.net, line.tax, line.gross, line.amount) >= 0
            if not line.promotions:
                continue
            facts = computed.problem.lines[index]
            assert computed.before_header[index] >= (line.floor or 0)
            if document.settings.zero_only_for_gifts and computed.before_header[index] == 0:
                assert _all_given(computed, index)
            assert not before.needs_approval or before.manual
            assert facts.line.discountable
        for applied in report(computed).applied:
            promotion = next(one for one in computed.problem.promotions if one.code == applied.code)
            if promotion.max_discount is not None:
                assert applied.discount <= promotion.max_discount.scaleb(document.exponent)


def _all_given(computed: Computed, line: int) -> bool:
    offers = computed.problem.offers
    return all(
        any(
            isinstance(offers[i].benefit, BuyGet) and offers[i].percent[0] == offers[i].percent[1]
            for i in computed.choice.pieces[place].offers
        )
        for place in computed.choice.by_line[line]
    )


OWN = rules(grouping=UnitOrder.BEST, remainder=Remainder.LARGEST)


@settings(max_examples=25, deadline=None, suppress_health_check=SLOW)
@given(priced(most_units=2, count=2, most=2, rules=OWN))
def test_the_best_does_not_depend_on_order_or_names(case: Case) -> None:
    document, offered = case
    names = {"l0": "z9", "l1": "a1"}
    other = replace(
        document, lines=tuple(replace(line, key=names[line.key]) for line in reversed(document.lines))
    )
    one, two = best(document, offered), best(other, tuple(reversed(offered)))
    assert (one.total, sum(one.taxes)) == (two.total, sum(two.taxes))
    assert sorted(one.nets) == sorted(two.nets)


@settings(max_examples=25, deadline=None, suppress_health_check=SLOW)
@given(priced(most_units=2, count=2, most=2, rules=OWN), st.data())
def test_one_more_promotion_never_makes_it_dearer(case: Case, data: st.DataObject) -> None:
    document, offered = case
    (more,) = data.draw(promotions(document.exponent, 1))
    more = replace(more, code="MORE", combinable_with=frozenset({"P0"}))
    assert best(document, (*offered, more)).total <= best(document, offered).total


@settings(max_examples=25, deadline=None, suppress_health_check=SLOW)
@given(priced(most_units=2, count=2, most=2))
def test_every_selection_is_told_in_one_canonical_form(case: Case) -> None:
    document, offered = case
    for computed in islice(legal(prepare(document, offered)), 20):
        result = report(computed)
        assert evaluate(document, offered, result.selection) == result


CONSUMING = st.lists(
    st.one_of(
        st.builds(PercentOff, percent=st.sampled_from([Decimal(10), Decimal(50)])),
        st.builds(
            BuyGet,
            buy_quantity=st.integers(1, 2),
            get_quantity=st.just(1),
            free=st.sampled_from(Free),
            percent=st.sampled_from([Decimal(50), Decimal(100)]),
        ),
        st.builds(AmountOff, amount=st.just(Decimal(1)), per=st.just(Per.GROUP), group_size=st.just(2)),
    ),
    min_size=1,
    max_size=2,
)


@settings(max_examples=25, deadline=None, suppress_health_check=SLOW)
@given(priced(most_units=2, count=2, rules=st.just(Settings())), CONSUMING)
def test_a_split_is_never_cheaper_where_promotions_only_use_units_up(
    case: Case, benefits: list[PercentOff | BuyGet | AmountOff]
) -> None:
    document = replace(case[0], price_floor=None, margin_floor=None, charges=(), manual=ManualDiscount())
    offered = [
        Promotion(code=f"P{i}", benefit=benefit, uses_up=UsesUp.ALL) for i, benefit in enumerate(benefits)
    ]
    apart = sum(best(replace(document, lines=(line,)), offered).total for line in document.lines)
    rounding = 2 * len(document.lines)
    assert best(document, offered).total <= apart + rounding


PLAIN_RULES = st.just(Settings(zero_only_for_gifts=False))
plain_promotions = st.lists(
    st.one_of(
        st.builds(PercentOff, percent=st.sampled_from([Decimal(7), Decimal("12.5"), Decimal("33.3333")])),
        st.builds(AmountOff, amount=st.sampled_from([Decimal(1), Decimal("0.5")])),
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=30, deadline=None, suppress_health_check=SLOW)
@given(priced(rules=PLAIN_RULES), plain_promotions, st.data())
def test_phases_agree_with_fractions_unit_by_unit(
    case: Case, benefits: list[PercentOff | AmountOff], data: st.DataObject
) -> None:
    document = replace(
        case[0], manual=type(case[0].manual)(), price_floor=None, margin_floor=None, charges=()
    )
    lines = tuple(
        replace(line, manual=document.manual, price_floor=None, margin_floor=None, discountable=True)
        for line in document.lines
    )
    document = replace(document, lines=lines)
    offered = [
        Promotion(code=f"P{index}", benefit=benefit, phase=data.draw(st.integers(0, 2)))
        for index, benefit in enumerate(benefits)
    ]
    segments: list[Segment] = []
    expected: list[int] = []
    for line in lines:
        units = int(line.quantity)
        taken = data.draw(st.integers(0, units))
        codes = tuple(sorted(data.draw(st.sets(st.sampled_from([p.code for p in offered])))))
        if taken:
            segments.append(Segment(line.key, taken, codes))
        exact = Fraction(line.unit_price) * (Fraction(line.quantity) - taken)
        exact += taken * _unit(Fraction(line.unit_price), [p for p in offered if p.code in codes])
        expected.append(int(exact * 10**document.exponent + Fraction(1, 2)))
    try:
        result = evaluate(document, offered, Selection(tuple(segments)))
    except IllegalSelection:
        assert any(
            _unit(Fraction(line.unit_price), [p for p in offered if p.code in segment.promotions], least=True)
            < 0
            or line.unit_price == 0
            or expected[index] == 0
            for segment in segments
            for index, line in enumerate(lines)
            if line.key == segment.line
        )
        return
    assert [line.amount for line in result.lines] == expected


def _unit(price: Fraction, promotions: list[Promotion], least: bool = False) -> Fraction:
    lowest = price
    for phase in sorted({promotion.phase for promotion in promotions}):
        entered = price
        for promotion in promotions:
            if promotion.phase == phase:
                benefit = promotion.benefit
                if isinstance(benefit, PercentOff):
                    price -= entered * Fraction(benefit.percent) / 100
                elif isinstance(benefit, AmountOff):
                    price -= Fraction(benefit.amount)
        lowest = min(lowest, price)
    return lowest if least else price
