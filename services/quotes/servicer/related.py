"""What a product is related to: its parent, its parts, what can replace it and what goes with it.

Read in a few queries for all products of a request, so that a batch asks no oftener than a single call.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from copy import copy
from typing import Final
from uuid import UUID

from sfa.quotes.v1 import products_pb2 as pb

from chassis.store import EntityNotFound
from services.quotes.domain.products import BundleNested, Product
from services.quotes.domain.variants import VariantTaken
from services.quotes.store import ProductStore


class Related:
    """The products that some others name, and those that name them."""

    def __init__(self, named: dict[UUID, Product], variants: list[Product], bundles: list[Product]) -> None:
        self._named = named
        self._variants: dict[UUID, dict[UUID, Product]] = defaultdict(dict)
        self._bundles: dict[UUID, dict[UUID, Product]] = defaultdict(dict)
        for variant in variants:
            if variant.parent_id is not None:
                self._variants[variant.parent_id][variant.id] = variant
        for bundle in bundles:
            for part in bundle.components:
                self._bundles[part.product_id][bundle.id] = bundle

    @classmethod
    async def to(cls, store: ProductStore, asked: Iterable[tuple[pb.Product, UUID | None]]) -> Related:
        """What products name, as they are and as is asked for, and what names them. With each product
        that is asked for stands the id of the one that it changes, if it changes one."""
        asked = list(asked)
        if not asked:
            return cls({}, [], [])
        changed = sorted({id for _, id in asked if id is not None})
        known = await store.get_many(changed)
        named = {UUID(id) for product, _ in asked for id in _names(product)}
        parents = {UUID(product.parent_id) for product, _ in asked if product.parent_id}
        for product in known.values():
            named.update(_names_of(product))
            parents.update([product.parent_id] if product.parent_id else [])
        known |= await store.get_many(sorted(named - known.keys()))
        return cls(
            {id: copy(product) for id, product in known.items()},
            await store.variants_of(parents.union(changed)),
            await store.bundles_with(changed),
        )

    def check(self, product: Product) -> None:
        """Puts the product in its place among the others.

        Raises:
            EntityNotFound: it names one that is not there.
            VariantTaken: its parent has a variant of these values.
            VariantOfNothing, ParentNotFree, OptionNotChosen, OptionValueUnknown, OptionInUse,
            BundleNested, UnitUnknown: they cannot be related so.
        """
        parent = self._get(product.parent_id, "parent_id") if product.parent_id else None
        product.fit(parent)
        if parent is not None:
            siblings = self._variants[parent.id]
            if any(
                each.variant_key == product.variant_key for each in siblings.values() if each.id != product.id
            ):
                raise VariantTaken
            siblings[product.id] = copy(product)
        for index, part in enumerate(product.components):
            self._get(part.product_id, f"components[{index}].product_id")
        product.check_components(self._named)
        for field in ("substitute_ids", "accessory_ids"):
            for index, other in enumerate(getattr(product, field)):
                self._get(other, f"{field}[{index}]")
        product.check_variants(self._variants[product.id].values())
        holding = [bundle for bundle in self._bundles[product.id].values() if bundle.id != product.id]
        if holding and (product.components or product.options):
            raise BundleNested(holding[0].code)
        self._named[product.id] = copy(product)

    def _get(self, id: UUID, field: str) -> Product:
        product = self._named.get(id)
        if product is None or product.deleted_at is not None:
            raise EntityNotFound("product", id, f"product.{field}")
        return product


RELATING: Final = frozenset(
    ("parent_id", "options", "attributes", "components", "substitute_ids", "accessory_ids")
)
"""The fields by which a product is related to others."""


def _names_of(product: Product) -> Iterator[UUID]:
    if product.parent_id is not None:
        yield product.parent_id
    yield from (part.product_id for part in product.components)
    yield from product.substitute_ids
    yield from product.accessory_ids


def _names(product: pb.Product) -> Iterator[str]:
    if product.parent_id:
        yield product.parent_id
    yield from (part.product_id for part in product.components)
    yield from product.substitute_ids
    yield from product.accessory_ids
