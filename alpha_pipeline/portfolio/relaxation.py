"""The stated order in which limits give way, and the smallest amounts that make a portfolio possible."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from alpha_pipeline.errors import Infeasible, sentence
from alpha_pipeline.portfolio.constraints import (
    AnyConstraint,
    ConstituentFloor,
    FactorClassBound,
    IndustryBound,
    StyleBound,
    StyleMoment,
    TrackingErrorLimit,
    TurnoverLimit,
)
from alpha_pipeline.portfolio.elastic_cone import ConeSlack
from alpha_pipeline.portfolio.linear_program import ElasticSolution, least_slack
from alpha_pipeline.portfolio.problem import PortfolioProblem
from alpha_pipeline.portfolio.program import LinearProgram, assemble
from alpha_pipeline.portfolio.reduced_program import least_reduced_slack
from alpha_pipeline.portfolio.result import Relaxation

RELAXATION_ORDER = (TurnoverLimit.name, TrackingErrorLimit.name, StyleBound.name, IndustryBound.name, ConstituentFloor.name)
"""First to give way first. The sum, long-only, deviation and trading restrictions never do."""
_LEVEL = {StyleMoment.name: StyleBound.name, FactorClassBound.name: StyleBound.name}
"""Kinds that give way together with another one: every bound on an exposure counts as a style."""

_NOTICEABLE = 1e-9
"""Slack below this is rounding and not recorded; also the margin added to each relaxed limit so that the next solve has room."""
_CONE_MARGIN = 5e-6
"""The same margin of turnover and risk with a tracking-error limit: interior-point solvers need an interior."""


def least_relaxation(problem: PortfolioProblem, program: LinearProgram, constraints: tuple[AnyConstraint, ...]) -> ElasticSolution | ConeSlack:
    """How far limits must give way for a portfolio to exist, lexicographically: the last kinds of the order are kept tight first.

    Industries, say, are touched only if no amount of turnover and style slack suffices, and then by the least total over
    industries; given that, styles by the least total; given both, tracking error; then turnover.

    Raises
    ------
    Infeasible
        The user's limits contradict one another even if every name could be traded, or trading restrictions and limits that never
        give way exclude each other.
    """
    ideal, _ = assemble(problem, constraints, 0.0, 0.0, restricted=False)
    _raise_if_contradictory(problem, ideal)
    caps: dict[str, float] = {}
    leveled, found = _leveled(program), None
    for kind in _present(leveled):
        found = _least(leveled, kind, caps, found)
        if not found.feasible:
            raise Infeasible(
                sentence(
                    "trading restrictions leave no portfolio within the deviation limit that is fully invested",
                    where=problem.where,
                    got=f"{int((program.lower >= program.upper).sum())} of {problem.n_stocks} names that cannot move",
                    next_step="Raise the deviation limit, or check suspensions and scores of this date.",
                )
            )
        caps[kind] = found.total + _NOTICEABLE * 0.1
    assert found is not None, "turnover or tracking error is always present"
    return found


def widened(program: LinearProgram, found: ElasticSolution | ConeSlack, margins: float = 1.0) -> tuple[LinearProgram, list[Relaxation]]:
    """The program with limits widened by what :func:`least_relaxation` found, and what was widened.

    ``margins`` multiplies what cone programs get on top of the least turnover and risk.
    """
    reason = "limits conflict with holdings and trading restrictions"
    margin = _CONE_MARGIN * margins if program.has_risk_limit else _NOTICEABLE
    row_margin = min(margin, 1e-7)
    below, above = (np.where(slack > 0.0, slack + row_margin, 0.0) for slack in (found.row_slack_lower, found.row_slack_upper))
    turnover = found.turnover_slack + margin if found.turnover_slack > 0.0 else 0.0
    risk = found.risk_slack + margin if isinstance(found, ConeSlack) and found.risk_slack > 0.0 else 0.0
    relaxations = [
        Relaxation(label, float(max(below[i], above[i])), float(program.row_limits[i]), reason)
        for i, label in enumerate(program.labels)
        if max(below[i], above[i]) > 2.0 * _NOTICEABLE
    ]
    if program.risk is not None and risk > 0.0:
        relaxations.insert(0, Relaxation(TrackingErrorLimit.name, risk, program.risk.limit, reason))
    if turnover > 2.0 * _NOTICEABLE:
        relaxations.insert(0, Relaxation(TurnoverLimit.name, turnover, float(program.turnover), reason))
    return program.widened(below, above, turnover, risk), relaxations


def _raise_if_contradictory(problem: PortfolioProblem, ideal: LinearProgram) -> None:
    """Stop when limits cannot be met even without suspensions, price limits, missing scores and turnover."""
    if ideal.risk is not None and _allows(ideal, ideal.risk.center):
        return
    caps: dict[str, float] = {}
    ideal = _leveled(ideal)
    for kind in _present(ideal):
        found = _least(ideal, kind, caps)
        if not found.feasible:
            raise Infeasible(
                sentence(
                    "the deviation limit and the position contradict each other",
                    where=problem.where,
                    got=f"weights between {ideal.lower.sum():.4f} and {ideal.upper.sum():.4f} in total",
                    expected=f"a position of {ideal.row_lower[ideal.kinds.index('fully_invested')]:.4f}",
                    next_step="Change one of the two.",
                )
            )
        caps[kind] = found.total + _NOTICEABLE * 0.1
    slack = found.row_slack_lower + found.row_slack_upper
    missed = [f"{ideal.labels[i]} by {slack[i]:.4f}" for i in np.flatnonzero(slack > 1e-7)[:5]]
    if isinstance(found, ConeSlack) and found.risk_slack > 1e-6:
        missed.append(f"{TrackingErrorLimit.name} by {found.risk_slack:.4f}")
    if missed:
        raise Infeasible(
            sentence(
                "the limits contradict each other even if every name could be traded",
                where=problem.where,
                got=f"missed at best: {', '.join(missed)}",
                next_step="Loosen one of these limits, or the deviation limit.",
            )
        )


def _allows(program: LinearProgram, weights: np.ndarray) -> bool:
    """Whether a portfolio of no tracking error, the benchmark, meets every other limit: then they contradict nothing."""
    at_rows = program.matrix @ weights
    in_box = bool(((weights >= program.lower) & (weights <= program.upper)).all())
    return in_box and bool(((at_rows >= program.row_lower - _NOTICEABLE) & (at_rows <= program.row_upper + _NOTICEABLE)).all())


def _leveled(program: LinearProgram) -> LinearProgram:
    """The program with the kinds of its rows replaced by what they give way as."""
    return replace(program, kinds=tuple(_LEVEL.get(kind, kind) for kind in program.kinds))


def _least(
    program: LinearProgram, kind: str, caps: dict[str, float], before: ElasticSolution | ConeSlack | None = None
) -> ElasticSolution | ConeSlack:
    """Linear kinds are given slack while risk may be anything; then risk is minimized, then turnover, beginning with the names ``before``."""
    if program.has_risk_limit and kind in (TurnoverLimit.name, TrackingErrorLimit.name):
        return least_reduced_slack(program, kind, RELAXATION_ORDER, caps, before.moved(program) if isinstance(before, ConeSlack) else None)
    return least_slack(program, kind, RELAXATION_ORDER, caps)


def _present(program: LinearProgram) -> list[str]:
    """Kinds that the program has, last to give way first; turnover is always there, so that feasibility is tested.

    With a tracking-error limit but without one on turnover, tracking error is the last to be minimized.
    """
    linear = [kind for kind in reversed(RELAXATION_ORDER) if kind in program.kinds]
    if not program.has_risk_limit:
        return [*linear, TurnoverLimit.name]
    return [*linear, TrackingErrorLimit.name, *([TurnoverLimit.name] if np.isfinite(program.turnover) else [])]
