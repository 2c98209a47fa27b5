"""What the import knows of records other than the one at hand: by what this run wrote, and by asking."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from deploy.importing.client import Api
from deploy.importing.mapping import Mapping, values_of
from deploy.importing.records import Plan, SourceRow
from deploy.importing.troubles import RowRefused
from deploy.importing.values import MISSING

_CHUNK = 500


@dataclass(slots=True)
class Known:
    """One record: its id, and its fields as far as they were sent or read."""

    id: str
    fields: dict[str, Any] = field(default_factory=dict)


class Lookups:
    """The records that rows refer to. `fetch` asks for those that are not known yet; then rows `find` them."""

    def __init__(self, api: Api, mapping: Mapping) -> None:
        self._api = api
        self._mapping = mapping
        self._known: dict[str, dict[str, Known | None]] = {name: {} for name in mapping.entities}
        values = [value for entity in mapping.entities.values() for value in values_of(entity)]
        self._with_fields = {value.lookup for value in values if value.field}
        self._stages: list[tuple[dict[str, Any], dict[str, Any]]] = []

    def learn(self, entity: str, key: str, id: str, fields: dict[str, Any]) -> None:
        """A record that this run wrote."""
        self._known[entity][key] = Known(id, fields if entity in self._with_fields else {})

    async def fetch_stages(self) -> None:
        """Reads the pipelines."""
        for pipeline in await self._api.all("/v1/pipelines", "pipelines"):
            self._stages += [(pipeline, stage) for stage in pipeline.get("stages") or []]

    async def fetch(self, plan: Plan, rows: Iterable[SourceRow]) -> None:
        """Asks the server for what these rows refer to and nobody has asked for yet."""
        rows = list(rows)
        for reference in plan.references:
            keys = {reference.key(row.cells, self) for row in rows if not row.trouble} - {MISSING}
            await self._fetch_records(reference.entity, keys - self._known[reference.entity].keys())
            if reference.field == "listPrice" and reference.currency:
                await self._fetch_prices(reference.entity, keys, reference.currency)

    def find(self, entity: str, key: str, field: str | None, currency: str | None) -> Any:
        """The id or a field of a record; None where it is not known."""
        known = self._known[entity].get(key)
        if known is None:
            return None
        if field is None:
            return known.id
        value = known.fields.get(field)
        if isinstance(value, dict) and "currencyCode" in value and value["currencyCode"] != currency:
            return None
        return value

    def stage(self, name: str, pipeline: str | None) -> str:
        """The id of the stage of this name in the pipeline named, or in the default one.

        `WON` and `LOST` mean the stage of that kind, whatever it is called.
        """
        stages = [
            stage
            for owner, stage in self._stages
            if (owner["name"].casefold() == pipeline.casefold() if pipeline else owner.get("isDefault"))
        ]
        for stage in stages:
            if stage["name"].casefold() == name.casefold():
                return str(stage["id"])
        for stage in stages:
            if stage["kind"] == name and name in ("WON", "LOST"):
                return str(stage["id"])
        known = ", ".join(stage["name"] for stage in stages) or "no stages at all"
        raise RowRefused(
            f"The pipeline has no stage {name!r}, but {known}.", reason="STAGE_NOT_FOUND", field="stage"
        )

    async def _fetch_records(self, entity: str, keys: set[str]) -> None:
        known, collection = self._known[entity], self._mapping.entities[entity].collection
        system, wanted = self._mapping.system_of(entity), sorted(keys)
        for begin in range(0, len(wanted), _CHUNK):
            part = wanted[begin : begin + _CHUNK]
            body = {"externalIds": [{"system": system, "id": key} for key in part]}
            answer = await self._api.post(f"/v1/{collection}:batchGet", body)
            known.update(dict.fromkeys(part))
            for resource in answer.get(collection) or []:
                for each in resource.get("externalIds") or []:
                    if each["system"] == system and each["id"] in keys:
                        known[each["id"]] = Known(resource["id"], resource)

    async def _fetch_prices(self, entity: str, keys: set[str], currency: str) -> None:
        """List prices stand in the price book, not in the product."""
        found = [known for key in keys if (known := self._known[entity].get(key)) is not None]
        without = {known.id: known for known in found if "listPrice" not in known.fields}
        ids = sorted(without)
        for begin in range(0, len(ids), _CHUNK):
            body = {"productIds": ids[begin : begin + _CHUNK], "currency": currency}
            answer = await self._api.post("/v1/priceBookEntries:findPrices", body)
            for entry in answer.get("priceBookEntries") or []:
                without[entry["productId"]].fields["listPrice"] = entry["unitPrice"]
        for known in without.values():
            known.fields.setdefault("listPrice", None)
