"""The quotes service, and the opportunities service that it asks, on real engines."""

import pytest

from tests.quotes.service import Shop
from tests.stack import Stack


@pytest.fixture
async def running(stack: Stack) -> Stack:
    """Both services."""
    await stack.start("opportunities", "quotes")
    return stack


@pytest.fixture
def shop(running: Stack) -> Shop:
    """The services as the test's caller sees them."""
    return Shop(running)


@pytest.fixture
def office(running: Stack) -> Shop:
    """The services as sales operations see them."""
    return Shop(running, "operations")
