"""Systems outside that may send events in: each is a user of the broker with its own subjects, and no more."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from chassis.ids import new_id
from deploy.installation import Installation
from deploy.settings import Sender, Settings


def test_a_sender_publishes_its_own_types_for_its_own_tenant(tmp_path: Path) -> None:
    tenant = new_id()
    types = ("sfa.erp.v1.StockLevelReported", "sfa.erp.v1.ShipmentReported")
    senders = {"erp-one": Sender(tenant=tenant, types=types), "quotes": Sender(tenant=tenant)}
    server = Installation(Settings(data=tmp_path, senders=senders)).nats
    assert server is not None
    (user,) = [user for user in server.users if user.name == "erp-one"]
    assert list(user.publish) == [f"erp.{tenant}.{each}" for each in types]
    assert list(user.subscribe) == ["_INBOX_erp-one.>"]
    names = [user.name for user in server.users]
    assert len(names) == len(set(names)), "no sender takes a service's name"


def test_a_sender_cannot_have_the_types_of_others() -> None:
    for kind in ("sfa.quotes.v1.QuoteAccepted", ">", "*", "sfa.erp.v1.>"):
        with pytest.raises(ValidationError):
            Sender(tenant=new_id(), types=(kind,))
