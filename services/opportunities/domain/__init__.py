"""What opportunities, pipelines and quote settings may do."""

from services.opportunities.domain.buying_roles import (
    BuyingRole as BuyingRole,
)
from services.opportunities.domain.buying_roles import (
    ContactRole as ContactRole,
)
from services.opportunities.domain.buying_roles import (
    ContactTwice as ContactTwice,
)
from services.opportunities.domain.competition import (
    CompetitorTwice as CompetitorTwice,
)
from services.opportunities.domain.competition import (
    DealCompetitor as DealCompetitor,
)
from services.opportunities.domain.competition import (
    Threat as Threat,
)
from services.opportunities.domain.competition import (
    check_competitors as check_competitors,
)
from services.opportunities.domain.competition import (
    with_competitor as with_competitor,
)
from services.opportunities.domain.details import (
    DETAILS as DETAILS,
)
from services.opportunities.domain.details import (
    PLAIN as PLAIN,
)
from services.opportunities.domain.details import (
    CustomDate as CustomDate,
)
from services.opportunities.domain.details import (
    CustomDateTwice as CustomDateTwice,
)
from services.opportunities.domain.details import (
    Details as Details,
)
from services.opportunities.domain.details import (
    TagEmpty as TagEmpty,
)
from services.opportunities.domain.details import (
    TooMany as TooMany,
)
from services.opportunities.domain.gates import (
    GateNotPassed as GateNotPassed,
)
from services.opportunities.domain.gates import (
    GatesHold as GatesHold,
)
from services.opportunities.domain.gates import (
    MoveNotAllowed as MoveNotAllowed,
)
from services.opportunities.domain.gates import (
    Unmet as Unmet,
)
from services.opportunities.domain.merging import (
    AccountsDiffer as AccountsDiffer,
)
from services.opportunities.domain.merging import (
    AmountMissing as AmountMissing,
)
from services.opportunities.domain.merging import (
    LineShort as LineShort,
)
from services.opportunities.domain.merging import (
    MergedDealClosed as MergedDealClosed,
)
from services.opportunities.domain.merging import (
    MergedWithItself as MergedWithItself,
)
from services.opportunities.domain.merging import (
    Part as Part,
)
from services.opportunities.domain.merging import (
    PartEmpty as PartEmpty,
)
from services.opportunities.domain.merging import (
    PartLine as PartLine,
)
from services.opportunities.domain.merging import (
    PartNeedsLines as PartNeedsLines,
)
from services.opportunities.domain.merging import (
    PartsExceed as PartsExceed,
)
from services.opportunities.domain.merging import (
    merge as merge,
)
from services.opportunities.domain.merging import (
    split as split,
)
from services.opportunities.domain.opportunities import (
    AmountDiffersFromLines as AmountDiffersFromLines,
)
from services.opportunities.domain.opportunities import (
    AmountTooLarge as AmountTooLarge,
)
from services.opportunities.domain.opportunities import (
    LineItem as LineItem,
)
from services.opportunities.domain.opportunities import (
    LostReasonMissing as LostReasonMissing,
)
from services.opportunities.domain.opportunities import (
    MergedAway as MergedAway,
)
from services.opportunities.domain.opportunities import (
    NameMissing as NameMissing,
)
from services.opportunities.domain.opportunities import (
    NothingProposed as NothingProposed,
)
from services.opportunities.domain.opportunities import (
    Opportunity as Opportunity,
)
from services.opportunities.domain.opportunities import (
    OpportunityClosed as OpportunityClosed,
)
from services.opportunities.domain.opportunities import (
    OpportunityCreated as OpportunityCreated,
)
from services.opportunities.domain.opportunities import (
    OpportunityDeleted as OpportunityDeleted,
)
from services.opportunities.domain.opportunities import (
    OpportunityLost as OpportunityLost,
)
from services.opportunities.domain.opportunities import (
    OpportunityMerged as OpportunityMerged,
)
from services.opportunities.domain.opportunities import (
    OpportunityMoved as OpportunityMoved,
)
from services.opportunities.domain.opportunities import (
    OpportunityOpen as OpportunityOpen,
)
from services.opportunities.domain.opportunities import (
    OpportunityOrderNoticed as OpportunityOrderNoticed,
)
from services.opportunities.domain.opportunities import (
    OpportunityReopened as OpportunityReopened,
)
from services.opportunities.domain.opportunities import (
    OpportunitySplit as OpportunitySplit,
)
from services.opportunities.domain.opportunities import (
    OpportunityUndeleted as OpportunityUndeleted,
)
from services.opportunities.domain.opportunities import (
    OpportunityUpdated as OpportunityUpdated,
)
from services.opportunities.domain.opportunities import (
    OpportunityWon as OpportunityWon,
)
from services.opportunities.domain.opportunities import (
    QuoteProposal as QuoteProposal,
)
from services.opportunities.domain.opportunities import (
    StageNotOpen as StageNotOpen,
)
from services.opportunities.domain.pipelines import (
    ExitCriterion as ExitCriterion,
)
from services.opportunities.domain.pipelines import (
    ForecastCategory as ForecastCategory,
)
from services.opportunities.domain.pipelines import (
    ForecastCategoryFixed as ForecastCategoryFixed,
)
from services.opportunities.domain.pipelines import (
    Pipeline as Pipeline,
)
from services.opportunities.domain.pipelines import (
    PipelineCreated as PipelineCreated,
)
from services.opportunities.domain.pipelines import (
    PipelineIncomplete as PipelineIncomplete,
)
from services.opportunities.domain.pipelines import (
    PipelineScopeTaken as PipelineScopeTaken,
)
from services.opportunities.domain.pipelines import (
    PipelineUpdated as PipelineUpdated,
)
from services.opportunities.domain.pipelines import (
    Stage as Stage,
)
from services.opportunities.domain.pipelines import (
    StageInUse as StageInUse,
)
from services.opportunities.domain.pipelines import (
    StageMapWrong as StageMapWrong,
)
from services.opportunities.domain.pipelines import (
    StageNotFound as StageNotFound,
)
from services.opportunities.domain.pipelines import (
    State as State,
)
from services.opportunities.domain.pipelines import (
    TooManyRetiredStages as TooManyRetiredStages,
)
from services.opportunities.domain.pipelines import (
    WinGate as WinGate,
)
from services.opportunities.domain.pipelines import (
    starting_pipeline as starting_pipeline,
)
from services.opportunities.domain.quote_links import (
    OrderNotice as OrderNotice,
)
from services.opportunities.domain.quote_links import (
    OrderNotNoticed as OrderNotNoticed,
)
from services.opportunities.domain.quote_links import (
    OrderOutcome as OrderOutcome,
)
from services.opportunities.domain.quote_links import (
    QuoteLinks as QuoteLinks,
)
from services.opportunities.domain.quote_links import (
    SiblingNotOffered as SiblingNotOffered,
)
from services.opportunities.domain.quote_settings import (
    Acceptance as Acceptance,
)
from services.opportunities.domain.quote_settings import (
    AcceptanceStageMissing as AcceptanceStageMissing,
)
from services.opportunities.domain.quote_settings import (
    PrimaryQuote as PrimaryQuote,
)
from services.opportunities.domain.quote_settings import (
    QuoteSettings as QuoteSettings,
)
from services.opportunities.domain.quote_settings import (
    QuoteSettingsUpdated as QuoteSettingsUpdated,
)
from services.opportunities.domain.splits import (
    RevenueSplitsIncomplete as RevenueSplitsIncomplete,
)
from services.opportunities.domain.splits import (
    Split as Split,
)
from services.opportunities.domain.splits import (
    SplitOutOfRange as SplitOutOfRange,
)
from services.opportunities.domain.splits import (
    SplitTwice as SplitTwice,
)
from services.opportunities.domain.splits import (
    SplitType as SplitType,
)
from services.opportunities.domain.splits import (
    amounts_of as amounts_of,
)
from services.opportunities.domain.splits import (
    check_splits as check_splits,
)
from services.opportunities.domain.splits import (
    shares as shares,
)
from services.opportunities.domain.teams import (
    Access as Access,
)
from services.opportunities.domain.teams import (
    DealOnlyReadable as DealOnlyReadable,
)
from services.opportunities.domain.teams import (
    MemberTwice as MemberTwice,
)
from services.opportunities.domain.teams import (
    ReservedToOwner as ReservedToOwner,
)
from services.opportunities.domain.teams import (
    TeamMember as TeamMember,
)
