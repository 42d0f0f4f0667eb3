"""Why a portfolio is what it is: shadow prices, the limits it touches, and what was assumed."""

from __future__ import annotations

import numpy as np

from alpha_pipeline.portfolio.constraints import (
    AnyConstraint,
    ConstituentFloor,
    FullyInvested,
    IndustryBound,
    LongOnly,
    MaxDeviation,
    TrackingErrorLimit,
    TurnoverLimit,
)
from alpha_pipeline.portfolio.problem import UNKNOWN_INDUSTRY, PortfolioProblem
from alpha_pipeline.portfolio.program import LinearProgram, Solution
from alpha_pipeline.portfolio.result import Binding


def shadow_prices(program: LinearProgram, solution: Solution) -> dict[str, float]:
    """Label to gain per unit of loosening, in units of alpha."""
    duals = {
        label: float(value if kind == FullyInvested.name else abs(value)) + 0.0
        for label, kind, value in zip(program.labels, program.kinds, solution.row_duals, strict=True)
    }
    duals |= {TurnoverLimit.name: abs(solution.turnover_dual)} if np.isfinite(program.turnover) else {}
    return duals | ({TrackingErrorLimit.name: abs(solution.risk_dual)} if program.has_risk_limit else {})


def binding_limits(program: LinearProgram, weights: np.ndarray, duals: dict[str, float]) -> tuple[Binding, ...]:
    """Rows and turnover within 1e-7 of a limit, and how many names sit at a bound of their weight."""
    found = []
    at_rows = program.matrix @ weights
    for i, label in enumerate(program.labels):
        for side, gap in (("lower", at_rows[i] - program.row_lower[i]), ("upper", program.row_upper[i] - at_rows[i])):
            equality = program.row_lower[i] == program.row_upper[i]
            if gap <= 1e-7 and not (equality and side == "lower"):
                found.append(Binding(label, "equality" if equality else side, duals[label]))
    if np.isfinite(program.turnover) and float(np.abs(weights - program.reference).sum()) >= program.turnover - 1e-7:
        found.append(Binding(TurnoverLimit.name, f"two-sided {program.turnover:.6g}", duals[TurnoverLimit.name]))
    if program.risk is not None and program.risk.tracking_error(weights) >= program.risk.limit - 1e-7:
        found.append(Binding(TrackingErrorLimit.name, f"{program.risk.limit:.6g} a year", duals[TrackingErrorLimit.name]))
    moving = program.upper > program.lower
    for name, at_bound in (
        (MaxDeviation.name, moving & (weights >= program.upper - 1e-9)),
        (MaxDeviation.name, moving & (weights <= program.lower + 1e-9) & (program.lower > 0.0)),
        (LongOnly.name, moving & (weights <= 1e-9)),
        ("frozen", ~moving & (weights > 0.0)),
    ):
        if bool(at_bound.any()):
            side = "upper" if bool((weights[at_bound] > program.lower[at_bound]).all()) else "lower"
            found.append(
                Binding(name, f"{int(at_bound.sum())} names" + (f" at the {side} bound" if name == MaxDeviation.name else ""))
            )
    return tuple(found)


def assumptions(problem: PortfolioProblem, constraints: tuple[AnyConstraint, ...]) -> list[str]:
    """What had to be assumed about the data, in words."""
    notes = []
    kinds = {c.name for c in constraints}
    if problem.is_first and TurnoverLimit.name in kinds:
        notes.append("first portfolio: the turnover limit does not apply")
    unknown = int((problem.industry == UNKNOWN_INDUSTRY).sum())
    if unknown and IndustryBound.name in kinds:
        notes.append(f"{unknown} names without an industry form a class of their own")
    unscored = np.isnan(problem.alpha)
    if bool((unscored & (problem.held > 0.0)).any()):
        notes.append(
            f"{int((unscored & (problem.held > 0.0)).sum())} held names without a score count as alpha 0 and are not bought"
        )
    if ConstituentFloor.name in kinds and bool((unscored & problem.constituents).any()):
        notes.append(f"{int((unscored & problem.constituents).sum())} constituents without a score cannot be bought")
    return notes
