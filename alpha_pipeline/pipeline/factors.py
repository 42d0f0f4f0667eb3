"""Steps ``signals/<name>/factor`` and ``signals/<name>/factor_test``: scores become neutral factors, factors are tested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from alpha_pipeline.combination.linear import HISTORY_DAYS, equal_weight, price_volume_components
from alpha_pipeline.cross_section import winsorize_mad, zscore
from alpha_pipeline.digest import combine, digest
from alpha_pipeline.errors import MissingData, NotEnoughData, sentence
from alpha_pipeline.experiment import SignalSpec
from alpha_pipeline.factors.factor_test import FactorTestResult, FactorTestSpec, run_factor_test
from alpha_pipeline.factors.neutralize import neutralize
from alpha_pipeline.features.market_panels import MarketPanels
from alpha_pipeline.market.universe import UniverseSpec, tradable_next_day
from alpha_pipeline.pipeline.workspace import CODE_VERSION, StepReport, Workspace
from alpha_pipeline.progress import track
from alpha_pipeline.store import Manifest


def factor_table(signal: str) -> str:
    """Table of a signal's factor: trade_date, symbol, score, factor."""
    return f"signals/{signal}/factor"


def make_factors(work: Workspace, spec: SignalSpec, keys: Sequence[str]) -> StepReport:
    """For each date: the score, and the factor = score winsorized, neutralized against industry and log cap (unless the signal is not to be),
    standardized.

    Known at the close of each date. Names of the signal's universe without a score, an industry or a capitalization have no factor and are
    counted by reason; a factor that is not neutralized needs the score alone.
    """
    report = StepReport()
    panels = work.panels
    for key in track(keys, f"factor {spec.name}"):
        source = combine([CODE_VERSION, spec.digest(), _score_source(work, panels, spec, key),
                          _row(panels, "status", key), _row(panels, "daily", key)])
        if work.store.is_current(factor_table(spec.name), key, source):
            report.reused.append(key)
            continue
        score_S = _score(work, panels, spec, key)
        at = panels.daily.index(key)
        mask = panels.universe(spec.universe, at, at + 1)
        if spec.neutral:
            result = neutralize(score_S[None], panels.industry(at, at + 1), _log_cap(panels, at, at + 1), mask=mask)
            factor_S = result.values[0]
            report.exclude({reason: int(count[0]) for reason, count in result.dropped.items()})
        else:
            factor_S = zscore(winsorize_mad(score_S, mask=mask[0]))
            report.exclude({"no_factor": int((mask[0] & np.isnan(score_S)).sum())})
        keep = np.flatnonzero(~np.isnan(score_S))
        frame = pd.DataFrame({
            "trade_date": pd.Timestamp(key).as_unit("s"), "symbol": [panels.axis.symbols[i] for i in keep], "score": score_S[keep],
            "factor": factor_S[keep],
        })
        work.store.write(factor_table(spec.name), key, frame, source=source)
        report.computed.append(key)
        report.rows += len(frame)
    return report


def _row(panels: MarketPanels, name: str, key: str) -> str:
    panel = panels.by_name(name)
    return panel.rows[panel.index(key)].checksum


def _score_source(work: Workspace, panels: MarketPanels, spec: SignalSpec, key: str) -> str:
    if spec.baseline == "oracle":
        return work.market.digest()
    if spec.baseline:
        at = panels.daily.index(key)
        return combine(row.checksum for row in panels.daily.rows[max(0, at + 1 - HISTORY_DAYS): at + 1])
    manifest = work.store.manifest(spec.scores_table, key)
    if manifest is None:
        origin = f"model '{spec.model}'" if spec.model else f"combination '{spec.combination}'"
        raise MissingData(sentence(f"{origin} has no score for {key}", where=f"signal '{spec.name}'",
                                   next_step=f"Materialize {spec.scores_table} for {key} first."))
    return manifest.content


def _score(work: Workspace, panels: MarketPanels, spec: SignalSpec, key: str) -> np.ndarray:
    """(S,) score of one date on the panels' axis, NaN where there is none."""
    if spec.baseline == "linear_blend":
        at = panels.daily.index(key)
        first = max(0, at + 1 - HISTORY_DAYS)
        if at - first < 20:
            raise NotEnoughData(sentence("the linear blend needs 21 sessions of history", where=key, got=at - first + 1))
        window = {name: panels.daily.field(name, first, at + 1).astype(np.float64) for name in ("close", "turn", "volume")}
        turn = window["turn"] if not np.isnan(window["turn"]).all() else window["volume"]
        return equal_weight(price_volume_components(window["close"], turn), panels.universe(spec.universe, at, at + 1)[0])
    if spec.baseline == "oracle":
        oracle = getattr(work.source, "oracle", None)
        if oracle is None:
            raise MissingData(sentence("only a simulated market knows its expected returns", where=f"signal '{spec.name}'",
                                       got=f"source '{work.source.describe().name}'", next_step="Leave the oracle out on real data."))
        frame = oracle(work.check_session(key))
        return _on_axis(panels, frame["symbol"].tolist(), frame["expected_return_10d"].to_numpy())
    frame = work.store.read(spec.scores_table, key, ["symbol", "score"])
    return _on_axis(panels, frame["symbol"].tolist(), frame["score"].to_numpy())


def _on_axis(panels: MarketPanels, symbols: Sequence[str], values: np.ndarray) -> np.ndarray:
    row = np.full(len(panels.axis), np.nan)
    at = panels.axis.known_columns(symbols)
    row[at[at >= 0]] = values[at >= 0]
    return row


def _log_cap(panels: MarketPanels, start: int, stop: int) -> np.ndarray:
    cap = panels.daily.field("total_cap", start, stop).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(cap > 0, np.log(cap), np.nan)


@dataclass(frozen=True)
class RangeData:
    """Arrays (n_dates, n_stocks) of a range of dates that factor tests and layers need."""

    dates: np.ndarray
    close: np.ndarray
    vwap: np.ndarray
    industry: np.ndarray
    log_cap: np.ndarray
    tradable_next: np.ndarray
    start: int
    stop: int


def load_range(panels: MarketPanels, first: str, last: str) -> RangeData:
    """Panel rows of [first, last] for tests. Nothing after ``last`` is read, so the last date is not tradable."""
    start, stop = panels.daily.index(first), panels.daily.index(last) + 1
    return RangeData(
        np.array(panels.daily.dates[start:stop], dtype="datetime64[D]"), panels.daily.field("close", start, stop),
        panels.daily.field("vwap", start, stop),
        panels.industry(start, stop), _log_cap(panels, start, stop), tradable_next_day(panels.status.field("flags", start, stop)), start, stop,
    )


def read_scores(work: Workspace, panels: MarketPanels, table: str, dates: Sequence[str], column: str) -> np.ndarray:
    """(n_dates, n_stocks) one column of a per-date table on the panels' axis; NaN where absent."""
    values = np.full((len(dates), len(panels.axis)), np.nan)
    for at, key in enumerate(dates):
        if work.store.manifest(table, key) is not None:
            frame = work.store.read(table, key, ["symbol", column])
            values[at] = _on_axis(panels, frame["symbol"].tolist(), frame[column].to_numpy())
    return values


def run_signal_test(work: Workspace, spec: SignalSpec, test: FactorTestSpec, universes: Sequence[str], start: str = "", end: str = "") -> Manifest:
    """Factor tests of one signal in several universes, stored as one bundle; empty bounds mean all dates that have a factor.

    The raw score is tested: the factor's treatment (winsorize, neutralize, standardize) happens inside each tested pool, as the reports do.
    """
    dates = [key for key in work.store.keys(factor_table(spec.name)) if (not start or key >= start) and (not end or key <= end)]
    if not dates:
        raise MissingData(sentence(f"signal '{spec.name}' has no factor in the range", got=f"{start or 'first'} … {end or 'last'}",
                                   next_step=f"Materialize {factor_table(spec.name)} first."))
    panels = work.panels
    data = load_range(panels, dates[0], dates[-1])
    days = [str(d) for d in data.dates]
    scores = read_scores(work, panels, factor_table(spec.name), days, "score")
    frames: dict[str, pd.DataFrame] = {}
    conventions: dict[str, str] = {}
    skipped: dict[str, str] = {}
    for base in track(universes, f"factor test {spec.name}"):
        universe = UniverseSpec(base, spec.universe.exclude_st, spec.universe.min_listed_days)
        mask = panels.universe(universe, data.start, data.stop)
        try:
            result = run_factor_test(scores, data.dates, data.close, data.vwap, mask, data.tradable_next, None, test,
                                     industry=data.industry, log_cap=data.log_cap)
        except NotEnoughData as error:
            skipped[base] = str(error)
            continue
        conventions = result.conventions
        frames |= {f"{base}~{name}": frame for name, frame in _frames(result).items()}
    if not frames:
        raise NotEnoughData(sentence("no universe could be tested", where=f"signal '{spec.name}'", got="; ".join(skipped.values())))
    source = combine([CODE_VERSION, digest(spec), digest(test), *universes, *(_content(work, factor_table(spec.name), key) for key in dates)])
    meta = {"start": dates[0], "end": dates[-1], "conventions": conventions, "skipped": skipped}
    return work.store.write_bundle(f"signals/{spec.name}/factor_test", frames, source=source, meta=meta)


def _frames(result: FactorTestResult) -> dict[str, pd.DataFrame]:
    return {"ic": result.ic, "layers_daily": result.layers_daily, "layers_summary": result.layers_summary, "summary": result.summary,
            "counts": result.counts}


def _content(work: Workspace, table: str, key: str) -> str:
    manifest = work.store.manifest(table, key)
    assert manifest is not None
    return manifest.content


def stored_tests(work: Workspace, signal: str) -> dict[str, dict[str, pd.DataFrame]]:
    """Universe → frames of a stored factor test."""
    tests: dict[str, dict[str, pd.DataFrame]] = {}
    for name, frame in work.store.read_bundle(f"signals/{signal}/factor_test").items():
        base, part = name.split("~", 1)
        tests.setdefault(base, {})[part] = frame
    return tests
