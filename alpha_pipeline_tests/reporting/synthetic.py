"""Made-up report inputs of full size: random numbers with plausible levels, no market behind them. Shared by the reporting
tests.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from alpha_pipeline.experiments.published_multifreq import CNI2000, CSI300, CSI500, CSI1000, MULTIFREQ_PUBLISHED
from alpha_pipeline.reporting.inputs import Attribution, FactorTest, PortfolioReport, ReportInputs
from alpha_pipeline.reporting.published import published_key

MODELS = ("gru_15m", "gru_15m_attention", "mixed", "incremental")
STYLES = ("SIZE", "BETA", "MOMENTUM", "RESVOL", "NLSIZE", "LIQUIDITY")


def factor_test(seed: int, mean: float = 0.08, n_weeks: int = 60, n_layers: int = 10) -> FactorTest:
    """A factor test with RankIC around ``mean``."""
    rng = np.random.default_rng(seed)
    dates = pd.date_range("2017-01-04", periods=n_weeks, freq="7D")
    days = pd.bdate_range("2017-01-04", periods=5 * n_weeks)
    rank_ic = rng.normal(mean, 0.08, n_weeks)
    base = rng.normal(0.0002, 0.012, len(days))
    tilt = np.linspace(mean / 80, -mean / 80, n_layers)
    layers = {f"L{k + 1}": base + tilt[k] + rng.normal(0, 0.002, len(days)) for k in range(n_layers)}
    annual = tilt * 252
    icir = float(rank_ic.mean() / rank_ic.std(ddof=1))
    return FactorTest(
        ic=pd.DataFrame({"trade_date": dates, "rank_ic": rank_ic, "ic": rank_ic * 0.9, "n_stocks": 480}),
        layers_daily=pd.DataFrame({"trade_date": days, "base": base, **layers}),
        layers_summary=pd.DataFrame(
            {
                "layer": np.arange(1, n_layers + 1),
                "annual_return": annual + 0.05,
                "annual_excess": annual,
                "ir": annual / 0.05,
                "monthly_win_rate": np.clip(0.5 + annual, 0, 1),
                "turnover_two_sided": 1.1,
            }
        ),
        summary=pd.DataFrame(
            [
                {
                    "n_dates": n_weeks,
                    "rank_ic_mean": rank_ic.mean(),
                    "rank_ic_std": rank_ic.std(ddof=1),
                    "icir": icir,
                    "ic_positive_share": (rank_ic > 0).mean(),
                    "t_nw": icir * np.sqrt(n_weeks) * 0.9,
                    "top_annual_excess": annual[0],
                    "top_ir": annual[0] / 0.06,
                    "top_monthly_win_rate": 0.81,
                    "top_turnover_two_sided": 1.12,
                    "long_short_annual": 2 * annual[0],
                    "long_short_sharpe": 3.2,
                    "autocorrelation": 0.41,
                    "mean_n_stocks": 480.0,
                }
            ]
        ),
    )


def portfolio(seed: int, benchmark: str, limit: float, n_days: int = 300) -> PortfolioReport:
    """A backtested portfolio against ``benchmark`` with a limit on two-sided turnover."""
    rng = np.random.default_rng(seed)
    days = pd.bdate_range("2017-01-04", periods=n_days)
    market = rng.normal(0.0003, 0.012, n_days)
    excess = rng.normal(0.0006, 0.0035, n_days)
    trades = days[::5]
    turnover = np.r_[1.0, np.minimum(limit, rng.normal(limit * 0.95, 0.03, len(trades) - 1))]
    relaxed = rng.random(len(trades)) < 0.03
    binding = [
        "turnover (0.004); size (0.01); industry 银行" if x < 0.6 else "turnover (0.003); constituents"
        for x in rng.random(len(trades))
    ]
    years = sorted({d.year for d in days})
    return PortfolioReport(
        benchmark=benchmark,
        settings={
            "objective": "maximize expected return",
            "max_turnover_two_sided": limit,
            "max_deviation": 0.008,
            "min_constituent_weight": 0.8,
            "industry_bound": "neutral",
            "size_bound": "neutral",
            "cost": "0.4% two-sided",
            "price": "vwap of t+1",
        },
        daily=pd.DataFrame(
            {
                "trade_date": days,
                "portfolio_return": market + excess,
                "benchmark_return": market,
                "excess_return": excess,
                "nav": np.cumprod(1 + market + excess),
                "excess_nav": np.cumprod(1 + excess),
                "turnover_two_sided": np.where(days.isin(trades), limit, 0.0),
                "cost": 0.0006,
                "cash": 0.002,
            }
        ),
        summary={
            "annual_return": 0.21,
            "annual_volatility": 0.2,
            "sharpe": 1.05,
            "max_drawdown": 0.25,
            "annual_excess_return": 0.1623,
            "tracking_error": 0.055,
            "excess_max_drawdown": 0.043,
            "information_ratio": 2.95,
            "calmar": 3.77,
            "monthly_win_rate": 0.8,
            "mean_turnover_two_sided": float(turnover[1:].mean()),
            "benchmark_annual_return": 0.04,
            "benchmark_annual_volatility": 0.19,
            "benchmark_sharpe": 0.21,
            "benchmark_max_drawdown": 0.31,
        },
        yearly=pd.DataFrame({"year": years, "portfolio_return": 0.2, "benchmark_return": 0.05, "excess_return": 0.14}),
        rebalances=pd.DataFrame(
            {
                "trade_date": trades,
                "status": np.where(relaxed, "relaxed", "optimal"),
                "turnover_two_sided": turnover,
                "relaxations": np.where(relaxed, "turnover=0.021", ""),
                "binding": binding,
                "n_names": 150,
            }
        ),
        published_key=published_key(benchmark, limit),
    )


def attribution(seed: int, n_days: int = 300) -> Attribution:
    """An attribution whose parts add up."""
    rng = np.random.default_rng(seed)
    parts = {name: rng.normal(0.00002, 0.0004, n_days) for name in ("country", "industry", *STYLES)}
    parts |= {
        "specific": rng.normal(0.0006, 0.002, n_days),
        "trading": rng.normal(0.0001, 0.0004, n_days),
        "cost": np.full(n_days, -0.00011),
    }
    daily = pd.DataFrame({"trade_date": pd.bdate_range("2017-01-04", periods=n_days), **parts})
    daily["active_return"] = daily[list(parts)].sum(axis=1)
    total = daily.drop(columns="trade_date").sum()
    return Attribution(
        daily=daily,
        summary=pd.DataFrame(
            {"component": total.index, "cumulative": total.to_numpy(), "annualized": total.to_numpy() * 252 / n_days}
        ),
        exposures=pd.DataFrame(
            {
                "factor": [*STYLES, "银行", "食品饮料"],
                "mean_active_exposure": np.r_[rng.normal(0, 0.1, len(STYLES)), 0.001, -0.002],
            }
        ),
    )


def training_curve(seed: int, stages: tuple[int, ...]) -> pd.DataFrame:
    """A learning curve; stages follow one another."""
    rng = np.random.default_rng(seed)
    frames = []
    for stage, n in enumerate(stages, start=1):
        rise = 0.05 * stage * (1 - np.exp(-np.arange(1, n + 1) / 4))
        frames.append(
            pd.DataFrame(
                {
                    "stage": stage,
                    "epoch": np.arange(1, n + 1),
                    "train_loss": -(rise + 0.03),
                    "valid_ic": rise + rng.normal(0, 0.004, n),
                    "valid_rank_ic": rise + 0.008 + rng.normal(0, 0.004, n),
                    "seconds": 2.5,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def full_inputs(is_simulated: bool = True) -> ReportInputs:
    """Every part of a MULTIFREQ report filled."""
    universes = (CSI300, CSI500, CSI1000, "all")
    tests = {(u, m): factor_test(10 * i + j, 0.05 + 0.01 * j) for i, u in enumerate(universes) for j, m in enumerate(MODELS)}
    comparisons = {
        (u, name): factor_test(900 + 10 * i + j, mean)
        for i, u in enumerate(universes)
        for j, (name, mean) in enumerate((("oracle", 0.12), ("linear blend", 0.04)))
    }
    matrix = np.array([[1, 0.69, 0.51, 0.55], [0.69, 1, 0.46, 0.46], [0.51, 0.46, 1, 0.73], [0.55, 0.46, 0.73, 1]])
    portfolios = {
        f"{b}_{round(x * 100)}": portfolio(100 * i + j, b, x)
        for i, b in enumerate((CSI300, CSI500, CSI1000, CNI2000))
        for j, x in enumerate((0.3, 0.4, 0.5))
    }
    return ReportInputs(
        experiment="multifreq",
        title="Multi-frequency factor mining, on a test of the page",
        system="MULTIFREQ",
        description="Four recurrent networks on daily and 15-minute bars in four universes, and four enhanced index portfolios.",
        provenance={
            "market": "simulated_small" if is_simulated else "real_cn",
            "is_simulated": is_simulated,
            "summary": "Random numbers made for testing the page.",
            "source_notes": ["Bars are stamped at the end of the bar."],
            "proxies": {"vwap": "typical price (high + low + close) / 3", "industry": "first-level board sector"},
            "missing": {"fundamentals": "the source has none; six price-volume styles are used"},
            "data_hash": "9f2ab1c4",
            "code_version": "0.1.0",
            "seeds": [0, 1],
            "spec_digests": {"incremental": "1c2d3e4f"},
            "first_date": "2017-01-04",
            "last_date": "2018-03-02",
            "library_versions": {"torch": "2.13", "pandas": "3.1"},
        },
        conventions=["Signals of t trade on t+1 at vwap.", "Factor tests charge no costs."],
        factor_tests=tests,
        comparisons=comparisons,
        correlation=pd.DataFrame(matrix, index=list(MODELS), columns=list(MODELS)),
        training={
            (m, p, s): training_curve(hash_free(m, p, s), (19, 31) if m == "incremental" else (24,))
            for m in MODELS
            for p in ("2017H1", "2017H2")
            for s in (0, 1)
        },
        portfolios=portfolios,
        attributions={name: attribution(i) for i, name in enumerate(portfolios)},
        published=MULTIFREQ_PUBLISHED,
        labels={"oracle": "Oracle (planted signal)", "linear blend": "Linear blend"},
        headline=("all", "incremental"),
    )


def hash_free(model: str, period: str, seed: int) -> int:
    """A seed for a training run that does not depend on the interpreter's string hashing."""
    return MODELS.index(model) * 100 + int(period[:4]) + int(period[-1]) * 10 + seed


def empty_inputs() -> ReportInputs:
    """A report with nothing in it but its provenance and one reason."""
    return ReportInputs(
        experiment="empty",
        title="Nothing ran",
        system="MULTIFREQ",
        description="An interrupted run.",
        provenance={"market": "none", "is_simulated": False},
        missing_sections={"portfolios": "The optimizer was switched off for this run."},
    )
