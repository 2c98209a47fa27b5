"""Products: variants, bundles, lifecycle, translations, images; and the families that they are in."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chassis.ids import new_id
from chassis.money import Money
from services.quotes.domain.costs import NegativeCost, ProductCost, cost_on
from services.quotes.domain.families import (
    FamilyInItself,
    FamilyNotEmpty,
    ProductFamily,
    lineages,
    tax_class_of,
)
from services.quotes.domain.languages import LanguageRepeated, NotALanguage, Translation, best, canonical
from services.quotes.domain.products import (
    BundleNested,
    Component,
    ComponentNotSensible,
    Image,
    ImageNotSensible,
    Lifecycle,
    LifecycleReversed,
    NegativeWeight,
    Product,
    RelatedToItself,
)
from services.quotes.domain.units import UnitUnknown
from services.quotes.domain.variants import (
    Attribute,
    AttributeRepeated,
    Option,
    OptionInUse,
    OptionNotChosen,
    OptionsNotSensible,
    OptionValueUnknown,
    ParentNotFree,
    VariantOfNothing,
)

SIZES = Option("size", ("S", "M"))
COLOURS = Option("colour", ("red", "blue"))
SHIRT = Product(code="S", name="Shirt", options=(SIZES, COLOURS))


def product(**fields: object) -> Product:
    return Product(code="C-1", name="Chair", **fields)  # type: ignore[arg-type]


def shirt(size: str = "S", colour: str = "red", **fields: object) -> Product:
    said = (Attribute("colour", colour), Attribute("size", size), Attribute("fabric", "linen"))
    return product(parent_id=SHIRT.id, attributes=said, **fields)


def test_variants_differ_in_what_their_parent_says() -> None:
    keys = set()
    for size in SIZES.values:
        for colour in COLOURS.values:
            variant = shirt(size, colour)
            variant.fit(SHIRT)
            keys.add(variant.variant_key)
    assert len(keys) == 4
    same = shirt()
    same.attributes = same.attributes[::-1]
    same.fit(SHIRT)
    assert same.variant_key in keys


def test_a_parent_is_sold_by_its_variants() -> None:
    assert not SHIRT.can_be_quoted
    assert not SHIRT.can_be_quoted_on(date(2026, 1, 1))
    assert shirt().can_be_quoted


def test_a_variant_says_one_value_of_each_option() -> None:
    with pytest.raises(OptionNotChosen):
        product(attributes=(Attribute("size", "S"),)).fit(SHIRT)
    with pytest.raises(OptionValueUnknown) as refusal:
        shirt("XL").fit(SHIRT)
    assert refusal.value.violations[0].field == "product.attributes[1].value"


def test_there_is_one_level_of_variants() -> None:
    with pytest.raises(VariantOfNothing):
        shirt().fit(product())
    with pytest.raises(ParentNotFree):
        product(options=(SIZES,)).fit(SHIRT)


def test_options_that_are_used_stay() -> None:
    variant = shirt("M")
    variant.fit(SHIRT)
    product(options=(Option("size", ("M", "L")), COLOURS)).check_variants([variant])
    for options in ((SIZES,), (Option("size", ("S",)), COLOURS), ()):
        with pytest.raises(OptionInUse):
            product(options=options).check_variants([variant])


@pytest.mark.parametrize(
    "options",
    [
        (Option("", ("S",)),),
        (Option("size", ()),),
        (Option("size", ("S", "S")),),
        (Option("size", ("S", "")),),
        (SIZES, SIZES),
    ],
)
def test_options_make_sense(options: tuple[Option, ...]) -> None:
    with pytest.raises(OptionsNotSensible):
        product(options=options).create()


def test_an_attribute_has_one_value() -> None:
    with pytest.raises(AttributeRepeated):
        product(attributes=(Attribute("size", "S"), Attribute("size", "M"))).create()


def test_a_bundle_is_made_of_single_products() -> None:
    part = product()
    bundle = Product(code="B", name="Set", components=(Component(part.id, Decimal(2)),))
    bundle.create()
    bundle.check_components({part.id: part})
    with pytest.raises(BundleNested):
        bundle.check_components({part.id: SHIRT})
    with pytest.raises(BundleNested):
        Product(code="D", name="Set", components=(Component(bundle.id, Decimal(1)),)).check_components(
            {bundle.id: bundle}
        )
    bundle.components = (Component(part.id, Decimal(2), "box"),)
    with pytest.raises(UnitUnknown):
        bundle.check_components({part.id: part})


def test_a_component_has_a_quantity_and_comes_once() -> None:
    part = new_id()
    for components in ((Component(part, Decimal(0)),), (Component(part, Decimal(1)),) * 2):
        with pytest.raises(ComponentNotSensible):
            product(components=components).create()
    itself = product()
    itself.components = (Component(itself.id, Decimal(1)),)
    with pytest.raises(ComponentNotSensible):
        itself.create()


@pytest.mark.parametrize("field", ["substitute_ids", "accessory_ids"])
def test_what_is_related_is_another_product(field: str) -> None:
    other, itself = new_id(), product()
    itself.change({field: (other,)})
    with pytest.raises(RelatedToItself):
        itself.change({field: (other, other)})
    with pytest.raises(RelatedToItself):
        itself.change({field: (itself.id,)})


def test_a_lifecycle_says_whether_a_product_is_active() -> None:
    planned = product(lifecycle=Lifecycle.PLANNED)
    planned.create()
    said: list[bool] = [planned.is_active]
    for values in (
        {"lifecycle": Lifecycle.ACTIVE},
        {"is_active": False},
        {"lifecycle": Lifecycle.ACTIVE},  # what was switched off by hand stays so
        {"lifecycle": Lifecycle.PHASING_OUT},
        {"lifecycle": Lifecycle.DISCONTINUED, "is_active": True},
    ):
        planned.change(values)
        said.append(planned.is_active)
    assert said == [False, True, False, False, True, False]


def test_a_product_moves_on_by_its_dates() -> None:
    chair = product(
        lifecycle=Lifecycle.PLANNED,
        active_from=date(2026, 3, 1),
        phasing_out_from=date(2027, 1, 1),
        discontinued_from=date(2027, 6, 1),
    )
    chair.create()
    days = [date(2026, 2, 28), date(2026, 3, 1), date(2027, 1, 1), date(2027, 6, 1)]
    assert [chair.lifecycle_on(day) for day in days] == list(Lifecycle)
    assert [chair.can_be_quoted_on(day) for day in days] == [False, True, True, False]
    assert [chair.next_stage_on(day) for day in days] == [*days[1:], None]
    assert chair.move_on(days[0]) is None
    assert chair.move_on(days[2]) is not None
    assert (chair.lifecycle, chair.is_active) == (Lifecycle.PHASING_OUT, True)
    assert chair.move_on(days[3]) is not None
    assert (chair.lifecycle, chair.is_active) == (Lifecycle.DISCONTINUED, False)


def test_what_is_switched_off_by_hand_cannot_be_quoted() -> None:
    assert not product(is_active=False).can_be_quoted_on(date(2026, 1, 1))


def test_the_dates_of_a_lifecycle_follow_each_other() -> None:
    with pytest.raises(LifecycleReversed) as refusal:
        product(active_from=date(2026, 2, 1), discontinued_from=date(2026, 1, 1)).create()
    assert refusal.value.violations[0].field == "product.discontinued_from"


def test_a_weight_is_not_negative() -> None:
    with pytest.raises(NegativeWeight):
        product(weight_kilograms=Decimal(-1)).create()


@pytest.mark.parametrize("uri", ["https://cdn.example/c-1.jpg", "chairs/c-1.jpg", "c1"])
def test_an_image_is_named_by_address_or_key(uri: str) -> None:
    product(images=(Image(uri),)).create()


@pytest.mark.parametrize(
    "uri",
    ["", "http://cdn.example/c.jpg", "https://", "javascript:alert(1)", "../secret", "a//b", "/etc/passwd"],
)
def test_an_image_is_nothing_else(uri: str) -> None:
    with pytest.raises(ImageNotSensible):
        product(images=(Image(uri),)).create()


@pytest.mark.parametrize(
    ("written", "tag"),
    [
        ("DE", "de"),
        ("pt-br", "pt-BR"),
        ("ZH-HANT-tw", "zh-Hant-TW"),
        ("es-419", "es-419"),
        ("sl-ROZAJ", "sl-rozaj"),
        ("en-u-CA-gregory", "en-u-ca-gregory"),
    ],
)
def test_a_language_tag_has_one_writing(written: str, tag: str) -> None:
    assert canonical(written) == canonical(tag) == tag


@pytest.mark.parametrize("tag", ["", "d", "german!", "de_AT", "de-", "-de", "de--AT", "1de", "de\n"])
def test_what_is_no_language_tag_is_refused(tag: str) -> None:
    with pytest.raises(NotALanguage):
        canonical(tag)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=100)
@given(st.text("abAB01-", max_size=20))
def test_writing_a_tag_again_changes_nothing(text: str) -> None:
    try:
        tag = canonical(text)
    except NotALanguage:
        return
    assert canonical(tag) == tag


def test_a_language_is_served_by_the_nearest_that_contains_it() -> None:
    offered = {"de": 1, "zh-Hant": 2, "en-x-shop": 3}
    assert [best(tag, offered) for tag in ("de-AT", "zh-Hant-TW", "zh", "en-x-shop-a", "fr")] == [
        1,
        2,
        None,
        3,
        None,
    ]


def test_a_product_speaks_languages() -> None:
    chair = product(
        description="Wooden.",
        translations=(Translation("DE", "Stuhl"), Translation("pt-br", "Cadeira", "De madeira.")),
    )
    chair.create()
    assert [each.language for each in chair.translations] == ["de", "pt-BR"]
    assert chair.text("de-AT") == ("Stuhl", "Wooden.")
    assert chair.text("pt-BR") == ("Cadeira", "De madeira.")
    assert chair.text("fr") == chair.text() == ("Chair", "Wooden.")
    with pytest.raises(LanguageRepeated):
        chair.change({"translations": (Translation("de", "Stuhl"), Translation("DE", "Sessel"))})


def test_families_lie_in_each_other_and_never_in_themselves() -> None:
    top = ProductFamily(name="Food", tax_class="reduced")
    middle = ProductFamily(name="Drinks", parent_id=top.id)
    leaf = ProductFamily(name="Beer", parent_id=middle.id, tax_class="standard")
    known = {family.id: family for family in (top, middle, leaf)}
    for family in known.values():
        family.create(known)
    with pytest.raises(FamilyInItself):
        top.change({"parent_id": leaf.id}, known)
    top.parent_id = None
    with pytest.raises(FamilyInItself):
        top.change({"parent_id": top.id}, known)
    top.parent_id = None
    lines = lineages(known.values())
    assert [family.name for family in lines["Beer"]] == ["Beer", "Drinks", "Food"]
    assert [tax_class_of("", name, lines) for name in ("Beer", "Drinks", "Toys")] == [
        "standard",
        "reduced",
        "",
    ]
    assert tax_class_of("zero", "Beer", lines) == "zero"
    with pytest.raises(FamilyNotEmpty):
        middle.must_be_empty(known.values())


def test_the_cost_of_a_day_is_the_last_that_has_begun() -> None:
    def cost(amount: int, begins: date | None) -> ProductCost:
        return ProductCost(product_id=new_id(), unit_cost=Money(Decimal(amount), "EUR"), valid_from=begins)

    costs = [cost(1, None), cost(2, date(2026, 1, 1)), cost(3, date(2027, 1, 1))]
    found = [cost_on(costs, day) for day in (date(2025, 1, 1), date(2026, 1, 1), date(2028, 1, 1))]
    assert [each and each.unit_cost.amount for each in found] == [1, 2, 3]
    assert cost_on(costs[1:], date(2025, 1, 1)) is None
    with pytest.raises(NegativeCost):
        cost(1, None).set_to(Money(Decimal(-1), "EUR"))
