"""With what deals are made: the products side by side, and the tree of product families.

A deal's amount is shared out to its products by what their line items come to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID, uuid5

import numpy as np

from services.forecast.book.cells import Dimension, Membership
from services.forecast.book.reference import Tenant
from services.forecast.book.versions import Rows
from services.forecast.dimensions.axis import Axis, by_code
from services.forecast.dimensions.credit import credited, divided
from services.forecast.dimensions.question import Credit, Question
from services.forecast.dimensions.tree import ROOT, Stand, TreeBuilder
from services.forecast.domain.trees import NodeKind

if TYPE_CHECKING:
    from services.forecast.book.book import Book

_FAMILY = UUID("b0a4b7a0-3a43-5b42-9b2a-3c1f2f6c0d55")


def dimension(question: Question) -> Dimension:
    """Parts of deals by product. The member is the product's code."""
    credit, within = question.credit, question.within

    def members(book: Book, rows: Rows, _: Tenant) -> Membership:
        amount = book.versions.amount[rows]
        if within is None and credit is not Credit.OVERLAY:  # all credits of a deal are all of it
            shares = book.product_lines.of(rows, amount)
        else:
            shares = divided(credited(book, rows, credit, within), book.product_lines, rows, amount)
        return Membership(shares.member, shares)

    return Dimension(f"products by {credit.name}", members)


def products(book: Book, question: Question) -> Axis:
    """The products, side by side."""
    names = book.at(question.organisation).products
    builder, codes = TreeBuilder(), book.codes.products
    places = np.zeros(len(codes) + 1, np.int32)
    for code, id in enumerate(codes.ids(range(len(codes)))):
        places[code] = builder.add(id, Stand(str(id), names.get(id, str(id)), NodeKind.PRODUCT))
    for id, name in names.items():
        builder.add(id, Stand(str(id), name, NodeKind.PRODUCT))
    places[-1] = builder.none()
    tree, place_of = builder.build()
    return Axis(
        tree,
        dimension(question),
        by_code(place_of[places]),
        is_kept=question.within is None,
        may_share=True,
    )


def families(book: Book, question: Question) -> Axis:
    """The tree of product families: a product is in the family that it names, which may lie in another."""
    tenant = book.at(question.organisation)
    named = {id: content.get("family", "") for id, content in tenant.of("product").items()}
    records = {id: each for id, each in tenant.of("product_family").items() if not each["deleted"]}
    above = {
        each["name"]: records[UUID(each["parent_id"])]["name"]
        for each in records.values()
        if each["parent_id"] and UUID(each["parent_id"]) in records
    }
    builder, codes = TreeBuilder(), book.codes.products

    def node(family: str, under: tuple[str, ...] = ()) -> int:
        parent = above.get(family, "")
        number = node(parent, (*under, family)) if parent and parent not in (*under, family) else ROOT
        return builder.add(family, Stand(family_id(family), family, NodeKind.PRODUCT_FAMILY, number))

    for each in records.values():
        node(each["name"])
    none = builder.none()
    places = np.full(len(codes) + 1, none, np.int32)
    for code, id in enumerate(codes.ids(range(len(codes)))):
        if family := named.get(id, ""):
            places[code] = node(family)
    tree, place_of = builder.build()
    return Axis(
        tree,
        dimension(question),
        by_code(place_of[places]),
        is_kept=question.within is None,
        may_share=True,
    )


def family_id(name: str) -> str:
    """The id of a family's node: products name their family, whether there is a record of it or not."""
    return str(uuid5(_FAMILY, name))
