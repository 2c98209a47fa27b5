"""A problem as a network of choices: cells of lines, freight, gifts, and what each choice is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from math import inf, lcm

from services.quotes.pricing.charges import gift_amount, settle_charges
from services.quotes.pricing.computed import Computed
from services.quotes.pricing.model import Combine, Gift, RoundAt, TaxRounding
from services.quotes.pricing.pieces import Choice
from services.quotes.pricing.problem import Kind, Offer, Problem
from services.quotes.pricing.rounding import half_up, ratio, spread_ticks
from services.quotes.pricing.solver.allocation import Allocated, Allocation, is_placed, lines_of
from services.quotes.pricing.solver.counting import at_most
from services.quotes.pricing.solver.lines import Lines, as_line_amounts
from services.quotes.pricing.solver.memory import Memory, Solved
from services.quotes.pricing.solver.search import Cell, Cost, Network, bits


class Model:
    """Everything that searching asks, made once for a problem."""

    def __init__(self, problem: Problem, memory: Memory | None = None, deadline: float = inf) -> None:
        self.problem = problem
        count = len(problem.offers)
        self._scale = self._common_scale()
        gifts = {
            offer.index: gift_amount(problem, offer.benefit.unit_value, offer.benefit.quantity)
            for offer in problem.offers
            if isinstance(offer.benefit, Gift)
        }
        self._gifts = gifts
        self._gift = count + 1  # one minor unit of a gift counts more than all promotions
        self.minor = self._scale * self._gift * (sum(gifts.values()) + 1)
        self._weights = [self._weight(facts.line.tax_rate) for facts in problem.lines]
        self._by_line = (
            not problem.document.prices_include_tax
            and problem.document.settings.tax_rounding is TaxRounding.LINE
        )
        self._rates = [ratio(facts.line.tax_rate) for facts in problem.lines]
        self.capped = 0
        self._roomy: list[bool] | None = None
        self._sums: dict[int, tuple[int, int, int]] = {}
        spread = self._spread()
        self.lines = Lines(problem, spread, deadline)
        free = self._free_by_line(spread)
        self._spread_offers = spread
        self._memory = Memory() if memory is None else memory
        self._memory.enter(problem, self.minor)
        self._solved: list[Solved] = []
        self._scopes: list[int] = []
        self.allocation = Allocation(self.lines, free, self.price, self.minor, deadline)
        self._cells: list[tuple[list[int], list[Offer]]] = []
        cells = self._line_cells(free)
        cells += [self._gift_cell(index, worth) for index, worth in gifts.items()]
        self._freight = 0
        shipping = sum(1 << offer.index for offer in problem.offers if offer.kind is Kind.SHIPPING)
        if shipping:
            cells.append(Cell(shipping, self._shipping, 1))
            free_of_charge = self._shipping(0)
            self._freight = free_of_charge[0] if free_of_charge else 0
        for offer in problem.offers:
            more = self._unsettled(offer)
            if more:
                cells.append(_worth(1 << offer.index, more))
        cells += [self._capped_cell(problem.offers[index]) for index in bits(self.capped)]
        self.network = Network(
            count,
            [offer.conflicts for offer in problem.offers],
            cells,
            self.minor,
            self.forced,
            self._ceiling,
        )

    def _ceiling(self, index: int) -> int:
        """What an offer gains at most, said without pricing anything."""
        offer = self.problem.offers[index]
        if offer.kind is Kind.GIFT:
            return self._gifts[index] * self._gift * self._scale
        if offer.kind is Kind.SHIPPING:
            return self._freight
        return at_most(self.problem, offer, self._sums) * self.minor

    @property
    def forced(self) -> int:
        """Offers on the document: they stand on every line they match, or not at all."""
        return self.lines.forced

    # --- what money counts -------------------------------------------------------------------------

    def _common_scale(self) -> int:
        document = self.problem.document
        if document.prices_include_tax or document.settings.tax_rounding is TaxRounding.LINE:
            return 1
        rates = {line.tax_rate for line in document.lines} | {one.tax_rate for one in document.charges}
        return lcm(1, *(ratio(rate)[1] for rate in rates))

    def _weight(self, rate: Decimal) -> int:
        """What a minor unit as quoted at this rate counts, tax included."""
        if self.problem.document.prices_include_tax:
            return self.minor
        numerator, denominator = ratio(rate)
        if self._scale % denominator:
            return self.minor
        return self.minor // denominator * (denominator + numerator)

    def price(self, line: int, amount: int) -> int:
        """What an amount of a line counts in the total: itself and its tax."""
        if self._by_line:
            numerator, denominator = self._rates[line]
            return (amount + half_up(amount * numerator, denominator)) * self.minor
        return amount * self._weights[line]

    @property
    def roundings(self) -> int:
        """By how many minor units tax that is rounded on the document may part totals from what is searched for."""
        document = self.problem.document
        if document.prices_include_tax or self._by_line:
            return 0
        return len({line.tax_rate for line in document.lines})

    @property
    def spare(self) -> int:
        """By how much the next best choice must be behind for the best to be the best after all rounding."""
        return self.roundings * self.minor if self.roundings > 1 else 0

    def is_vague(self, chosen: int) -> bool:
        """Whether among the chosen some may take units, or spread an amount, at one tax rate or another."""
        for index in bits(chosen):
            offer = self.problem.offers[index]
            if not (is_placed(offer) or self.capped >> index & 1 or self._unsettled(offer)):
                continue
            if offer.parts and all(len(part) == 1 for part in offer.parts):
                continue
            if len({self._rates[line] for line in lines_of(offer)}) > 1:
                return True
        return False

    # --- offers on the document --------------------------------------------------------------------

    def _spread(self) -> dict[int, Offer]:
        """Amounts off the document whose shares are settled before anything is chosen."""
        found: dict[int, Offer] = {}
        for offer in self.problem.offers:
            if offer.kind is Kind.DOCUMENT_AMOUNT:
                found[offer.index] = as_line_amounts(offer, self._shares(offer))
            elif offer.truncatable and not is_placed(offer) and self._is_capped(offer):
                found[offer.index] = as_line_amounts(offer, self._cut(offer))
        return found

    def _cut(self, offer: Offer) -> dict[int, int]:
        """What an offer takes off each line when its cap binds: where tax is highest, as far as that goes."""
        problem = self.problem
        facts = problem.lines
        assert offer.limit is not None
        off = {line: self._line_ticks(offer, line) for line in offer.targets}
        lines: list[int] = []
        if offer.kind is Kind.DOCUMENT_PERCENT:
            lines = list(offer.targets)
        else:
            for weight in sorted({self._weights[line] for line in offer.targets}, reverse=True):
                if sum(off[line] for line in lines) <= offer.limit:
                    lines += [line for line in offer.targets if self._weights[line] == weight]
        lines.sort()
        shares = spread_ticks(
            offer.limit,
            problem.tick,
            problem.quanta[offer.phase],
            [off[line] for line in lines],
            [facts[line].tie for line in lines],
            problem.document.settings.remainder,
        )
        return dict(zip(lines, shares, strict=True))

    def _line_ticks(self, offer: Offer, line: int) -> int:
        """What it takes off a line where nothing else does."""
        facts = self.problem.lines[line]
        if offer.kind is Kind.LINE_AMOUNT:
            return offer.line_amounts[line]
        if offer.kind is Kind.DOCUMENT_PERCENT:
            return facts.entry * offer.percent[0] // offer.percent[1]
        if offer.gains is not None:
            rest = offer.gains[line] * facts.rest // facts.unit if facts.rest else 0
            return offer.gains[line] * facts.whole + rest
        return 0

    def _shares(self, offer: Offer) -> dict[int, int]:
        problem = self.problem
        facts = problem.lines
        lines = list(offer.targets)
        amount = sum(facts[line].entry for line in lines) if offer.amount < 0 else offer.amount
        if offer.limit is not None:
            amount = min(amount, offer.limit)
        shares = spread_ticks(
            amount,
            problem.tick,
            problem.quanta[offer.phase],
            [facts[line].entry * facts[line].weight for line in lines],
            [facts[line].tie for line in lines],
            problem.document.settings.remainder,
        )
        return dict(zip(lines, shares, strict=True))

    def _unsettled(self, offer: Offer) -> int:
        """By how much more an offer may gain than is known before all others are: its shares depend on them."""
        document = self.problem.document
        more = 0
        if document.settings.round_at is RoundAt.PROMOTION:
            more += 2 * self.minor
        compound = document.settings.combine is Combine.COMPOUND
        shares = self.lines.offers[offer.index].line_amounts
        if offer.kind is not Kind.LINE_AMOUNT and shares and (offer.phase > 0 or compound):
            # where another share meets a floor, less or more of it may be cut
            tight = [line for line in shares if not self._is_roomy(line)]
            more += (
                sum(shares[line] * self._weights[line] for line in tight) // self.problem.tick + self.minor
            )
        if offer.kind not in (Kind.LINE_AMOUNT, Kind.DOCUMENT_AMOUNT) and len(shares) > 1:
            # cut by its cap: on fewer lines it may meet other tax, or other roundings of it
            most = max(self._weights[line] for line in shares)
            least = min(self._weights[line] for line in shares)
            if self._by_line or most > least:
                moved = sum(share * (most - self._weights[line]) for line, share in shares.items())
                more += moved // self.problem.tick + self.minor * (1 + len(shares) * self._by_line)
        if offer.kind is Kind.DOCUMENT_AMOUNT and (offer.phase > 0 or compound):
            between = max(self._weights, default=0) - min(self._weights, default=0)
            more += offer.amount * between // self.problem.tick + (1 + len(offer.targets)) * self.minor
        return more

    # --- cells -------------------------------------------------------------------------------------

    def _free_by_line(self, spread: Mapping[int, Offer]) -> list[int]:
        """By line: offers that stand on any of its units, or on all."""
        free = [0] * len(self.problem.lines)
        for offer in self.problem.offers:
            if offer.kind in (Kind.GIFT, Kind.SHIPPING) or is_placed(offer):
                continue
            if self._is_capped(offer) and offer.index not in spread:
                self.capped |= 1 << offer.index
                continue
            for line in spread[offer.index].line_amounts if offer.index in spread else offer.targets:
                free[line] |= 1 << offer.index
        return free

    def _is_capped(self, offer: Offer) -> bool:
        """Whether its budget or cap may bind."""
        if offer.limit is None or offer.kind is Kind.DOCUMENT_AMOUNT:
            return False
        return self.most_ticks(offer) + len(offer.targets) * self.problem.tick > offer.limit

    def most_ticks(self, offer: Offer) -> int:
        """What it takes off at most, nothing else taken before."""
        return sum(self._line_ticks(offer, line) for line in offer.targets)

    def _line_cells(self, free: Sequence[int]) -> list[Cell]:
        group_of = list(range(len(self.problem.lines)))

        def root(line: int) -> int:
            while group_of[line] != line:
                group_of[line] = group_of[group_of[line]]
                line = group_of[line]
            return line

        placed = [offer for offer in self.problem.offers if is_placed(offer)]
        for offer in placed:
            first = -1
            for line in sorted(lines_of(offer)):
                first = root(line) if first < 0 else first
                group_of[root(line)] = first
        groups: dict[int, list[int]] = {}
        for line in range(len(self.problem.lines)):
            groups.setdefault(root(line), []).append(line)
        offers_of: dict[int, list[Offer]] = {}
        for offer in placed:
            lines = lines_of(offer)
            if lines:
                offers_of.setdefault(root(min(lines)), []).append(offer)
        cells: list[Cell] = []
        rates = {rate: place for place, rate in enumerate(dict.fromkeys(self._rates))}
        slack = 2 if not self.problem.document.prices_include_tax else 1
        if self.problem.document.settings.round_at is not RoundAt.LINE:
            slack += 2
        for head, group in groups.items():
            offers = offers_of.get(head, [])
            scope = 0
            for line in group:
                scope |= free[line]
            for offer in offers:
                scope |= 1 << offer.index
            if not scope:
                continue
            place = len(self._cells)
            self._cells.append((group, offers))
            kinds = 0
            for line in group:
                kinds |= 1 << rates[self._rates[line]]
            solved = self._remembered(group, offers, scope)
            self._solved.append(solved)
            self._scopes.append(scope)
            if solved.is_simple is None:
                solved.is_simple = self._is_simple(group, offers, scope)
            is_simple = solved.is_simple
            plain = is_simple and self.lines.sums and not scope & self.lines.users
            if plain:
                cost, is_late = self._plain_cost_of(group[0]), None
            else:
                cost, is_late = self._cost_of(place), self.allocation.is_late
            cells.append(
                Cell(scope, cost, slack * len(group), is_simple, solved.costs, kinds, is_late=is_late)
            )
        return cells

    def _remembered(self, lines: Sequence[int], offers: Sequence[Offer], scope: int) -> Solved:
        facts = self.problem.lines
        content = (
            scope,
            tuple((line, facts[line].line, facts[line].floor) for line in lines),
            tuple(offer.index for offer in offers),
        )
        shares = {
            index: tuple(offer.line_amounts.get(line, 0) for line in lines)
            for index, offer in self._spread_offers.items()
            if scope >> index & 1
        }
        return self._memory.cell(content, shares)

    def _is_simple(self, lines: Sequence[int], offers: Sequence[Offer], scope: int) -> bool:
        """Whether no offer ever gains more by another's presence: nothing is fought over, no floor is near."""
        if offers:
            return False
        line = lines[0]
        kinds = [self.problem.offers[index] for index in bits(scope)]
        if (
            any(offer.kind is Kind.UNIT_PRICE for offer in kinds)
            and len({offer.phase for offer in kinds}) > 1
        ):
            return False
        facts = self.problem.lines[line]
        off = 0
        for stated in kinds:
            offer = self.lines.offers[stated.index]
            if offer.kind is Kind.LINE_AMOUNT:
                off += offer.line_amounts.get(line, 0)
            elif offer.gains is None:
                off += facts.entry * offer.percent[0] // offer.percent[1]
            else:
                off += offer.gains[line] * (facts.whole + (1 if facts.rest_size else 0))
        if facts.percent[0] or facts.amount:
            return False
        return facts.entry - off >= (facts.least + 1) * self.problem.tick

    def _is_roomy(self, line: int) -> bool:
        """Whether all offers together leave the line well above its floor."""
        if self._roomy is None:
            self._roomy = self._find_roomy()
        return self._roomy[line]

    def _find_roomy(self) -> list[bool]:
        facts = self.problem.lines
        off: list[int | None] = [0] * len(facts)
        for stated in self.problem.offers:
            reach = getattr(stated.benefit, "reach", None)
            shares = self.lines.offers[stated.index].line_amounts
            for line in stated.targets:
                before = off[line]
                if before is None or (is_placed(stated) and reach is None):
                    off[line] = None
                    continue
                most = self._line_ticks(stated, line)
                if reach is not None and reach.max_units is not None and stated.gains is not None:
                    most = min(most, stated.gains[line] * reach.max_units)
                off[line] = before + shares.get(line, most)
        return [
            taken is not None
            and one.entry - taken >= (one.least + 1) * self.problem.tick
            and not one.percent[0]
            for one, taken in zip(facts, off, strict=True)
        ]

    def _plain_cost_of(self, line: int) -> Cost:
        """The cost of a line whose every unit carries every offer."""
        facts = self.problem.lines[line]
        uniform, price = self.lines.uniform, self.price

        def cost(chosen: int) -> tuple[int, int] | None:
            amount = uniform(facts, chosen)
            return None if amount is None else (price(line, amount), 0)

        return cost

    def _cost_of(self, place: int) -> Cost:
        def cost(chosen: int) -> tuple[int, int] | None:
            found = self.cell(place, chosen)
            return None if found is None else (found.cost, found.loose)

        return cost

    def cell(self, place: int, chosen: int, *, finally_: bool = False) -> Allocated | None:
        """What the lines of a cell come to at best; when time is over roughly, `finally_` with units given out."""
        chosen &= self._scopes[place]
        known = self._solved[place].allocated
        if chosen in known:
            return known[chosen]
        found = self._cell(place, chosen, finally_=finally_)
        if not self.allocation.is_late():
            known[chosen] = found
        return found

    def _cell(self, place: int, chosen: int, *, finally_: bool) -> Allocated | None:
        lines, offers = self._cells[place]
        if not offers and len(lines) == 1:
            found = self.allocation.line(lines[0], chosen)
            return None if found is None else Allocated(found[0], found[1], {lines[0]: found[2]})
        placed = [offer for offer in offers if chosen >> offer.index & 1]
        if finally_ and self.allocation.is_late():
            return self.allocation.roughly(lines, chosen, placed, greedily=True)
        return self.allocation.best(lines, chosen, placed)

    @property
    def places(self) -> range:
        """The numbers of all cells of lines."""
        return range(len(self._cells))

    def _gift_cell(self, index: int, worth: int) -> Cell:
        bit = 1 << index
        return Cell(bit, lambda chosen: (-worth * self._gift * self._scale if chosen & bit else 0, 0), 0)

    def _shipping(self, chosen: int) -> tuple[int, int] | None:
        document = tuple(bits(chosen))
        done = Computed(self.problem, Choice([], [], {}, {}, document, document))
        settle_charges(done)
        return None if done.broken else (done.total * self.minor, 0)

    def _capped_cell(self, offer: Offer) -> Cell:
        """An offer whose cap binds: what it takes at most, whatever else is chosen."""
        bit = 1 << offer.index
        assert offer.limit is not None
        weight = max((self._weights[line] for line in offer.targets), default=self.minor)
        worth = offer.limit * weight // self.problem.tick
        return _worth(bit, worth)


def _worth(bit: int, worth: int) -> Cell:
    """An offer that is worth so much, whatever else is chosen."""
    return Cell(bit, lambda chosen: (-worth if chosen & bit else 0, 0), 0)
