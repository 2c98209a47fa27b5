"""Why a step in the life of a quote is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chassis.errors import FailedPrecondition, InvalidArgument

if TYPE_CHECKING:
    from services.quotes.domain.quotes import Quote


class QuoteNotDraft(FailedPrecondition):
    """Only a draft can be changed, sent or deleted."""

    def __init__(self, quote: Quote) -> None:
        super().__init__(
            f"Quote {quote.number} is {quote.state.value}, no longer a draft; revise it instead."
        )


class QuoteNotInApproval(FailedPrecondition):
    """Only what was submitted can be approved or recalled."""

    def __init__(self, quote: Quote) -> None:
        super().__init__(f"Quote {quote.number} is {quote.state.value}: it is not in approval.")


class QuoteAwaitsApproval(FailedPrecondition):
    """What is in approval is not sent before it is approved."""

    def __init__(self, quote: Quote) -> None:
        super().__init__(f"Quote {quote.number} is in approval and has not been approved yet.")


class QuoteNotSent(FailedPrecondition):
    """Only a quote that the customer has can be accepted or rejected."""

    def __init__(self, quote: Quote) -> None:
        super().__init__(f"Quote {quote.number} is {quote.state.value}: only a sent quote can be decided on.")


class QuoteEnded(FailedPrecondition):
    """The quote is accepted, rejected, expired, cancelled or superseded."""

    def __init__(self, quote: Quote) -> None:
        super().__init__(f"Quote {quote.number} is {quote.state.value} already.")


class QuoteOutOfDate(FailedPrecondition):
    """The quote's validity has passed."""

    def __init__(self, quote: Quote) -> None:
        super().__init__(f"Quote {quote.number} was valid until {quote.valid_until}.", field="valid_until")


class QuoteEmpty(FailedPrecondition):
    """A quote without lines offers nothing."""

    def __init__(self, quote: Quote) -> None:
        super().__init__(f"Quote {quote.number} has no lines.", field="lines")


class QuoteNotRevisable(FailedPrecondition):
    """What the customer has not had is changed, and what was accepted stands."""

    def __init__(self, quote: Quote) -> None:
        super().__init__(f"Quote {quote.number} is {quote.state.value} and cannot be revised.")


class QuoteRevised(FailedPrecondition):
    """A quote has one next revision."""

    def __init__(self, quote: Quote) -> None:
        super().__init__(f"Quote {quote.number} revision {quote.revision} has been revised already.")


class PrimaryQuoteStands(FailedPrecondition):
    """Once the primary quote is accepted, no other takes its place."""

    def __init__(self, primary: Quote) -> None:
        super().__init__(f"Quote {primary.number} is the primary one and has been accepted.")


class CurrencyUnknown(InvalidArgument):
    """Neither the quote nor its opportunity says in which currency."""

    def __init__(self) -> None:
        super().__init__(
            "The opportunity has no amount yet: state the quote's currency.", field="quote.currency"
        )
