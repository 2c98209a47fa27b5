"""How prices came about, to the protos."""

from sfa.quotes.v1 import quotes_pb2 as pb

from chassis import convert
from services.quotes.domain.explanations import Explanation
from services.quotes.domain.quotes import Quote


def explanation_to_proto(quote: Quote, kept: tuple[int, Explanation] | None) -> pb.ExplainQuoteResponse:
    """The answer, in the order of the quote's lines; empty for a quote that was priced before they were kept."""
    result = pb.ExplainQuoteResponse()
    if kept is None:
        return result
    version, explanation = kept
    result.etag = str(version)
    for line in quote.lines:
        item = result.lines.add(line_id=str(line.id))
        for step in explanation.lines.get(line.id, ()):
            target = item.steps.add(kind=step.kind, text=step.text, promotion_id=step.promotion_id)
            convert.set_money(target.amount, quote.money(step.amount))
            convert.set_money(target.after, quote.money(step.after))
    for unused in explanation.unused:
        result.unused.add(promotion_id=unused.promotion_id, name=unused.name, reason=unused.reason)
    result.next.extend(explanation.next)
    convert.set_money(result.gap, quote.money(explanation.gap))
    return result
