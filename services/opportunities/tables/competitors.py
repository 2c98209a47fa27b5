"""The tables of competitors and battle cards, and of what is known of customers."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sfa.opportunities.v1 import events_pb2
from sqlalchemy import BigInteger, Column, Integer, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from chassis.columns import Codec, document, listed
from chassis.fields import Field
from chassis.schema import entity_table
from chassis.store import EntityType
from services.opportunities.domain.competitors import (
    BattleCard,
    CardConditions,
    Competitor,
    CompetitorProduct,
    CompetitorTrait,
    Evidence,
)
from services.opportunities.tables.base import metadata
from services.opportunities.wire import competitors as wire

competitors = entity_table(
    "competitors",
    metadata,
    Column("name", Text, nullable=False),
    Column("website", Text),
    Column("description", Text),
    Column("products", JSONB),
    Column("strengths", JSONB),
    Column("weaknesses", JSONB),
)

battle_cards = entity_table(
    "battle_cards",
    metadata,
    Column("competitor_id", Uuid, nullable=False),
    Column("claim", Text),
    Column("evidence", JSONB),
    Column("answer", Text),
    Column("conditions", JSONB),
    Column("priority", Integer, nullable=False),
)

customers = Table(
    "customers",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("version", BigInteger),
    Column("segment", Text),
    Column("industry", Text),
)
"""What battle cards are chosen by, and wins and losses told apart by, of each account."""


def _id(text: str | None) -> UUID | None:
    return UUID(text) if text else None


def _ids(texts: list[str]) -> tuple[UUID, ...]:
    return tuple(map(UUID, texts))


def _product(item: Mapping[str, Any]) -> CompetitorProduct:
    return CompetitorProduct(
        UUID(item["id"]), item["name"], item["description"], _ids(item["our_product_ids"])
    )


def _trait(item: Mapping[str, Any]) -> CompetitorTrait:
    return CompetitorTrait(item["text"], _id(item["product_id"]), _id(item["our_product_id"]))


def _conditions(item: Mapping[str, Any]) -> CardConditions:
    return CardConditions(
        tuple(item["segments"]),
        tuple(item["industries"]),
        _ids(item["product_ids"]),
        _ids(item["competitor_product_ids"]),
        _ids(item["stage_ids"]),
    )


_ANY: CardConditions = CardConditions()
_stated = document(_conditions)

COMPETITOR = EntityType(
    name="competitor",
    cls=Competitor,
    table=competitors,
    to_proto=wire.competitor_to_proto,
    events=events_pb2,
    fields={"name": Field.of(competitors.c.name, nullable=False, sortable=True)},
    searched=("name",),
    codecs={
        "products": listed(CompetitorProduct, _product),
        "strengths": listed(CompetitorTrait, _trait),
        "weaknesses": listed(CompetitorTrait, _trait),
    },
)

BATTLE_CARD = EntityType(
    name="battle_card",
    cls=BattleCard,
    table=battle_cards,
    to_proto=wire.battle_card_to_proto,
    events=events_pb2,
    fields={
        "competitor_id": Field.of(battle_cards.c.competitor_id, nullable=False),
        "priority": Field.of(battle_cards.c.priority, nullable=False),
    },
    codecs={
        "evidence": listed(Evidence),
        "conditions": Codec(
            lambda asked: None if asked == _ANY else _stated.dump(asked),
            lambda text: _ANY if text is None else _stated.load(text),
        ),
    },
)
