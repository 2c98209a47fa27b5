"""What a deal is made of, as the domain sees it: splits to the cent, teams, roles, merging and splitting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.errors import Refusal
from chassis.money import CurrenciesDiffer, Money, minor_unit, total
from services.opportunities.domain import (
    PLAIN,
    Access,
    AccountsDiffer,
    AmountMissing,
    AmountTooLarge,
    BuyingRole,
    CompetitorTwice,
    ContactRole,
    ContactTwice,
    CustomDate,
    CustomDateTwice,
    DealCompetitor,
    LineItem,
    LineShort,
    MemberTwice,
    MergedAway,
    MergedDealClosed,
    MergedWithItself,
    Opportunity,
    OpportunityClosed,
    Part,
    PartEmpty,
    PartLine,
    PartNeedsLines,
    PartsExceed,
    RevenueSplitsIncomplete,
    Split,
    SplitOutOfRange,
    SplitTwice,
    SplitType,
    State,
    TagEmpty,
    TeamMember,
    Threat,
    TooMany,
    amounts_of,
    merge,
    shares,
    split,
    starting_pipeline,
)
from services.opportunities.tables.details import DETAILS_CODEC

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PIPELINE = starting_pipeline(uuid4())
CONTACT = PIPELINE.first(State.OPEN)
WON, LOST = PIPELINE.first(State.WON), PIPELINE.first(State.LOST)
ANN, BOB = uuid4(), uuid4()
REVENUE, OVERLAY = SplitType.REVENUE, SplitType.OVERLAY

CURRENCIES = st.sampled_from(["EUR", "JPY", "KWD"])


def euros(amount: str | int | Decimal) -> Money:
    return Money(Decimal(amount), "EUR")


def deal(**fields: Any) -> Opportunity:
    return Opportunity.create({"name": "Roof", "owner_id": ANN, **fields}, PIPELINE, CONTACT, NOW)[0]


def line(quantity: int, price: str, product: UUID | None = None) -> LineItem:
    return LineItem(product or uuid4(), Decimal(quantity), euros(price))


# Splits


@st.composite
def percentages(draw: st.DrawFn) -> list[Decimal]:
    """Percentages that add up to exactly 100."""
    cuts = draw(st.lists(st.integers(0, 100_000_000), max_size=9))
    ends = [0, *sorted(cuts), 100_000_000]
    return [Decimal(end - start) / 1_000_000 for start, end in pairwise(ends)]


@settings(max_examples=300, deadline=None)
@given(minor=st.integers(-(10**17), 10**17), currency=CURRENCIES, percents=percentages())
def test_revenue_splits_add_up_to_the_amount_and_each_is_off_by_less_than_a_minor_unit(
    minor: int, currency: str, percents: list[Decimal]
) -> None:
    unit = minor_unit(currency)
    amount = Money(minor * unit, currency)
    parts = shares(amount, percents)
    assert total(parts, currency) == amount
    for part, percent in zip(parts, percents, strict=True):
        assert part.rounded() == part
        assert abs(part.amount - amount.amount * percent / 100) < unit


@settings(max_examples=200, deadline=None)
@given(
    minor=st.integers(0, 10**12),
    currency=CURRENCIES,
    percents=st.lists(st.decimals(0, 100, places=4), max_size=8),
)
def test_overlay_splits_add_up_to_their_sum_of_the_amount(
    minor: int, currency: str, percents: list[Decimal]
) -> None:
    amount = Money(minor * minor_unit(currency), currency)
    whole = (amount * sum(percents, Decimal(0)) * Decimal("0.01")).rounded()
    assert total(shares(amount, percents), currency).amount == whole.amount


def test_what_rounding_leaves_goes_to_the_largest_remainders() -> None:
    assert [
        part.amount for part in shares(euros(100), [Decimal(p) for p in ("33.33", "33.33", "33.34")])
    ] == [
        Decimal("33.33"),
        Decimal("33.33"),
        Decimal("33.34"),
    ]
    # 0.333, 0.333, 0.334 cents: the third lost most
    assert [
        part.amount for part in shares(euros("0.01"), [Decimal(p) for p in ("33.3", "33.3", "33.4")])
    ] == [
        Decimal("0.00"),
        Decimal("0.00"),
        Decimal("0.01"),
    ]


def test_overlay_splits_are_parted_for_themselves_and_take_nothing_from_revenue() -> None:
    splits = (
        Split(ANN, REVENUE, Decimal(60)),
        Split(BOB, OVERLAY, Decimal(100)),
        Split(BOB, REVENUE, Decimal(40)),
        Split(ANN, OVERLAY, Decimal(50)),
    )
    assert [part.amount for part in amounts_of(splits, euros(1000))] == [600, 1000, 400, 500]


@pytest.mark.parametrize(
    ("splits", "refusal", "field"),
    [
        ([(ANN, REVENUE, "60"), (BOB, REVENUE, "30")], RevenueSplitsIncomplete, "opportunity.splits"),
        ([(ANN, REVENUE, "99.999999")], RevenueSplitsIncomplete, "opportunity.splits"),
        ([(ANN, OVERLAY, "100.5")], SplitOutOfRange, "opportunity.splits[0].percent"),
        ([(ANN, OVERLAY, "5"), (ANN, OVERLAY, "5")], SplitTwice, "opportunity.splits[1].user_id"),
    ],
)
def test_splits_that_make_no_sense_are_refused(
    splits: list[tuple[UUID, SplitType, str]], refusal: type[Refusal], field: str
) -> None:
    with pytest.raises(refusal) as caught:
        deal(splits=tuple(Split(user, kind, Decimal(percent)) for user, kind, percent in splits))
    assert caught.value.violations[0].field == field


def test_overlay_splits_need_no_revenue_splits_and_have_any_sum() -> None:
    made = deal(splits=(Split(ANN, OVERLAY, Decimal(100)), Split(BOB, OVERLAY, Decimal(80))))
    assert made.details.seen_by == (ANN, BOB)


# People, tags, dates, competitors


@pytest.mark.parametrize(
    ("fields", "refusal", "field"),
    [
        ({"team": (TeamMember(ANN), TeamMember(ANN))}, MemberTwice, "opportunity.team[1].user_id"),
        (
            {"contact_roles": (ContactRole(ANN), ContactRole(ANN))},
            ContactTwice,
            "opportunity.contact_roles[1].contact_id",
        ),
        ({"tags": ("a", "  ")}, TagEmpty, "opportunity.tags[1]"),
        (
            {"custom_dates": (CustomDate("End", date(2026, 1, 1)), CustomDate("End", date(2026, 1, 2)))},
            CustomDateTwice,
            "opportunity.custom_dates[1].name",
        ),
        (
            {"competitors": (DealCompetitor(ANN), DealCompetitor(ANN))},
            CompetitorTwice,
            "opportunity.competitors[1].competitor_id",
        ),
        (
            {"amount": euros(1), "competitors": (DealCompetitor(ANN, price=Money(Decimal(1), "USD")),)},
            CurrenciesDiffer,
            "opportunity.competitors[0].price",
        ),
        ({"team": tuple(TeamMember(uuid4()) for _ in range(51))}, TooMany, "opportunity.team"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(
    fields: dict[str, Any], refusal: type[Refusal], field: str
) -> None:
    with pytest.raises(refusal) as caught:
        deal(**fields)
    assert caught.value.violations[0].field == field


def test_tags_are_kept_in_one_way_and_once() -> None:
    assert deal(tags=("Big  Deal", "big deal", " renewal ")).details.tags == ("big deal", "renewal")


def test_a_contact_with_a_role_is_one_of_the_deals_and_loses_the_role_with_its_place() -> None:
    made = deal(contact_ids=(ANN,), contact_roles=(ContactRole(BOB, BuyingRole.CHAMPION, is_primary=True),))
    assert made.contact_ids == (ANN, BOB)
    made.change({"contact_ids": (ANN,)})
    assert made.details is PLAIN


def test_a_deal_that_loses_all_its_details_is_plain_again() -> None:
    made = deal(tags=("x",), win_reason="Price")
    made.change({"tags": (), "win_reason": ""})
    assert made.details is PLAIN


def test_a_deal_is_lost_to_somebody_who_was_not_named_before_at_a_price() -> None:
    made = deal(amount=euros(100))
    made.lose(LOST, "Price", NOW, competitor_id=BOB, price=euros(90))
    assert made.details.competitors == (DealCompetitor(BOB, price=euros(90)),)
    assert made.details.lost_to_competitor_id == BOB
    made.reopen(CONTACT)
    assert made.details.lost_to_competitor_id is None


def test_all_details_survive_their_column() -> None:
    made = deal(
        team=(TeamMember(ANN, "Engineer", Access.EDIT),),
        splits=(Split(ANN, REVENUE, Decimal("33.3333")), Split(BOB, REVENUE, Decimal("66.6667"))),
        contact_roles=(ContactRole(ANN, BuyingRole.BLOCKER, is_primary=True), ContactRole(BOB)),
        tags=("a", "ö"),
        custom_dates=(CustomDate("Contract ends", date(2027, 1, 31)),),
        competitors=(
            DealCompetitor(ANN, Threat.HIGH, (BOB,), euros("1.50"), True, "Cheap"),
            DealCompetitor(BOB),
        ),
        win_reason="Service",
    )
    details = replace(
        made.details, merged_from_ids=(ANN,), merged_into_id=BOB, split_from_id=ANN, split_into_ids=(BOB,)
    )
    assert DETAILS_CODEC.load(DETAILS_CODEC.dump(details)) == details
    assert DETAILS_CODEC.dump(PLAIN) is None
    assert DETAILS_CODEC.load(None) is PLAIN


# Merging


def test_merged_deals_add_up_and_the_one_that_stays_keeps_its_word() -> None:
    survivor = deal(name="Roof", amount=euros("100.10"), contact_ids=(ANN,), tags=("a",), next_step="Call")
    other = deal(
        amount=euros("0.05"),
        contact_ids=(BOB,),
        tags=("a", "b"),
        next_step="Visit",
        close_date=date(2026, 5, 1),
    )
    survivor.details = survivor.details.changed({"team": (TeamMember(ANN, "Lead"),)})
    other.details = other.details.changed({"team": (TeamMember(ANN, "Aide"), TeamMember(BOB))})
    event = merge(survivor, [other], NOW)
    assert survivor.amount == euros("100.15")
    assert (survivor.name, survivor.next_step, survivor.close_date) == ("Roof", "Call", date(2026, 5, 1))
    assert (survivor.contact_ids, survivor.details.tags) == ((ANN, BOB), ("a", "b"))
    assert survivor.details.team == (TeamMember(ANN, "Lead"), TeamMember(BOB))
    assert (event.surviving_id, event.merged_ids) == (survivor.id, (other.id,))
    assert survivor.details.merged_from_ids == (other.id,)
    assert (other.deleted_at, other.details.merged_into_id) == (NOW, survivor.id)
    with pytest.raises(MergedAway):
        other.undelete(NOW)


def test_amounts_finer_than_a_cent_add_up_as_they_were_counted() -> None:
    survivor = deal(amount=euros("0.004"))
    merge(survivor, [deal(amount=euros("0.004")), deal(amount=euros("0.005"))], NOW)
    assert survivor.amount == euros("0.01")
    whole = deal(amount=euros("1.009"))
    _, (part,) = split(whole, [Part("East", amount=euros("0.404"))])
    assert (whole.amount, part.amount) == (euros("0.61"), euros("0.40"))


def test_what_would_be_more_than_an_amount_can_be_is_refused() -> None:
    huge = LineItem(uuid4(), Decimal(999999999999), euros("999999999999999"))
    with pytest.raises(AmountTooLarge):
        deal(line_items=(huge,))
    with pytest.raises(AmountTooLarge):
        merge(deal(amount=euros("999999999999999")), [deal(amount=euros(1))], NOW)


def test_the_same_deal_entered_twice_counts_once() -> None:
    survivor = deal(amount=euros(100))
    merge(survivor, [deal(amount=euros(100)), deal(amount=euros(70))], NOW, adds=False)
    assert survivor.amount == euros(100)


def _closed() -> Opportunity:
    made = deal()
    made.win(WON, NOW)
    return made


@pytest.mark.parametrize(
    ("other", "refusal"),
    [
        (_closed, MergedDealClosed),
        (lambda: deal(account_id=BOB), AccountsDiffer),
        (lambda: deal(amount=Money(Decimal(1), "USD")), CurrenciesDiffer),
    ],
)
def test_what_does_not_fit_together_is_not_merged(
    other: Callable[[], Opportunity], refusal: type[Refusal]
) -> None:
    survivor = deal(amount=euros(1), account_id=ANN)
    with pytest.raises(refusal) as caught:
        merge(survivor, [deal(), other()], NOW)
    assert caught.value.violations[0].field == "merged_ids[1]"


def test_a_deal_is_not_merged_into_itself_nor_twice() -> None:
    survivor, other = deal(), deal()
    for others in ([survivor], [other, other]):
        with pytest.raises(MergedWithItself):
            merge(survivor, others, NOW)


# Splitting


def test_parts_come_off_the_deal_to_the_cent() -> None:
    whole = deal(amount=euros("100.01"), tags=("a",), close_date=date(2026, 5, 1))
    event, parts = split(
        whole, [Part("East", amount=euros("33.34")), Part("West", amount=euros("66.66"), owner_id=BOB)]
    )
    assert whole.amount == euros("0.01")
    assert [(part.name, part.amount, part.owner_id) for part in parts] == [
        ("East", euros("33.34"), ANN),
        ("West", euros("66.66"), BOB),
    ]
    assert all(part.details.tags == ("a",) and part.close_date == date(2026, 5, 1) for part in parts)
    assert all(part.details.split_from_id == whole.id for part in parts)
    assert event.part_ids == whole.details.split_into_ids == tuple(part.id for part in parts)


def test_products_go_into_a_part_at_their_price() -> None:
    crane, hook = uuid4(), uuid4()
    whole = deal(line_items=(line(3, "10.50", crane), line(2, "1.25", hook), line(5, "9", crane)))
    _, (part,) = split(whole, [Part("East", lines=(PartLine(crane, Decimal(4)), PartLine(hook, Decimal(2))))])
    assert [(int(item.quantity), item.unit_price) for item in part.line_items] == [
        (3, euros("10.50")),
        (1, euros("9")),
        (2, euros("1.25")),
    ]
    assert part.amount == euros("43.00")
    assert [(item.product_id, int(item.quantity)) for item in whole.line_items] == [(crane, 4)]
    assert whole.amount == euros("36.00")


@pytest.mark.parametrize(
    ("fields", "part", "refusal", "field"),
    [
        ({}, Part("A", amount=euros(1)), AmountMissing, None),
        ({"amount": euros(1)}, Part("A"), PartEmpty, "parts[0].amount"),
        ({"amount": euros(1)}, Part("A", amount=euros(2)), PartsExceed, "parts[0].amount"),
        (
            {"amount": euros(1)},
            Part("A", amount=Money(Decimal(1), "USD")),
            CurrenciesDiffer,
            "parts[0].amount",
        ),
        ({"line_items": (line(1, "5"),)}, Part("A", amount=euros(1)), PartNeedsLines, "parts[0].line_items"),
        (
            {"line_items": (line(1, "5", ANN),)},
            Part("A", lines=(PartLine(ANN, Decimal(2)),)),
            LineShort,
            "parts[0].line_items[0].quantity",
        ),
    ],
)
def test_parts_that_make_no_sense_are_refused(
    fields: dict[str, Any], part: Part, refusal: type[Refusal], field: str | None
) -> None:
    with pytest.raises(refusal) as caught:
        split(deal(**fields), [part])
    assert [each.field for each in caught.value.violations] == ([field] if field else [])


def test_what_is_closed_is_neither_merged_nor_split() -> None:
    for change in (
        lambda: merge(_closed(), [deal()], NOW),
        lambda: split(_closed(), [Part("A", amount=euros(1))]),
    ):
        with pytest.raises(OpportunityClosed):
            change()


AMOUNTS = st.lists(st.integers(1, 10**9), min_size=1, max_size=6)


@settings(max_examples=100, deadline=None)
@given(cents=AMOUNTS, rest=st.integers(0, 10**9))
def test_whatever_is_split_and_merged_again_is_worth_the_same(cents: list[int], rest: int) -> None:
    whole = deal(amount=euros(Decimal(sum(cents) + rest) / 100))
    before = whole.amount
    _, parts = split(whole, [Part("Part", amount=euros(Decimal(each) / 100)) for each in cents])
    assert total([part.amount for part in (whole, *parts) if part.amount], "EUR") == before
    merge(parts[0], [*parts[1:], whole], NOW)
    assert parts[0].amount == before


@settings(max_examples=100, deadline=None)
@given(
    lines=st.lists(st.tuples(st.integers(2, 50), st.integers(1, 10**7)), min_size=1, max_size=5),
    data=st.data(),
)
def test_lines_split_off_leave_no_cent_behind(lines: list[tuple[int, int]], data: st.DataObject) -> None:
    # prices of a thousandth of a cent: each deal rounds for itself, and the sum is the same all the same
    items = tuple(line(quantity, str(Decimal(price) / 100_000)) for quantity, price in lines)
    whole = deal(line_items=items)
    before, taken = whole.amount, []
    for item in items:
        quantity = data.draw(st.integers(0, int(item.quantity)))
        if quantity:
            taken.append(PartLine(item.product_id, Decimal(quantity)))
    if not taken:
        return
    try:
        _, (part,) = split(whole, [Part("Part", lines=tuple(taken))])
    except (PartEmpty, PartsExceed):
        return  # it rounds to nothing, or to more than the whole
    assert before is not None
    assert total([each.amount for each in (whole, part) if each.amount], "EUR") == before
