"""One tenant's book: everything that was heard of its deals, as columns in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import numpy as np
import numpy.typing as npt

from services.forecast.book.cells import Basis, Cells
from services.forecast.book.grid import Grid
from services.forecast.book.interning import MISSING, Currencies, Ids, Interner
from services.forecast.book.parts import Parts
from services.forecast.book.reference import Reference, References, Tenant
from services.forecast.book.valuing import day_number
from services.forecast.book.versions import NONE, UNDATED, Rows, Versions
from services.forecast.wire.heard import UNDATED as UNDATED_DAY
from services.forecast.wire.heard import microseconds

_KEPT_CELLS: Final = 12
_WHOLE: Final = 20_000
"""From how many changed deals on the cells are made anew."""


@dataclass(slots=True)
class Codes:
    """Which number stands for which id, in each column."""

    deals: Interner = field(default_factory=Interner)
    users: Interner = field(default_factory=Interner)
    accounts: Interner = field(default_factory=Interner)
    stages: Interner = field(default_factory=Interner)
    pipelines: Interner = field(default_factory=Interner)
    products: Interner = field(default_factory=Interner)
    leads: Interner = field(default_factory=Interner)
    currencies: Currencies = field(default_factory=Currencies)

    @property
    def bytes(self) -> int:
        """How much memory they take."""
        return sum(
            each.bytes
            for each in (
                self.deals, self.users, self.accounts, self.stages, self.pipelines, self.products, self.leads,
            )
        )  # fmt: skip

    def of_column(self) -> dict[str, Interner]:
        """By the column of the versions that holds them."""
        return {
            "deal": self.deals,
            "owner": self.users,
            "account": self.accounts,
            "pipeline": self.pipelines,
            "stage": self.stages,
            "lead": self.leads,
        }


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the forecast has come: the last batch, the last one with anything but deals, the epoch."""

    changes: int = 0
    epoch: UUID | None = None
    reference_changes: int = 0


class Book:
    """Everything of one tenant up to the batch `seen`. Changed only between two awaits, on the event loop."""

    def __init__(self) -> None:
        self.codes = Codes()
        self.versions = Versions()
        self.product_lines, self.splits, self.overlays = Parts(), Parts(), Parts()
        self.references = References()
        self.epoch: UUID | None = None
        self.seen = -1
        self._cells: OrderedDict[tuple[Any, ...], Cells] = OrderedDict()

    @property
    def bytes(self) -> int:
        """About how much memory it takes."""
        parts = (self.product_lines, self.splits, self.overlays)
        return (
            self.versions.bytes
            + self.codes.bytes
            + self.references.bytes
            + sum(each.bytes for each in parts)
            + sum(cells.bytes for cells in self._cells.values())
        )

    def has(self, progress: Progress) -> bool:
        """Whether it has everything up to a point of the forecast's progress."""
        return self.epoch == progress.epoch and self.seen >= progress.changes

    # Reading

    def at(self, recorded_at: int | None = None) -> Tenant:
        """What was recorded of everything but the deals by an instant (microseconds), or by now."""
        return self.references.at(recorded_at)

    def view(self, recorded_at: int | None = None, effective_at: int | None = None) -> Rows:
        """The row of the version that counts, one for each deal that does.

        Args:
            recorded_at: by what was recorded up to this instant (microseconds); all where it is left out.
            effective_at: as it was in the world at this instant, by what was recorded.
        """
        rows = self.versions.holding(recorded_at, effective_at)
        converting = self.codes.leads.codes(self.references.leads.at(recorded_at))
        return self._whole(rows, converting)

    def sums(self, basis: Basis) -> Grid:
        """The sums over all deals that count now."""
        return self.cells(basis).grid()

    def cells(self, basis: Basis) -> Cells:
        """The sums over all deals that count now, which follow each change."""
        tenant = self.at()
        cells = self._cells.get(basis.key)
        if cells is None or cells.valued != tenant.valued:
            cells = self._cells[basis.key] = Cells(basis, self, self.view(), tenant)
            if len(self._cells) > _KEPT_CELLS:
                self._cells.popitem(last=False)
        self._cells.move_to_end(basis.key)
        return cells

    def _whole(self, rows: Rows, converting: npt.NDArray[np.int32]) -> Rows:
        """Without the deals of leads whose conversion is under way."""
        if not len(converting) or not len(rows):
            return rows
        kept: Rows = rows[~np.isin(self.versions.lead[rows], converting)]
        return kept

    # Taking in

    def load(
        self,
        columns: dict[str, npt.NDArray[Any]],
        parts: Mapping[str, tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]],
    ) -> None:
        """Takes all deals in at once: columns as `Versions` has them, and for each sort of parts the deal,
        the version, the member and the end of each, in order within their version."""
        self.versions.load(columns, len(self.codes.deals))
        keys = _keys(self.versions.deal, self.versions.version)
        for name, target in self._parts().items():
            counts = np.zeros(len(keys), np.int32)
            if name not in parts:
                target.add(counts, [], [])
                continue
            deal, version, member, end = parts[name]
            rows = np.searchsorted(keys, _keys(deal, version))
            order = np.argsort(rows, kind="stable")
            np.add.at(counts, rows, 1)
            target.add(counts, member[order], end[order])

    def add(self, deals: Sequence[Mapping[str, Any]], references: Iterable[Reference]) -> None:
        """Takes more in, rows as the tables have them, in any order and any number of times."""
        self._refer(references)
        fresh = list({(row["id"], row["version"]): row for row in deals if not self._has(row)}.values())
        if not fresh:
            return
        columns = self._columns(fresh)
        changed = self.versions.add(columns, len(self.codes.deals))
        for name, target in self._parts().items():
            members: list[int] = []
            ends: list[int] = []
            counts: list[int] = []
            interner = self._members()[name]
            for row in fresh:
                counts.append(len(row[f"{name}_ids"]))
                members.extend(interner.intern(id) for id in row[f"{name}_ids"])
                ends.extend(row[f"{name}_ends"])
            target.add(counts, members, ends)
        if self._cells:
            converting = self.codes.leads.codes(self.references.leads.under_way)
            pairs = np.array(changed, np.int32).reshape(-1, 2)
            self._change_cells(*(self._counting(rows, converting) for rows in (pairs[:, 0], pairs[:, 1])))

    def _refer(self, references: Iterable[Reference]) -> None:
        """Takes up what deals are counted by; those of leads whose conversion began or ended come or go."""
        leads = self.references.leads
        before = set(leads.under_way)
        self.references.add(references)
        if self._cells and before != leads.under_way:
            last, nothing = self.versions.last, np.empty(0, np.int32)
            last = last[last != NONE]
            of_lead = self.versions.lead[last]
            begun, ended = leads.under_way - before, before - leads.under_way
            gone, come = (
                self._counting(last[np.isin(of_lead, self.codes.leads.codes(ids))], nothing)
                for ids in (begun, ended)
            )
            self._change_cells(gone, come)

    def _change_cells(self, former: Rows, present: Rows) -> None:
        if len(former) + len(present) > _WHOLE:
            self._cells.clear()
        tenant = self.at()
        for key, cells in list(self._cells.items()):
            if cells.valued == tenant.valued:
                cells.change(self, former, present, tenant)
            else:
                del self._cells[key]

    def counting(self, rows: Rows) -> Rows:
        """Of some versions those that count: of no deleted deal, and of no lead that is being converted."""
        return self._counting(rows, self.codes.leads.codes(self.references.leads.under_way))

    def _counting(self, rows: Rows, converting: npt.NDArray[np.int32]) -> Rows:
        rows = rows[rows != NONE]
        return self._whole(rows[~self.versions.deleted[rows]], converting)

    def _has(self, row: Mapping[str, Any]) -> bool:
        deal = self.codes.deals.code(row["id"])
        if deal == MISSING or deal >= len(self.versions.last):
            return False
        at = int(self.versions.last[deal])
        while at != NONE and self.versions.version[at] > row["version"]:
            at = int(self.versions.before[at])
        return at != NONE and int(self.versions.version[at]) == row["version"]

    def _columns(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, npt.NDArray[Any]]:
        codes = self.codes
        values: dict[str, list[Any]] = {
            "deal": [codes.deals.intern(row["id"]) for row in rows],
            "version": [row["version"] for row in rows],
            "recorded_at": [microseconds(row["recorded_at"]) for row in rows],
            "effective_at": [microseconds(row["effective_at"]) for row in rows],
            "kind": [row["kind"] for row in rows],
            "state": [row["state"] for row in rows],
            "deleted": [row["deleted"] for row in rows],
            "owner": [codes.users.intern(row["owner_id"]) for row in rows],
            "account": [codes.accounts.intern(row["account_id"]) for row in rows],
            "pipeline": [codes.pipelines.intern(row["pipeline_id"]) for row in rows],
            "stage": [codes.stages.intern(row["stage_id"]) for row in rows],
            "lead": [codes.leads.intern(row["lead_id"]) for row in rows],
            "amount": [row["amount"] or 0 for row in rows],
            "has_amount": [row["amount"] is not None for row in rows],
            "currency": [codes.currencies.code(row["currency"]) for row in rows],
            "category": [row["category"] for row in rows],
            "closes_on": [
                UNDATED if row["closes_on"] == UNDATED_DAY else day_number(row["closes_on"]) for row in rows
            ],
        }
        return {name: np.array(values[name], dtype) for name, dtype in Versions.HEARD.items()}

    def _parts(self) -> dict[str, Parts]:
        return {"product": self.product_lines, "split": self.splits, "overlay": self.overlays}

    def _members(self) -> dict[str, Interner]:
        return {"product": self.codes.products, "split": self.codes.users, "overlay": self.codes.users}


def _keys(deal: npt.NDArray[np.int32], version: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    return (deal.astype(np.int64) << 32) + version


__all__ = ["Book", "Codes", "Ids"]
