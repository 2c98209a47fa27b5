"""What changed in the forecast between two instants, for one request."""

from dataclasses import dataclass, fields, replace
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp
from sfa.forecast.v1 import changes_pb2 as pb

from chassis import sight
from chassis.call import Call
from chassis.fields import Field
from chassis.paging import Keyset, Order, Term
from chassis.store import DEFAULT_PAGE
from services.forecast.book import Books
from services.forecast.domain.trees import ALL
from services.forecast.store import HistoryStore
from services.forecast.tables import deal_versions
from services.forecast.waterfall.answers import Behind, Waterfall
from services.forecast.waterfall.asked import Asked, Request
from services.forecast.waterfall.reasons import Reason
from services.forecast.wire.changes import changed_deals_to_proto, waterfall_to_proto

_LEVELS = 1
_ORDER = Order(
    [
        Term("id", Field.of(deal_versions.c.id, nullable=False, sortable=True), descending=False),
        Term("reason", Field.of(deal_versions.c.kind, nullable=False, sortable=True), descending=False),
    ]
)


@dataclass(frozen=True, slots=True)
class Known:
    """By when what an answer is made of was recorded."""

    as_of: Timestamp
    hierarchy: int
    require_final: bool
    effective_as_of: Timestamp


def known_by(request: pb.GetForecastChangesRequest) -> Known:
    """What has to be heard for an answer to be final: all that was recorded up to its closing."""
    is_effective = request.axis == pb.ForecastWaterfall.EFFECTIVE
    as_of = request.as_of if is_effective else request.closing_time
    return Known(as_of, request.hierarchy, request.require_final, Timestamp())


class ForecastChanges:
    """Answers what changed, for one caller."""

    def __init__(self, call: Call, books: Books) -> None:
        self.call, self.books = call, books

    async def answer(self, request: pb.GetForecastChangesRequest) -> pb.ForecastWaterfall:
        """The waterfall, without watermarks.

        Raises:
            OpeningAfterClosing, ClosingInFuture, KnowledgeNotAsked, PeriodUnknown, NodeNotFound: the
                request is wrong.
            SettingsUnknown: the tenant's settings have not been heard.
        """
        waterfall = await self._waterfall(request)
        depth = request.depth if request.HasField("depth") else _LEVELS
        answer = waterfall.answer(request.node_id or ALL, depth, path=request.path)
        return waterfall_to_proto(answer, waterfall.asked, path=request.path)

    async def page(self, request: pb.ListForecastChangedDealsRequest) -> pb.ListForecastChangedDealsResponse:
        """A page of the deals behind a bar, in order of their ids.

        Raises:
            OpeningAfterClosing, ClosingInFuture, KnowledgeNotAsked, PeriodUnknown, NodeNotFound,
            PageTokenInvalid: the request is wrong.
        """
        bare = pb.ListForecastChangedDealsRequest()
        bare.CopyFrom(request)
        bare.page_token, bare.page_size = "", 0
        keyset, size = Keyset(_ORDER, bare.SerializeToString(deterministic=True).hex()), request.page_size
        after = keyset.values(request.page_token)
        waterfall, size = await self._waterfall(request), size or DEFAULT_PAGE
        reason = Reason(request.reason) if request.reason else None
        behind = waterfall.behind(request.node_id or ALL, reason, path=request.path)
        begin = _place_after(waterfall, behind, after[0], after[1]) if after else 0
        shown = _part(behind, begin, begin + size)
        codes, versions = waterfall.book.codes.deals, waterfall.book.versions
        ids = codes.ids(shown.deal.tolist())
        rows = [now if now >= 0 else was for was, now in zip(shown.opening, shown.closing, strict=True)]
        named = [(id, int(versions.version[row])) for id, row in zip(ids, rows, strict=True)]
        names = await HistoryStore(self.call).names(named)
        token = ""
        if len(behind.deal) > begin + size:
            token = keyset.token({"id": ids[-1], "kind": int(shown.reason[-1])})
        return pb.ListForecastChangedDealsResponse(
            deals=changed_deals_to_proto(waterfall, shown, names), next_page_token=token
        )

    async def _waterfall(self, request: Request) -> Waterfall:
        within = (await sight.owners_within(self.call)).within
        book = await self.books.of(self.call)
        return Waterfall(book, Asked.of(request, book, self.call.now, within))


def _place_after(waterfall: Waterfall, behind: Behind, id: UUID, reason: int) -> int:
    """Where the deals behind one of them begin."""
    codes, low, high = waterfall.book.codes.deals, 0, len(behind.deal)
    while low < high:
        middle = (low + high) // 2
        if (codes.id(int(behind.deal[middle])), int(behind.reason[middle])) <= (id, reason):
            low = middle + 1
        else:
            high = middle
    return low


def _part(behind: Behind, begin: int, end: int) -> Behind:
    return replace(behind, **{each.name: getattr(behind, each.name)[begin:end] for each in fields(behind)})
