"""What was won and lost: one short method for each RPC."""

from uuid import UUID

from sfa.opportunities.v1 import competitors_pb2 as pb

from chassis.call import Call
from chassis.convert import date_of, set_date, uuid_of
from services.opportunities.domain.win_loss import WinLossBy, WinLossQuestion
from services.opportunities.store.pipelines import PipelineStore
from services.opportunities.store.tenant_settings import tenant_of
from services.opportunities.store.win_loss import WinLossStore
from services.opportunities.wire.win_loss import DIMENSIONS, figures_to_proto


class WinLossServicer:
    """What was won and lost."""

    async def GetWinLoss(self, request: pb.GetWinLossRequest, call: Call) -> pb.WinLoss:
        asked = WinLossQuestion.of(
            [DIMENSIONS[each] for each in request.group_by],
            date_of(request.from_date, "from_date") if request.HasField("from_date") else None,
            date_of(request.to_date, "to_date") if request.HasField("to_date") else None,
            (await tenant_of(call)).day(call.now),
            uuid_of(request.pipeline_id),
            uuid_of(request.competitor_id),
            request.max_groups,
        )
        store = WinLossStore(call)
        groups, has_more, total = await store.figures(asked)
        names = await self._names(call, store, asked, [keys for keys, _ in groups])
        answer = pb.WinLoss(total=figures_to_proto(total), has_more=has_more)
        set_date(answer.from_date, asked.from_date)
        set_date(answer.to_date, asked.to_date)
        for keys, figures in groups:
            answer.groups.add(
                keys=keys, names=[names.get(key, "") for key in keys], figures=figures_to_proto(figures)
            )
        return answer

    async def _names(
        self, call: Call, store: WinLossStore, asked: WinLossQuestion, groups: list[tuple[str, ...]]
    ) -> dict[str, str]:
        """What the competitors and stages among the keys are called."""
        names: dict[str, str] = {}
        for index, dimension in enumerate(asked.group_by):
            keys = {group[index] for group in groups if group[index]}
            if dimension is WinLossBy.COMPETITOR:
                names |= await store.names_of_competitors(list(map(UUID, keys)))
            elif dimension is WinLossBy.STAGE and keys:
                for pipeline in await PipelineStore(call).all():
                    stages = (*pipeline.stages, *pipeline.retired_stages)
                    names |= {str(stage.id): stage.name for stage in stages}
        return names
