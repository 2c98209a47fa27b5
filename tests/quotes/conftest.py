"""The quotes service, and the opportunities service that it asks, on real engines."""

import pytest

from tests.conftest import Join
from tests.quotes.service import Shop
from tests.stack import Stack


@pytest.fixture
async def running(shared: Join) -> Stack:
    """Both services."""
    return await shared("opportunities", "quotes")


@pytest.fixture
def shop(running: Stack) -> Shop:
    """The services as the test's caller sees them."""
    return Shop(running)


@pytest.fixture
def office(running: Stack) -> Shop:
    """The services as sales operations see them."""
    return Shop(running, "operations")
