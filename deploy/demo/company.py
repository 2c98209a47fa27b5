"""The demo company as the bodies of REST requests, made from one seed and one day.

The same seed and day make the same company to the last id, so that loading it twice changes nothing
and an interrupted load can be begun again.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from deploy.demo import words

CURRENCY: Final = "USD"
SYSTEM: Final = "demo"
DOMAIN: Final = "alder.example"
DAYS: Final = 365
_EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who signs in."""

    id: str
    name: str
    email: str
    role: str
    manager_id: str = ""
    territory_id: str = ""


@dataclass(frozen=True, slots=True)
class Stages:
    """The tenant's pipeline, as the opportunities service says it: ids in order."""

    open: Sequence[str]
    won: str
    lost: str


class Company:
    """What there is, in the order in which it has to be loaded: what is asked for in another order comes
    out otherwise."""

    def __init__(
        self, day: date, *, seed: int = 7, accounts: int = 60, leads: int = 120, deals: int = 400
    ) -> None:
        self.day = day
        self._accounts_wanted, self._leads_wanted, self._deals_wanted = accounts, leads, deals
        self._random = random.Random(seed)
        self._made = 0
        self.tenant_id = self._id()
        self.territories: list[Body] = [
            {"id": self._id(), "name": name, "externalIds": self._external(f"territory {name}")}
            for name in words.TERRITORIES
        ]
        self.people = list(self._people())
        self.reps = [person for person in self.people if person.role == "REP"]
        self.products = list(self._products())
        self.accounts = list(self._accounts())
        self.contacts = list(self._contacts())
        self.leads = list(self._leads())

    @property
    def administrator(self) -> Person:
        return self.people[0]

    @property
    def sign_ins(self) -> list[Person]:
        """One person of each role, for a newcomer to be."""
        return [next(person for person in self.people if person.role == role) for role in _ROLES]

    def exchange_rates(self) -> list[Body]:
        """EUR in the reporting currency, on the first of each month."""
        rate, rows = Decimal("1.08"), []
        first = (self.day - timedelta(days=DAYS + 31)).replace(day=1)
        while first <= self.day:
            rate += Decimal(self._random.randint(-15, 15)) / 1000
            rows.append(
                {"fromCurrency": "EUR", "toCurrency": CURRENCY, "date": as_date(first), "rate": f"{rate:.3f}"}
            )
            first = (first + timedelta(days=32)).replace(day=1)
        return rows

    def user_rows(self) -> list[Body]:
        """Everybody but the administrator, who is there first; managers before their reps."""
        start = as_date(self.day - timedelta(days=DAYS + 60))
        return [
            {
                "user": {
                    "id": person.id,
                    "displayName": person.name,
                    "email": person.email,
                    "roles": [person.role],
                    "externalIds": self._external(person.email),
                },
                "startDate": start,
                **({"managerId": person.manager_id} if person.manager_id else {}),
                **({"territoryId": person.territory_id} if person.territory_id else {}),
            }
            for person in self.people[1:]
        ]

    def deals(self, stages: Stages) -> Iterator[Body]:
        """A year of opportunities with their history, as rows of a batch; and what is open today."""
        choose = self._random
        for number in range(1, self._deals_wanted + 1):
            account = choose.choice(self.accounts)
            opened = self.day - timedelta(days=choose.randint(1, DAYS))
            length = choose.randint(20, 140)
            closes = opened + timedelta(days=length)
            lines = self._lines()
            deal: Body = {
                "id": self._id(),
                "externalIds": self._external(f"deal {number}"),
                "name": f"{account['name']}: {choose.choice(words.DEALS)}",
                "accountId": account["id"],
                "ownerId": account["ownerId"],
                "lineItems": lines,
                "amount": _total(lines),
            }
            passed = self._passed(deal, stages, opened, closes)
            if closes < self.day:
                won = choose.random() < 0.58
                deal |= {"stageId": stages.won if won else stages.lost, "closeDate": as_date(closes)}
                if not won:
                    deal["lostReason"] = choose.choice(words.LOST_REASONS)
                yield {"opportunity": deal, "effectiveTime": _noon(closes), "history": passed}
            else:
                *earlier, latest = passed
                yield {
                    "opportunity": latest["opportunity"]
                    | {"id": deal["id"], "externalIds": deal["externalIds"]},
                    "effectiveTime": latest["effectiveTime"],
                    "history": earlier,
                }

    def quotes(self, deals: Sequence[Body], stages: Stages) -> list[Body]:
        """Quotes for the open deals that are past the middle of the pipeline."""
        late = set(stages.open[len(stages.open) // 2 :])
        open_deals = [row["opportunity"] for row in deals if row["opportunity"]["stageId"] in late]
        return [
            {
                "id": self._id(),
                "opportunityId": deal["id"],
                "accountId": deal["accountId"],
                "ownerId": deal["ownerId"],
                "name": deal["name"],
                "currency": CURRENCY,
                "isPrimary": True,
                "validUntil": as_date(self.day + timedelta(days=30)),
                "lines": [
                    {key: line[key] for key in ("productId", "quantity", "unitPrice")}
                    | {"discountPercent": self._random.choice(("", "5", "7.5", "10"))}
                    for line in deal["lineItems"]
                ],
            }
            for deal in open_deals[:40]
        ]

    def competitors(self) -> list[tuple[Body, list[Body]]]:
        """Who else wants the customers, each with the battle cards against them."""
        found = []
        for name, strengths, weaknesses, cards in words.COMPETITORS:
            competitor = {
                "id": self._id(),
                "externalIds": self._external(f"competitor {name}"),
                "name": name,
                "strengths": [{"text": text} for text in strengths],
                "weaknesses": [{"text": text} for text in weaknesses],
            }
            answers = [
                {
                    "id": self._id(),
                    "competitorId": competitor["id"],
                    "claim": claim,
                    "answer": answer,
                    "evidence": [{"text": evidence}],
                }
                for claim, answer, evidence in cards
            ]
            found.append((competitor, answers))
        return found

    def quotas(self, deals: Sequence[Body], stages: Stages) -> list[Body]:
        """What each rep is to bring in this quarter and the next: a little more than in a quarter of last year."""
        won: dict[str, int] = {}
        for deal in (row["opportunity"] for row in deals):
            if deal["stageId"] == stages.won:
                won[deal["ownerId"]] = won.get(deal["ownerId"], 0) + int(deal["amount"]["units"])
        this = self.day.year * 4 + (self.day.month - 1) // 3
        return [
            {
                "id": self._id(),
                "externalIds": self._external(f"quota {quarter} {rep.email}"),
                "kind": "USER",
                "subjectId": rep.id,
                "periodId": f"{quarter // 4}-Q{quarter % 4 + 1}",
                "amount": money(Decimal(round(won.get(rep.id, 0) * 11 // 40, -3) or 10_000)),
            }
            for quarter in (this, this + 1)
            for rep in self.reps
        ]

    def _passed(self, deal: Body, stages: Stages, opened: date, closes: date) -> list[Body]:
        """The stages that the deal went through until today, in ascending order of time."""
        choose = self._random
        reached = [stages.open[0], *(stage for stage in stages.open[1:] if choose.random() < 0.8)]
        step = max(1, (closes - opened).days // (len(reached) + 1))
        expected = closes + timedelta(days=choose.randint(-20, 20))
        passed = []
        for number, stage in enumerate(reached):
            at = opened + timedelta(days=number * step)
            if at >= self.day:
                break
            state = {key: value for key, value in deal.items() if key not in ("id", "externalIds")}
            passed.append(
                {
                    "opportunity": state | {"stageId": stage, "closeDate": as_date(expected)},
                    "effectiveTime": _noon(at),
                }
            )
        return passed

    def _people(self) -> Iterator[Person]:
        yield self._person("ADMINISTRATOR")
        yield self._person("OPERATIONS")
        heads = [self._person("MANAGER", territory=each["id"]) for each in self.territories]
        yield from heads
        for head in heads:
            for _ in range(4):
                yield self._person("REP", manager=head.id, territory=head.territory_id)

    def _person(self, role: str, *, manager: str = "", territory: str = "") -> Person:
        given = words.GIVEN_NAMES[self._made * 7 % len(words.GIVEN_NAMES)]
        family = words.FAMILY_NAMES[self._made * 11 % len(words.FAMILY_NAMES)]
        return Person(
            id=self._id(),
            name=f"{given} {family}",
            email=f"{ascii_of(given)}.{ascii_of(family)}@{DOMAIN}",
            role=role,
            manager_id=manager,
            territory_id=territory,
        )

    def _products(self) -> Iterator[Body]:
        for code, name, family, price in words.PRODUCTS:
            yield {
                "id": self._id(),
                "externalIds": self._external(code),
                "code": code,
                "name": name,
                "family": family,
                "listPrice": money(Decimal(price)),
            }

    def promotions(self) -> list[Body]:
        """What makes an offer better at the moment."""
        ids = {f"${product['code']}": product["id"] for product in self.products}
        return [
            {
                "code": code,
                "name": name,
                "currency": CURRENCY,
                "externalIds": self._external(f"promotion {code}"),
                **_with_ids(content, ids),
            }
            for code, name, content in words.PROMOTIONS
        ]

    def warehouses(self) -> list[Body]:
        """Where the goods stand."""
        return [
            {
                "code": code,
                "name": name,
                "country": country,
                "location": {"latitude": latitude, "longitude": longitude},
                "externalIds": self._external(f"warehouse {code}"),
            }
            for code, name, country, latitude, longitude in words.WAREHOUSES
        ]

    def stock_levels(self) -> list[Body]:
        """How much of everything that can be touched."""
        return [
            {
                "warehouse": code,
                "product": product["code"],
                "version": "1",
                "onHand": str(20 + place * 60 + index * 7),
            }
            for place, (code, *_) in enumerate(words.WAREHOUSES)
            for index, product in enumerate(self.products)
            if product["family"] in ("Sensors", "Gateways", "Control")
        ]

    def _accounts(self) -> Iterator[Body]:
        choose = self._random
        names = [f"{first} {second}" for first in words.FIRST_WORDS for second in words.SECOND_WORDS]
        for name in choose.sample(names, self._accounts_wanted):
            town, country, code, _ = choose.choice(words.TOWNS)
            yield {
                "id": self._id(),
                "externalIds": self._external(f"account {name}"),
                "name": f"{name} {choose.choice(words.LEGAL_FORMS)}",
                "ownerId": choose.choice(self.reps).id,
                "industry": choose.choice(words.INDUSTRIES),
                "employeeCount": choose.choice((12, 40, 85, 160, 420, 1300)),
                "website": f"https://www.{name.lower().replace(' ', '-')}.example",
                "addresses": [{"kind": "MAIN", "locality": town, "postalCode": code, "countryCode": country}],
            }

    def _contacts(self) -> Iterator[Body]:
        for account in self.accounts:
            for _ in range(self._random.randint(1, 3)):
                yield {
                    **self._somebody(account["name"]),
                    "accountId": account["id"],
                    "ownerId": account["ownerId"],
                }

    def _leads(self) -> Iterator[Body]:
        choose = self._random
        for _ in range(self._leads_wanted):
            company = f"{choose.choice(words.FIRST_WORDS)} {choose.choice(words.SECOND_WORDS)}"
            state = choose.choices(("NEW", "WORKING", "QUALIFIED", "DISQUALIFIED"), (4, 3, 2, 2))[0]
            yield {
                **self._somebody(company),
                "companyName": company,
                "source": choose.choice(words.SOURCES),
                "industry": choose.choice(words.INDUSTRIES),
                "ownerId": choose.choice(self.reps).id,
                "estimatedAmount": money(Decimal(choose.randint(4, 90) * 500)),
                "state": state,
                **(
                    {"disqualifyReason": choose.choice(words.UNFIT_REASONS)}
                    if state == "DISQUALIFIED"
                    else {}
                ),
            }

    def _somebody(self, company: str) -> Body:
        choose = self._random
        given, family = choose.choice(words.GIVEN_NAMES), choose.choice(words.FAMILY_NAMES)
        _, country, _, phone = choose.choice(words.TOWNS)
        id = self._id()
        return {
            "id": id,
            "externalIds": self._external(id),
            "givenName": given,
            "familyName": family,
            "title": choose.choice(words.TITLES),
            "emails": [
                {
                    "address": f"{ascii_of(given)}.{ascii_of(family)}@{ascii_of(company).replace(' ', '-')}.example",
                    "kind": "WORK",
                }
            ],
            "phones": [{"number": f"{phone}{choose.randint(10, 99)}", "kind": "WORK", "regionCode": country}],
        }

    def _lines(self) -> list[Body]:
        choose = self._random
        return [
            {
                "productId": product["id"],
                "quantity": str(choose.randint(1, 20 if product["family"] in ("Sensors", "Gateways") else 3)),
                "unitPrice": product["listPrice"],
            }
            for product in choose.sample(self.products, choose.randint(1, 4))
        ]

    def _external(self, id: str) -> list[Body]:
        return [{"system": SYSTEM, "id": id}]

    def _id(self) -> str:
        """A UUIDv7 whose time is a counter."""
        self._made += 1
        milliseconds = int(_EPOCH.timestamp() * 1000) + self._made
        chance = self._random.getrandbits(74)
        number = milliseconds << 80 | 0x7 << 76 | (chance >> 62) << 64 | 0b10 << 62 | chance & (1 << 62) - 1
        return str(UUID(int=number))


_ROLES: Final = ("ADMINISTRATOR", "OPERATIONS", "MANAGER", "REP")


def money(amount: Decimal, currency: str = CURRENCY) -> Body:
    """`google.type.Money` as JSON."""
    units = int(amount)
    return {"currencyCode": currency, "units": str(units), "nanos": int((amount - units) * 1_000_000_000)}


def _with_ids(content: Any, ids: Mapping[str, str]) -> Any:
    """The same with ids for what stands for them."""
    if isinstance(content, dict):
        return {key: _with_ids(value, ids) for key, value in content.items()}
    if isinstance(content, list):
        return [_with_ids(value, ids) for value in content]
    return ids.get(content, content) if isinstance(content, str) else content


def as_date(day: date) -> Body:
    """`google.type.Date` as JSON."""
    return {"year": day.year, "month": day.month, "day": day.day}


def ascii_of(name: str) -> str:
    """A name as it stands in an address."""
    plain = name.lower().translate(str.maketrans("ıøžřáéíóúüäöëñ", "iozraeiouuaoen"))
    return "".join(letter for letter in plain if letter.isascii() and (letter.isalnum() or letter == " "))


def _noon(day: date) -> str:
    return f"{day.isoformat()}T12:00:00Z"


def _total(lines: Sequence[Body]) -> Body:
    return money(
        sum((Decimal(line["unitPrice"]["units"]) * Decimal(line["quantity"]) for line in lines), Decimal())
    )
