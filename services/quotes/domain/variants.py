"""Variants: a product that comes in colours and sizes, and the articles that are really sold.

The parent names its options with the values that there are; a variant says one value for each. The
parent itself is not sold, and there is one level: a variant has no variants.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from chassis.errors import AlreadyExists, FailedPrecondition, InvalidArgument


class OptionsNotSensible(InvalidArgument):
    """An option has no values, or a name or value is there twice."""

    def __init__(self, index: int) -> None:
        super().__init__(
            "An option has a name of its own, and values that differ.", field=f"product.options[{index}]"
        )


class AttributeRepeated(InvalidArgument):
    """A product says two values of one attribute."""

    def __init__(self, index: int) -> None:
        super().__init__("An attribute has one value.", field=f"product.attributes[{index}].name")


class VariantOfNothing(FailedPrecondition):
    """The parent has no options to choose from, or is a variant itself."""

    def __init__(self) -> None:
        super().__init__("The parent is no product that comes in variants.", field="product.parent_id")


class ParentNotFree(FailedPrecondition):
    """A product with options is sold by its variants, and is none itself."""

    def __init__(self) -> None:
        super().__init__("A product with options cannot be a variant.", field="product.options")


class OptionNotChosen(InvalidArgument):
    """A variant does not say which value of an option it is."""

    def __init__(self, option: str) -> None:
        super().__init__(f"A variant needs a value for {option}.", field="product.attributes")


class OptionValueUnknown(InvalidArgument):
    """A variant says a value that its parent does not come in."""

    def __init__(self, option: str, value: str, index: int) -> None:
        super().__init__(
            f"The parent does not come with {option} {value}.", field=f"product.attributes[{index}].value"
        )


class VariantTaken(AlreadyExists):
    """Two variants of a parent cannot have the same values."""

    def __init__(self) -> None:
        super().__init__("Another variant has these values already.", field="product.attributes")


class OptionInUse(FailedPrecondition):
    """The options of a parent would no longer fit one of its variants."""

    def __init__(self, code: str) -> None:
        super().__init__(f"The variant {code} would not fit these options.", field="product.options")


@dataclass(frozen=True, slots=True)
class Option:
    """What a parent's variants differ in, such as size, and the values that there are."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Attribute:
    """Something that is so of a product: colour is red."""

    name: str
    value: str


def check_options(options: Sequence[Option]) -> None:
    """Raises OptionsNotSensible where names or values are empty or there twice."""
    names: set[str] = set()
    for index, option in enumerate(options):
        values = set(option.values)
        is_whole = bool(option.name and values) and "" not in values
        if not is_whole or len(values) < len(option.values) or option.name in names:
            raise OptionsNotSensible(index)
        names.add(option.name)


def check_attributes(attributes: Sequence[Attribute]) -> None:
    """Raises AttributeRepeated where two have one name."""
    names: set[str] = set()
    for index, attribute in enumerate(attributes):
        if attribute.name in names:
            raise AttributeRepeated(index)
        names.add(attribute.name)


def variant_key(options: Iterable[Option], attributes: Sequence[Attribute]) -> str:
    """What tells a variant from its siblings: its values, in the order of the option's names.

    Raises:
        OptionNotChosen, OptionValueUnknown: the attributes do not choose one value of each option.
    """
    chosen: Mapping[str, tuple[int, str]] = {
        attribute.name: (index, attribute.value) for index, attribute in enumerate(attributes)
    }
    parts = []
    for option in sorted(options, key=lambda option: option.name):
        if option.name not in chosen:
            raise OptionNotChosen(option.name)
        index, value = chosen[option.name]
        if value not in option.values:
            raise OptionValueUnknown(option.name, value, index)
        parts.append(f"{option.name}={value}")
    return "\n".join(parts)
