"""Loads the demo company through the public REST API, once, into a database that was just made."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import grpc
from sfa.identity.v1 import organisation_pb2 as pb
from sfa.identity.v1 import organisation_pb2_grpc as stubs

from deploy.demo.company import CURRENCY, Body, Company, Stages
from deploy.importing.client import Api, Problem, SignIn
from deploy.installation import Installation
from deploy.topology import address
from deploy.troubles import Trouble

_BATCH: Final = 250
Say = Callable[[str], None]


class DemoNotLoaded(Trouble):
    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"The demo company could not be loaded ({what}): {reason}")


class Demo:
    """The demo company of one installation, and how far it has been loaded.

    The data folder keeps the day that the company was made for, so that a load which was interrupted
    is gone on with, and one that is complete is not repeated.
    """

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self._file: Path = installation.settings.folder / "demo.json"

    @property
    def company(self) -> Company | None:
        """The company, if one was begun."""
        state = self._state()
        return Company(date.fromisoformat(state["day"])) if state else None

    @property
    def is_wanted(self) -> bool:
        """Whether something is left to be loaded."""
        state = self._state()
        return state is not None and not state["loaded"]

    def begin(self) -> None:
        """Notes that the database is empty and the company is to be loaded."""
        if self._state() is None:
            self._note(datetime.now(UTC).date(), loaded=False)

    async def load(self, say: Say) -> None:
        """Loads what is not there yet.

        Raises:
            DemoNotLoaded: the system refused something.
        """
        company = self.company
        assert company is not None
        password = self.installation.demo_password
        try:
            await self._provision(company)
            sign_in = SignIn(user=company.administrator.email, password=password)
            async with Api(self.installation.url, sign_in) as api:
                await _Loading(api, company, password, say).run()
        except Problem as problem:
            raise DemoNotLoaded("a request was refused", f"{problem} {problem.errors or ''}") from problem
        self._note(company.day, loaded=True)

    async def _provision(self, company: Company) -> None:
        """Makes the tenant and its administrator: what only the operator can do, and REST does not."""
        person = company.administrator
        request = pb.ProvisionTenantRequest(
            bootstrap_secret=self.installation.bootstrap_secret.get_secret_value(),
            tenant=pb.Tenant(id=company.tenant_id, name="Alder Instruments", reporting_currency=CURRENCY),
            administrator=pb.User(
                id=person.id, display_name=person.name, email=person.email, roles=[pb.ADMINISTRATOR]
            ),
            password=self.installation.demo_password,
        )
        async with grpc.aio.insecure_channel(address("identity", self.installation.settings)) as channel:
            try:
                await stubs.TenantServiceStub(channel).ProvisionTenant(
                    request, timeout=20, wait_for_ready=True
                )
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.ALREADY_EXISTS:
                    raise DemoNotLoaded("its tenant", error.details() or error.code().name) from error

    def _state(self) -> dict[str, Any] | None:
        return json.loads(self._file.read_text()) if self._file.exists() else None

    def _note(self, day: date, *, loaded: bool) -> None:
        self._file.write_text(json.dumps({"day": day.isoformat(), "loaded": loaded}))


class _Loading:
    """One load, in the order in which things need each other."""

    def __init__(self, api: Api, company: Company, password: str, say: Say) -> None:
        self.api = api
        self.company = company
        self.password = password
        self.say = say

    async def run(self) -> None:
        company = self.company
        self.say("people and territories")
        await self._rows("territories", [{"territory": each} for each in company.territories])
        await self._rows("users", company.user_rows())
        self.say("sign-ins")
        for person in company.sign_ins[1:]:
            await self.api.post(f"/v1/users/{person.id}:setPassword", {"newPassword": self.password})
        await self._rows("exchangeRates", [{"exchangeRate": each} for each in company.exchange_rates()])
        self.say("products and accounts")
        await self._rows("products", [{"product": each} for each in company.products])
        await self._rows("accounts", [{"account": each} for each in company.accounts])
        await asyncio.gather(
            self._rows("contacts", [{"contact": each} for each in company.contacts]),
            self._rows("leads", [{"lead": each} for each in company.leads]),
        )
        self.say("a year of opportunities")
        stages = await self._stages()
        deals = list(company.deals(stages))
        await self._rows("opportunities", deals)
        self.say("competitors and quotas")
        for competitor, cards in company.competitors():
            await self.api.post("/v1/competitors", competitor, key=f"demo-{competitor['id']}")
            for card in cards:
                await self.api.post("/v1/battleCards", card, key=f"demo-{card['id']}")
        await self._rows("quotas", [{"quota": each} for each in company.quotas(deals, stages)])
        self.say("quotes")
        await self._quotes(company.quotes(deals, stages))
        self.say("promotions and stock")
        await self._promotions()
        for warehouse in company.warehouses():
            await self.api.post("/v1/warehouses", warehouse, key=f"demo-warehouse-{warehouse['code']}")
        await self._rows("stockLevels", company.stock_levels())

    async def _promotions(self) -> None:
        """Makes the promotions and has them hold; they came after the quotes."""
        for promotion in self.company.promotions():
            key = f"demo-promotion-{promotion['code']}"
            made = await self.api.post("/v1/promotions", promotion, key=key)
            await self.api.post(f"/v1/promotions/{made['id']}:activate", {}, key=f"{key}-activate")

    async def _stages(self) -> Stages:
        pipeline = (await self.api.get("/v1/pipelines"))["pipelines"][0]
        kinds = [(stage["kind"], stage["id"]) for stage in pipeline["stages"]]
        return Stages(
            open=[id for kind, id in kinds if kind == "OPEN"],
            won=next(id for kind, id in kinds if kind == "WON"),
            lost=next(id for kind, id in kinds if kind == "LOST"),
        )

    async def _quotes(self, quotes: Sequence[Body]) -> None:
        """Makes the quotes; sends three in four, and has some of those accepted, which wins their deals."""
        for number, quote in enumerate(quotes):
            key = f"demo-{quote['id']}"
            made = await self.api.post("/v1/quotes", quote, key=key)
            if number % 4:
                await self.api.post(f"/v1/quotes/{made['id']}:send", {}, key=f"{key}-send")
            if number % 8 == 1:
                await self.api.post(f"/v1/quotes/{made['id']}:accept", {}, key=f"{key}-accept")

    async def _rows(self, collection: str, rows: Sequence[Body]) -> None:
        for start in range(0, len(rows), _BATCH):
            batch = list(rows[start : start + _BATCH])
            answer = await self.api.post(f"/v1/{collection}:batchUpsert", {"rows": batch})
            for result in answer["results"]:
                if result["outcome"] == "REJECTED":
                    raise DemoNotLoaded(collection, f"{result.get('error')} ({result.get('field')})")
