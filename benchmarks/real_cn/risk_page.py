"""The risk model on the real sample: factor returns, bias of the forecasts, attribution, and the index rebuilt from its weights.

    ALPHA_PIPELINE_DATA=build/real python -m benchmarks.real_cn.risk_page [--docs docs]

Needs the sample (see ``market.toml``) ingested as market ``real_cn_daily``, for instance by ``alpha-pipeline run multifreq_daily --market
benchmarks/real_cn/daily.toml``, whose portfolios are the ones attributed. Makes what is missing of the risk model (minutes) and writes
``docs/experiments/risk_model_real.md`` with two pictures. No data of the sample is written, only figures over all names.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import pandas as pd

from alpha_pipeline.errors import NotEnoughData
from alpha_pipeline.markets import load_market
from alpha_pipeline.pipeline import risk_exposures, risk_model
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.risk.factor_returns import factor_portfolios
from alpha_pipeline.risk.portfolio_risk import bias_statistic, portfolio_risk
from benchmarks.real_cn.check_sample import index_errors

DAYS = 252
INDICES = {"000300.SH": "CSI 300", "000905.SH": "CSI 500"}
PORTFOLIOS = {"daily_csi300_t30": "CSI 300, turnover 30 %", "daily_csi500_t30": "CSI 500, turnover 30 %"}
INDEX_BAR = 6.0  # bp
T_LIMIT = 2.0


def make(work: Workspace, keys: list[str]) -> None:
    """Everything of the risk model that is not there yet."""
    for step in (risk_exposures.make_exposures, risk_model.make_factor_returns, risk_model.make_specific, risk_model.make_covariance):
        step(work, keys)


def t_statistics(work: Workspace, keys: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Factor returns and their t by date. The error of a factor return is that of its portfolio: √Σ p² u², u the specific returns."""
    panels, returns, errors = work.panels, {}, {}
    for key in keys[1:]:
        inputs = risk_model.load_regression(work, panels, key)
        try:
            found = inputs.run()
        except NotEnoughData:
            continue
        n_others = 1 + len(inputs.industry_names)
        has = ~np.isnan(found.values[n_others:])
        used = found.used
        portfolios = factor_portfolios(inputs.styles[used][:, has], inputs.industry[used], inputs.cap[used], len(inputs.industry_names))
        rows = np.r_[0, n_others: n_others + int(has.sum())]
        names = ["country", *(name for name, there in zip(inputs.style_names, has, strict=True) if there)]
        returns[key] = pd.Series(portfolios[rows] @ inputs.returns[used], index=names)
        errors[key] = pd.Series(np.sqrt(portfolios[rows] ** 2 @ found.specific[used] ** 2), index=names)
    earned, error = (pd.DataFrame.from_dict(found, orient="index") for found in (returns, errors))
    return earned, earned / error


def factor_table(earned: pd.DataFrame, t: pd.DataFrame) -> pd.DataFrame:
    """One row per factor: annual return and volatility in percent, t of the mean, share of sessions with |t| > 2."""
    n = earned.notna().sum()
    return pd.DataFrame({
        "return % a year": 100 * DAYS * earned.mean(), "volatility %": 100 * np.sqrt(DAYS) * earned.std(),
        "t of the mean": earned.mean() / earned.std() * np.sqrt(n), "sessions with abs(t) > 2, %": 100 * (t.abs() > T_LIMIT).sum() / n,
        "correlation of neighbors": earned.apply(lambda x: x.autocorr(1)), "sessions": n,
    })


def r_squared(work: Workspace, keys: list[str]) -> pd.DataFrame:
    """Mean R², condition number and number of stocks by year."""
    rows = {}
    for key in keys:
        manifest = work.store.manifest(risk_model.FACTOR_RETURNS, key)
        if manifest is not None and manifest.meta["r_squared"] is not None:
            rows[key] = {"mean R²": manifest.meta["r_squared"], "condition number": manifest.meta["condition"], "stocks": manifest.meta["n_stocks"]}
    frame = pd.DataFrame.from_dict(rows, orient="index").astype(float)
    by_year = frame.groupby(frame.index.str[:4]).mean()
    by_year.loc["all"] = frame.mean()
    return by_year


def bias_of_factors(work: Workspace, earned: pd.DataFrame) -> pd.DataFrame:
    """Bias of every factor by year: standard deviation of return over the forecast of the close before."""
    forecasts = {}
    stored = work.store.keys(risk_model.COVARIANCE)
    for before, key in zip(stored, stored[1:], strict=False):
        frame = work.store.read(risk_model.COVARIANCE, before, ["factor", "volatility"])
        if len(frame):
            forecasts[key] = frame.set_index("factor")["volatility"]
    expected = pd.DataFrame.from_dict(forecasts, orient="index").reindex(columns=earned.columns)
    got = earned.reindex(expected.index)
    return _by_year(got, expected)


def _by_year(got: pd.DataFrame, expected: pd.DataFrame) -> pd.DataFrame:
    """Columns: years with at least 60 forecasts, and all; NaN where a factor has fewer."""
    parts = {}
    for year in [*sorted(set(got.index.str[:4])), "all"]:
        chosen = got.index.str.startswith("" if year == "all" else year)
        own, forecast = got[chosen], expected[chosen]
        bias = pd.Series(bias_statistic(own.to_numpy(dtype=float), forecast.to_numpy(dtype=float)), index=got.columns)
        parts[year] = bias.where((own.notna() & (forecast > 0)).sum() >= 60)
    table = pd.DataFrame(parts)
    return table.loc[:, table.notna().any()]


def bias_of_portfolios(work: Workspace, keys: list[str]) -> pd.DataFrame:
    """Bias of both indices, of the CSI 500 less the CSI 300, and of ten equal-weight portfolios drawn by a fixed seed, by year."""
    store, rng = work.store, np.random.default_rng(0)
    panels = work.panels
    symbols = sorted(store.read(risk_exposures.EXPOSURES, keys[-1], ["symbol"])["symbol"])
    drawn = {f"random {i}": set(rng.choice(symbols, 100, replace=False)) for i in range(10)}
    got: dict[str, dict[str, float]] = {}
    expected: dict[str, dict[str, float]] = {}
    for before, key in zip(keys[120:], keys[121:], strict=False):
        cov, specific = store.read(risk_model.COVARIANCE, before), store.read(risk_model.SPECIFIC, before)
        if not len(cov) or not len(specific):
            continue
        names = cov["factor"].tolist()
        frame = store.read(risk_exposures.EXPOSURES, before).set_index("symbol")
        frame = frame[frame["industry"].isin(names)]
        risk = specific.set_index("symbol")["specific_volatility"].reindex(frame.index)
        columns = panels.axis.known_columns(list(frame.index))
        at = panels.daily.index(key)
        closes = [panels.daily.field("close", row, row + 1)[0, columns].astype(float) for row in (at - 1, at)]
        styles = [name for name in names if name in frame.columns]
        x = np.column_stack([frame[n].to_numpy(float) if n in styles else np.ones(len(frame)) if n == "country"
                             else (frame["industry"] == n).to_numpy(float) for n in names])
        r = closes[1] / closes[0] - 1.0
        usable = ~(np.isnan(x).any(axis=1) | risk.isna().to_numpy() | np.isnan(r))
        index = store.read("index_weights", before)
        weights = {title: index[index["index_code"] == code].set_index("symbol")["weight"].reindex(frame.index).fillna(0.0).to_numpy()
                   for code, title in INDICES.items()}
        weights |= {name: frame.index.isin(members).astype(float) for name, members in drawn.items()}
        held = {name: np.where(usable, w, 0.0) / np.where(usable, w, 0.0).sum() for name, w in weights.items()}
        held["CSI 500 less CSI 300"] = held["CSI 500"] - held["CSI 300"]
        matrix = cov[names].to_numpy()
        got[key] = {name: float(w @ np.where(usable, r, 0.0)) for name, w in held.items()}
        expected[key] = {name: float(np.sqrt(portfolio_risk(w, x, matrix, risk.to_numpy(float)).variance)) for name, w in held.items()}
    table = _by_year(*(pd.DataFrame.from_dict(found, orient="index") for found in (got, expected)))
    random = table.index.str.startswith("random")
    return pd.concat([table[~random], table[random].mean().to_frame("ten random portfolios of 100, mean").T])


def index_table(work: Workspace, keys: list[str]) -> pd.DataFrame:
    """Mean absolute error in bp of weights of t − 1 × returns of t against the index, by year, and the correlation over all."""
    errors, before = {}, None
    for key in keys:
        now = {name: work.store.read(name, key) for name in ("daily_bars", "index_weights", "index_bars")}
        if before is not None:
            errors[key] = index_errors(before, now)
        before = now
    frame = pd.DataFrame.from_dict(errors, orient="index").abs() * 1e4
    table = frame.groupby(frame.index.str[:4]).mean()
    table.loc["2021 to 2024-10-08, weights published"] = frame[frame.index <= "2024-10-08"].mean()
    table.loc["all"] = frame.mean()
    return table.rename(columns=INDICES)


def attribution_table(work: Workspace) -> pd.DataFrame:
    """Annual contribution in percent of each component to the active return of the stored portfolios; industries added up."""
    columns = {}
    for name, title in PORTFOLIOS.items():
        if work.store.bundle(f"portfolios/{name}/attribution") is not None:
            summary = work.store.read_bundle(f"portfolios/{name}/attribution")["summary"].set_index("component")
            kept = summary[~summary["kind"].isin(["industry"])]["annualized"]
            columns[title] = 100 * kept
    return pd.DataFrame(columns)


def pictures(earned: pd.DataFrame, bias: pd.DataFrame, folder: Path) -> None:
    """Cumulated style returns; bias by factor."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    styles = earned.drop(columns="country")
    figure, axis = plt.subplots(figsize=(9, 4), constrained_layout=True)
    cumulated = 100 * styles.fillna(0.0).cumsum()
    cumulated.index = pd.to_datetime(cumulated.index)
    for at, name in enumerate(cumulated.columns):
        axis.plot(cumulated.index, cumulated[name], color=plt.get_cmap("tab10")(at % 10), label=name, linewidth=1.2)
    axis.set_ylabel("sum of daily returns, %")
    axis.axhline(0, color="0.6", linewidth=0.8)
    axis.legend(frameon=False, ncols=5, fontsize=8, loc="upper left")
    figure.savefig(folder / "risk_model_real_styles.png", dpi=90)
    plt.close(figure)
    figure, axis = plt.subplots(figsize=(9, 3), constrained_layout=True)
    axis.bar(bias.index, bias["all"], color="tab:blue")
    axis.axhline(1, color="0.4", linewidth=0.8)
    axis.set_ylabel("bias, all sessions")
    axis.tick_params(axis="x", rotation=30)
    figure.savefig(folder / "risk_model_real_bias.png", dpi=90)
    plt.close(figure)


def markdown(table: pd.DataFrame, digits: int) -> str:
    """A table of numbers, row labels in front."""
    def cell(value: float) -> str:
        return "" if pd.isna(value) else f"{value:.{digits}f}"

    lines = ["| | " + " | ".join(map(str, table.columns)) + " |", "|---" * (table.shape[1] + 1) + "|"]
    lines += [f"| {label} | " + " | ".join(cell(v) for v in row) + " |" for label, row in zip(table.index, table.to_numpy(float), strict=True)]
    return "\n".join(lines)


def page(work: Workspace, keys: list[str], images: Path) -> str:
    """The whole page; writes the pictures."""
    earned, t = t_statistics(work, keys)
    bias = bias_of_factors(work, earned)
    pictures(earned, bias, images)
    factors, index = factor_table(earned, t), index_table(work, keys)
    published = index.loc["2021 to 2024-10-08, weights published", "CSI 300"]
    verdict = "met" if published <= INDEX_BAR else "**missed**"
    note = work.store.manifest(risk_exposures.EXPOSURES, keys[-1])
    styles = "" if note is None else str(note.meta["note"])
    return f"""# The risk model on real bars, {earned.index[0]} to {earned.index[-1]}

Written by `python -m benchmarks.real_cn.risk_page`; do not edit by hand. The sample
(`benchmarks/real_cn/market.toml`) is not part of this repository. It
holds {len(work.panels.axis.symbols):,} names that were in CSI 300 or CSI 500 at some time, survivors only, so these
are returns of large and middle names chosen with
hindsight: nothing here says what a style earned in the whole market. Float shares are total shares, amounts of most
names a typical price times volume.
{styles} Styles start when their windows are filled (`sessions`).

## Factor returns

Daily regression on country, industries and styles, weights √cap; simple annualization (× 252). A factor return's own
t is its return over
√Σ p² u², p the factor portfolio, u the specific returns of the session; a share near 5 % would be noise.

{markdown(factors, 2)}

![cumulated style returns](../images/risk_model_real_styles.png)

{markdown(r_squared(work, keys), 3)}

## Are the forecasts of the right size?

Bias statistic: standard deviation of return over the volatility forecast at the close before; 1 is right, above 1 the
forecast was too low. The first forecasts
rest on 60 sessions, not on the 1,008 that the windows ask for. With 242 sessions a year chance alone moves it by
about ± 0.09.

Factors, by year:

{markdown(bias, 2)}

![bias by factor](../images/risk_model_real_bias.png)

Portfolios (names without exposures or specific risk left out and the rest scaled to one):

{markdown(bias_of_portfolios(work, keys), 2)}

## Attribution of the enhanced portfolios

`multifreq_daily` on this sample, 2023 to 2025: percent a year of active return, linked over time; the compact six
styles of `risk/styles.py`. `benchmark_gap` is the weights times returns less the index: dividends, which a price index
leaves out, and errors of the weights. `trading` is what execution at vwap instead of the close earned.

{markdown(attribution_table(work), 2)}

## The index from its weights

Weights of the close before × returns, against the price index; mean absolute error in basis points. CSI 300 weights
are published to 2024-10-08 and
drifted afterwards; CSI 500 weights are a proxy, members by total market value. Bar: CSI 300 with published weights ≤
{INDEX_BAR:.0f} bp: {published:.2f} bp, {verdict}.

{markdown(index, 2)}
"""


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    options = parser.parse_args()
    market = load_market(str(Path(__file__).with_name("daily.toml")))
    work = Workspace(market, str(Path(os.environ.get("ALPHA_PIPELINE_DATA", "data")) / market.name))
    keys = list(work.panels.daily.dates)
    make(work, keys)
    target = options.docs / "experiments" / "risk_model_real.md"
    target.write_text(page(work, keys, options.docs / "images"), encoding="utf-8")
    print(f"{target} written")


if __name__ == "__main__":
    main()
