"""Who calculates the tax on a quote: this service by the tenant's own rates, or a service outside.

A calculator takes a `TaxQuestion` and answers with a `Taxation`. The one outside is asked by HTTP:

    POST <url>   {"id", "currency", "region", "date", "account_id", "prices_include_tax", "rounding",
                  "lines": [{"id", "amount", "tax_class", "product_id"}]}
    200          {"lines": [{"id", "percent", "amount"}],
                  "taxes": [{"name", "percent", "base", "amount"}], "is_exempt": false}

All numbers are decimals written as text. The amounts of `lines` add up to those of `taxes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Protocol
from uuid import UUID

import httpx
import orjson
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from chassis.call import Call
from chassis.errors import FailedPrecondition, Unavailable
from chassis.money import minor_unit
from services.quotes.domain.taxation import LineTax, TaxAmount, Taxation, TaxQuestion
from services.quotes.domain.taxes import Calculator, built_in_tax
from services.quotes.store import TaxExemptionStore, TaxRateStore

_MOST_BYTES: Final = 1_000_000


class TaxServiceAway(Unavailable):
    """The outside service gives no answer in time. Nothing is priced without it."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The tax service gives no answer ({why}): try again, or have tax calculated here.")


class TaxServiceNotSet(FailedPrecondition):
    """The tenant wants tax calculated outside, and this installation knows of no such service."""

    def __init__(self) -> None:
        super().__init__("This installation is set up with no outside tax service.", field="calculator")


class TaxServiceAnswerUnusable(Unavailable):
    """The outside service's answer does not add up."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The tax service's answer cannot be used: {why}.")


class OutsideTaxSettings(BaseSettings):
    """Where the outside service is; read once, from `SFA_TAX_…` variables."""

    model_config = SettingsConfigDict(env_prefix="SFA_TAX_", frozen=True, extra="ignore")

    url: str = ""
    """Where questions are posted to; empty where there is no such service."""
    token: SecretStr = SecretStr("")
    """Sent as a bearer token, where it is set."""
    timeout_seconds: float = Field(2.0, gt=0, le=30)


class TaxCalculator(Protocol):
    """Who answers a question about tax."""

    is_local: bool
    """Whether asking costs next to nothing, so that it may be asked for rates before prices are known."""

    async def calculate(self, call: Call, question: TaxQuestion) -> Taxation:
        """What is due.

        Raises:
            TaxRateMissing: nobody knows a rate.
            TaxServiceNotSet, TaxServiceAway, TaxServiceAnswerUnusable: there is no answer.
        """
        ...


class BuiltInTax:
    """By the tenant's rates and exemptions."""

    is_local = True

    async def calculate(self, call: Call, question: TaxQuestion) -> Taxation:
        """What is due. See `TaxCalculator`."""
        rates = await TaxRateStore(call).of_region(question.region, question.day)
        exemptions = (
            await TaxExemptionStore(call).of_account(question.account_id) if question.account_id else []
        )
        return built_in_tax(question, rates, exemptions)


@dataclass(frozen=True)
class OutsideTax:
    """By a service that is asked by HTTP."""

    settings: OutsideTaxSettings
    is_local = False

    async def calculate(self, call: Call, question: TaxQuestion) -> Taxation:
        """What is due. See `TaxCalculator`."""
        if not self.settings.url:
            raise TaxServiceNotSet
        headers = {"content-type": "application/json"}
        if token := self.settings.token.get_secret_value():
            headers["authorization"] = f"Bearer {token}"
        timeout = self.settings.timeout_seconds
        try:
            async with httpx.AsyncClient(timeout=timeout, follow_redirects=False, trust_env=False) as client:
                answer = await client.post(
                    self.settings.url, content=orjson.dumps(_asked(call, question)), headers=headers
                )
        except httpx.TimeoutException as error:
            raise TaxServiceAway(f"none within {timeout:g} seconds") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise TaxServiceAway(type(error).__name__) from error
        if answer.status_code != httpx.codes.OK:
            raise TaxServiceAway(f"status {answer.status_code}")
        if len(answer.content) > _MOST_BYTES:
            raise TaxServiceAnswerUnusable("it is too long")
        try:
            taxation = _answered(orjson.loads(answer.content))
        except (ValueError, KeyError, TypeError, AttributeError, InvalidOperation) as error:
            raise TaxServiceAnswerUnusable("it is not of the agreed form") from error
        _check(question, taxation)
        return taxation


class TaxCalculators:
    """The calculators that a tenant may choose from."""

    def __init__(self, outside: TaxCalculator) -> None:
        self._by_name: dict[Calculator, TaxCalculator] = {
            Calculator.BUILT_IN: BuiltInTax(),
            Calculator.OUTSIDE: outside,
        }

    def __getitem__(self, calculator: Calculator) -> TaxCalculator:
        return self._by_name[calculator]


def _asked(call: Call, question: TaxQuestion) -> dict[str, Any]:
    return {
        "id": call.request_id or "",
        "currency": question.currency,
        "region": question.region,
        "date": question.day.isoformat(),
        "account_id": str(question.account_id) if question.account_id else "",
        "prices_include_tax": question.prices_include_tax,
        "rounding": question.rounding.value,
        "lines": [
            {
                "id": str(line.id),
                "amount": f"{line.amount:f}",
                "tax_class": line.tax_class,
                "product_id": str(line.product_id) if line.product_id else "",
            }
            for line in question.lines
        ],
    }


def _answered(answer: Any) -> Taxation:
    lines = {
        UUID(line["id"]): LineTax(_number(line["percent"]), _number(line["amount"]))
        for line in answer["lines"]
    }
    taxes = tuple(
        TaxAmount(
            str(tax["name"])[:100], _number(tax["percent"]), _number(tax["base"]), _number(tax["amount"])
        )
        for tax in answer["taxes"]
    )
    return Taxation(lines, taxes, bool(answer.get("is_exempt", False)))


def _number(text: Any) -> Decimal:
    if not isinstance(text, str):
        raise TypeError("numbers are written as text")
    number = Decimal(text)
    if not number.is_finite() or abs(number) >= Decimal(10) ** 15:
        raise ValueError("not a number of reasonable size")
    return number


def _check(question: TaxQuestion, taxation: Taxation) -> None:
    if {line.id for line in question.lines} != set(taxation.lines):
        raise TaxServiceAnswerUnusable("it is not about the lines that were asked about")
    amounts = [line.amount for line in taxation.lines.values()]
    unit = minor_unit(question.currency)
    if any(amount < 0 or amount % unit for amount in amounts):
        raise TaxServiceAnswerUnusable(f"its amounts are not whole minor units of {question.currency}")
    if sum(amounts) != sum(tax.amount for tax in taxation.taxes):
        raise TaxServiceAnswerUnusable("its lines do not add up to its taxes")
    if question.prices_include_tax and any(
        taxation.lines[line.id].amount > line.amount for line in question.lines
    ):
        raise TaxServiceAnswerUnusable("a line has more tax in it than it costs")
