"""Portfolios year by year in MULTIMODEL's layout: absolute and hedged return, volatility and drawdown, by limit on turnover."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from alpha_pipeline.diagnostics.yearly_performance import mean_turnover_one_sided, yearly_performance
from alpha_pipeline.experiment import ExperimentSpec, PortfolioSpec, StudySpec
from alpha_pipeline.experiments.published_multimodel_portfolios import ENHANCED, TOP_N
from alpha_pipeline.pipeline.backtests import backtest_name, read_backtest
from alpha_pipeline.pipeline.studies.study import Frames, Study
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.portfolio.constraints import TurnoverLimit
from alpha_pipeline.portfolio.top_n import TopNSpec
from alpha_pipeline.reporting.exhibits import Exhibit, TableExhibit
from alpha_pipeline.reporting.published import PublishedReport

_KEYS = ("group", "delta", "turnover", "basis", "metric")
TITLES = {
    "top100": ("Best names, the smaller portfolio", "MULTIMODEL figure 16"), "top300": ("Best names, the larger portfolio", "MULTIMODEL figure 17"),
    "csi300": ("CSI 300 enhancement", "MULTIMODEL figure 18"), "csi300_members": ("CSI 300 enhancement, 80 % constituents", "MULTIMODEL figure 19"),
    "csi500": ("CSI 500 enhancement", "MULTIMODEL figure 20"), "csi500_members": ("CSI 500 enhancement, 80 % constituents", "MULTIMODEL figure 21"),
}


def delta_of(spec: PortfolioSpec) -> float:
    """The limit on one-sided turnover; of best names, the share that may be replaced; NaN without a limit."""
    if isinstance(spec.optimizer, TopNSpec):
        return spec.optimizer.max_replaced
    limits = [c.two_sided / 2.0 for c in spec.optimizer.constraints if isinstance(c, TurnoverLimit)]
    return limits[0] if limits else float("nan")


def _run(work: Workspace, experiment: ExperimentSpec, study: StudySpec, start: str, end: str) -> Frames:
    """A portfolio belongs to the group that its ``published`` names before the @; one without is left out."""
    tables = []
    for portfolio in experiment.portfolios:
        group = portfolio.published.partition("@")[0]
        if group:
            frames = read_backtest(work, portfolio.name)[1]
            found = yearly_performance(frames["daily"])
            tables.append(found.assign(group=group, delta=delta_of(portfolio), turnover=mean_turnover_one_sided(frames["rebalances"])))
    whole = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=[*_KEYS, "annual"])
    return {"yearly": whole[[*_KEYS, *(c for c in whole.columns if c not in _KEYS)]]}


def published_rows() -> pd.DataFrame:
    """The report's own rows with the columns of ours; of TOP N, relative is hedged. Page one stands for the hedged part of figure 19."""
    top = TOP_N.assign(group="top" + TOP_N["n_names"].astype(str), basis=TOP_N["basis"].replace("relative", "hedged"))
    top = top.drop(columns=["n_names", "figure"])
    enhanced = ENHANCED.rename(columns={"portfolio": "group"})
    repeated = (enhanced["figure"] == 19) & (enhanced["basis"] == "hedged")
    return pd.concat([top, enhanced[~repeated].drop(columns="figure")], ignore_index=True)


def _exhibits(frames: Frames, published: PublishedReport | None) -> Sequence[Exhibit]:
    ours = frames["yearly"]
    said = published_rows() if published is not None and published.system == "MULTIMODEL" else None
    exhibits: list[Exhibit] = []
    for group in dict.fromkeys(ours["group"]):
        title, figure = TITLES.get(group, (group, ""))
        for basis in ("absolute", "hedged"):
            mine = ours[(ours["group"] == group) & (ours["basis"] == basis)]
            theirs = None if said is None else said[(said["group"] == group) & (said["basis"] == basis)]
            held = [c for c in dict.fromkeys([*ours.columns, *([] if theirs is None else theirs.columns)]) if c not in _KEYS]
            columns = [c for c in ("annual", *sorted(c for c in held if c != "annual")) if _has_numbers(mine, c) or _has_numbers(theirs, c)]
            exhibits.append(TableExhibit(
                f"{group}-{basis}", f"{title}, {basis}", _labelled(mine, columns), dict.fromkeys(columns, "percent1"),
                "delta: limit on one-sided turnover a week (best names: share replaced), turnover: the realized one. After cost. The return of a "
                "year is not annualized, volatility is; drawdowns are positive, each within its own year. Hedged: daily difference to the benchmark, "
                "compounded.", published=None if theirs is None or theirs.empty else _labelled(theirs, columns), figure=figure,
                notes=("The text at hand leaves open which of two years the last number of a published row belongs to.",)
                if "2021 or 2022" in columns else ()))
    return exhibits


def _has_numbers(rows: pd.DataFrame | None, column: str) -> bool:
    return rows is not None and column in rows.columns and bool(rows[column].notna().any())


def _labelled(rows: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    keys = zip(rows["delta"], rows["turnover"], rows["metric"], strict=True)
    names = [f"delta {delta:.2f}, turnover {turnover:.2f}: {metric.replace('_', ' ')}" for delta, turnover, metric in keys]
    return rows.reindex(columns=list(columns)).astype(np.float64).assign(portfolio=names)[["portfolio", *columns]]


STUDY = Study("Portfolios by limit on turnover", _run, _exhibits,
                          needs=lambda experiment, study: [backtest_name(p.name) for p in experiment.portfolios if p.published])
