"""Competitors and battle cards between the protos and the domain."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sfa.contacts.v1.contacts_pb2 import Account
from sfa.opportunities.v1 import competitors_pb2 as pb

from chassis import convert
from chassis.ids import new_id
from services.opportunities.domain.competitors import (
    BattleCard,
    CardConditions,
    Competitor,
    CompetitorProduct,
    CompetitorTrait,
    Evidence,
)


def competitor_to_proto(competitor: Competitor) -> pb.Competitor:
    """The resource."""
    result = pb.Competitor(
        name=competitor.name, website=competitor.website, description=competitor.description
    )
    convert.set_head(result, competitor)
    for product in competitor.products:
        result.products.add(
            id=str(product.id),
            name=product.name,
            description=product.description,
            our_product_ids=map(str, product.our_product_ids),
        )
    for target, traits in (
        (result.strengths, competitor.strengths),
        (result.weaknesses, competitor.weaknesses),
    ):
        for trait in traits:
            target.add(
                text=trait.text,
                product_id=_text(trait.product_id),
                our_product_id=_text(trait.our_product_id),
            )
    return result


def battle_card_to_proto(card: BattleCard) -> pb.BattleCard:
    """The resource."""
    result = pb.BattleCard(
        competitor_id=str(card.competitor_id), claim=card.claim, answer=card.answer, priority=card.priority
    )
    convert.set_head(result, card)
    for each in card.evidence:
        result.evidence.add(text=each.text, url=each.url)
    asked = card.conditions
    if asked != CardConditions():
        result.conditions.segments.extend(asked.segments)
        result.conditions.industries.extend(asked.industries)
        result.conditions.product_ids.extend(map(str, asked.product_ids))
        result.conditions.competitor_product_ids.extend(map(str, asked.competitor_product_ids))
        result.conditions.stage_ids.extend(map(str, asked.stage_ids))
    return result


def _text(id: UUID | None) -> str:
    return "" if id is None else str(id)


def _ids(texts: Sequence[str]) -> tuple[UUID, ...]:
    return tuple(dict.fromkeys(map(UUID, texts)))


def _products(message: pb.Competitor) -> tuple[CompetitorProduct, ...]:
    return tuple(
        CompetitorProduct(
            convert.uuid_of(each.id) or new_id(), each.name, each.description, _ids(each.our_product_ids)
        )
        for each in message.products
    )


def _traits(traits: Sequence[pb.CompetitorTrait]) -> tuple[CompetitorTrait, ...]:
    return tuple(
        CompetitorTrait(each.text, convert.uuid_of(each.product_id), convert.uuid_of(each.our_product_id))
        for each in traits
    )


def _conditions(message: pb.BattleCard) -> CardConditions:
    asked = message.conditions
    return CardConditions(
        tuple(dict.fromkeys(asked.segments)),
        tuple(dict.fromkeys(asked.industries)),
        _ids(asked.product_ids),
        _ids(asked.competitor_product_ids),
        _ids(asked.stage_ids),
    )


def customer_row(account: Account, version: int) -> dict[str, Any]:
    """What battle cards are chosen by, of an account."""
    return {
        "id": UUID(account.id),
        "version": version,
        "segment": account.segment,
        "industry": account.industry,
    }


# How each field that a client may set is read.
COMPETITOR_FIELDS: Mapping[str, Callable[[pb.Competitor], Any]] = {
    "name": lambda message: message.name,
    "external_ids": lambda message: convert.external_ids_of(message.external_ids),
    "website": lambda message: message.website,
    "description": lambda message: message.description,
    "products": _products,
    "strengths": lambda message: _traits(message.strengths),
    "weaknesses": lambda message: _traits(message.weaknesses),
}

BATTLE_CARD_FIELDS: Mapping[str, Callable[[pb.BattleCard], Any]] = {
    "external_ids": lambda message: convert.external_ids_of(message.external_ids),
    "claim": lambda message: message.claim,
    "evidence": lambda message: tuple(Evidence(each.text, each.url) for each in message.evidence),
    "answer": lambda message: message.answer,
    "conditions": _conditions,
    "priority": lambda message: message.priority,
}

# A new one also says against whom it is.
NEW_BATTLE_CARD_FIELDS = {
    **BATTLE_CARD_FIELDS,
    "competitor_id": lambda message: convert.uuid_of(message.competitor_id),
}
