"""Log-linear effects of codes, shrunk as much as the data ask for: what a feature does to speed and to winning.

Ridge regression by scikit-learn is the posterior mode under a normal prior; how wide the prior of each block
of effects is, is learnt too (empirical Bayes, a few steps of expectation and maximisation).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import numpy as np
from scipy import sparse
from sklearn.linear_model import LogisticRegression, PoissonRegressor

from services.forecast.prediction.histories import Bools, Floats, Ints, Longs

_ROUNDS: Final = 3
_ITERATIONS: Final = 400
_TOLERANCE: Final = 1e-5
_PRIOR_WEIGHT: Final = 4.0
_DENSE: Final = 300
"""Up to how many effects the exact solver is the quicker one."""
_WIDEST: Final = 1 << 62

Matrix: TypeAlias = Any
"""Sparse, or an array where it is small."""
Fit = Callable[[Matrix], tuple[float, Floats, Floats]]
"""Intercept, coefficients and the information of each row."""


@dataclass(frozen=True, slots=True)
class Block:
    """The effects of one feature's codes."""

    name: str
    size: int
    spread: float
    """The prior's standard deviation, on the log scale."""
    is_fixed: bool = False
    """Whether that stays as it is."""


@dataclass(frozen=True, slots=True)
class Effects:
    """What was learnt: an intercept, and an effect for each code of each block."""

    intercept: float
    blocks: Mapping[str, Floats]
    spreads: Mapping[str, float] = field(default_factory=dict)

    def of(self, name: str, codes: Ints) -> Floats:
        """The effect of one block on each; none where the code was never seen."""
        effects = self.blocks[name]
        if not len(effects):
            return np.zeros(len(codes))
        seen = (codes >= 0) & (codes < len(effects))
        return np.where(seen, effects[np.where(seen, codes, 0)], 0.0)

    def score(self, codes: Mapping[str, Ints], only: Sequence[str] | None = None) -> Floats:
        """The sum of the effects on each, without the intercept."""
        names = [name for name in (only or self.blocks) if name in codes]
        total = np.zeros(len(next(iter(codes.values()))))
        for name in names:
            total += self.of(name, codes[name])
        return total


def fit_rates(
    blocks: Sequence[Block], codes: Mapping[str, Ints], expected: Floats, happened: Floats
) -> Effects:
    """By what each code multiplies a rate.

    Args:
        expected: what each row would bring without any effect.
        happened: what it brought.
    """
    chosen = expected > 0
    kinds, kind = _kinds(blocks, {name: each[chosen] for name, each in codes.items()}, int(chosen.sum()))
    weight = np.bincount(kind, expected[chosen])
    target = np.bincount(kind, happened[chosen]) / weight
    matrix, spans = _design(blocks, kinds, len(weight))

    def fit(scaled: Matrix) -> tuple[float, Floats, Floats]:
        regression = PoissonRegressor(
            alpha=1 / weight.sum(), max_iter=_ITERATIONS, tol=_TOLERANCE, solver=_solver(scaled)
        )
        regression.fit(scaled, target, sample_weight=weight)
        mean = np.exp(np.clip(scaled @ regression.coef_ + regression.intercept_, -20, 20))
        return float(regression.intercept_), regression.coef_, weight * mean

    return _shrunk(blocks, spans, matrix, fit)


def fit_odds(blocks: Sequence[Block], codes: Mapping[str, Ints], won: Bools, weight: Floats) -> Effects:
    """By what each code multiplies the odds to win."""
    kinds, kind = _kinds(blocks, codes, len(won))
    wins, losses = np.bincount(kind, weight * won), np.bincount(kind, weight * ~won)
    both = {name: np.concatenate([each, each]) for name, each in kinds.items()}
    outcome, counts = np.repeat([True, False], len(wins)), np.concatenate([wins, losses])
    matrix, spans = _design(blocks, both, len(outcome))

    def fit(scaled: Matrix) -> tuple[float, Floats, Floats]:
        regression = LogisticRegression(C=1.0, max_iter=_ITERATIONS, tol=_TOLERANCE, solver=_solver(scaled))
        regression.fit(scaled, outcome, sample_weight=counts)
        mean = 1 / (1 + np.exp(-(scaled @ regression.coef_[0] + regression.intercept_[0])))
        return float(regression.intercept_[0]), regression.coef_[0], counts * mean * (1 - mean)

    return _shrunk(blocks, spans, matrix, fit)


def _kinds(blocks: Sequence[Block], codes: Mapping[str, Ints], rows: int) -> tuple[dict[str, Ints], Longs]:
    """Rows that are alike in every block are one kind: the codes of each kind, and the kind of each row."""
    key = np.zeros(rows, np.int64)
    for block in blocks:
        code = codes[block.name]
        seen = np.where((code >= 0) & (code < block.size), code + 1, 0).astype(np.int64)
        if key.max(initial=0) > _WIDEST // (block.size + 1):
            key = np.unique(key, return_inverse=True)[1].astype(np.int64)
        key = key * (block.size + 1) + seen
    _, first, kind = np.unique(key, return_index=True, return_inverse=True)
    return {block.name: codes[block.name][first] for block in blocks}, kind


def _solver(design: Matrix) -> str:
    return "lbfgs" if sparse.issparse(design) else "newton-cholesky"


def _design(blocks: Sequence[Block], codes: Mapping[str, Ints], rows: int) -> tuple[Matrix, list[slice]]:
    spans, columns, numbers, start = [], [], [], 0
    for block in blocks:
        code = codes[block.name]
        seen = np.flatnonzero((code >= 0) & (code < block.size))
        columns.append(code[seen].astype(np.int64) + start)
        numbers.append(seen)
        spans.append(slice(start, start + block.size))
        start += block.size
    column, row = np.concatenate(columns), np.concatenate(numbers)
    matrix = sparse.csr_array((np.ones(len(column)), (row, column)), shape=(rows, start))
    return (matrix.toarray() if start <= _DENSE else matrix), spans


def _shrunk(blocks: Sequence[Block], spans: Sequence[slice], matrix: Matrix, fit: Fit) -> Effects:
    spreads = np.array([block.spread for block in blocks])
    scale = np.empty(matrix.shape[1])
    rounds = 1 if all(block.is_fixed for block in blocks) else _ROUNDS
    intercept, effects, used = 0.0, np.zeros(matrix.shape[1]), spreads
    for _ in range(rounds):
        used = spreads.copy()
        for span, spread in zip(spans, spreads, strict=True):
            scale[span] = spread
        scaled = sparse.csr_array(matrix.multiply(scale)) if sparse.issparse(matrix) else matrix * scale
        intercept, coefficients, information = fit(scaled)
        effects = coefficients * scale
        # squaring leaves ones alone: a column's information is the sum of its rows'
        variance = 1 / (matrix.T @ information + 1 / scale**2)
        for number, (block, span) in enumerate(zip(blocks, spans, strict=True)):
            if not block.is_fixed and block.size:
                second = float(np.sum(effects[span] ** 2 + variance[span]))
                prior = _PRIOR_WEIGHT * block.spread**2
                spreads[number] = np.sqrt((second + prior) / (block.size + _PRIOR_WEIGHT))
    return Effects(
        intercept,
        {block.name: effects[span] for block, span in zip(blocks, spans, strict=True)},
        {block.name: float(spread) for block, spread in zip(blocks, used, strict=True)},
    )
