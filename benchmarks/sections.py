"""Which benchmarks make up docs/benchmarks.md, in which order, with which bars."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Bar:
    """A figure with a limit. ``pattern`` finds it in the output as its only group, or as the ratio of its first to its second."""

    name: str
    pattern: str
    limit: float
    at_least: bool = True
    unit: str = "x"

    def figure(self, output: str) -> float:
        """The figure; for two groups their ratio, first over second. An output without it is a bug of this table."""
        found = re.search(self.pattern, output, re.DOTALL)
        assert found is not None, f"bar '{self.name}': no match in the output"
        numbers = [float(group.replace(",", "")) for group in found.groups()]
        return numbers[0] if len(numbers) == 1 else numbers[0] / numbers[1]

    def row(self, output: str) -> str:
        """Line of a table: name, figure, limit, verdict."""
        value = self.figure(output)
        is_met = value >= self.limit if self.at_least else value <= self.limit
        sign = "≥" if self.at_least else "≤"
        return (
            f"| {self.name} | {value:.3g} {self.unit} | {sign} {self.limit:g} {self.unit} | {'met' if is_met else '**missed**'} |"
        )


@dataclass(frozen=True)
class Section:
    """One part of the page: commands (arguments after ``python -m benchmarks.``), bars, and what a reader should know."""

    key: str
    title: str
    commands: tuple[str, ...]
    bars: tuple[Bar, ...]
    notes: str


def _step_bars(n_steps: int, library: float, eager: float) -> tuple[Bar, ...]:
    head = rf"6 -> 30, {n_steps} steps.*?"
    return (
        Bar(f"{n_steps} steps, against nn.GRU", head + r"nn\.GRU +\S+ s +(\S+) x", library),
        Bar(f"{n_steps} steps, against an eager loop", head + r"eager +\S+ s +(\S+) x", eager),
        Bar(f"{n_steps} steps, useful rate over matmul", head + r"= (\d+)%", 50.0, unit="%"),
    )


def _test_bar(name: str, way: str, limit: float) -> Bar:
    return Bar(f"{name}, against pandas ({way})", rf"{name} .*?{re.escape(way)} .*?ratio +(\S+) ", limit)


def _window_bars(tensor: str) -> tuple[Bar, ...]:
    return (
        Bar(f"{tensor}, lazy step over a precomputed one", rf"{tensor}: .*?ratio (\S+) \(bar", 1.10, at_least=False),
        Bar(f"{tensor}, memory over the raw panel", rf"{tensor}: .*?memory ratio (\S+) ", 1.3, at_least=False),
    )


_PLANTED = ("size", "beta", "momentum", "volatility", "liquidity", "value")

SECTIONS = (
    Section(
        "recovery",
        "Recovery of planted alpha",
        ("recovery --root build/recovery",),
        (
            Bar("ensemble's RankIC over the oracle's", r"(?:met|MISSED): (-?\d+)% of the oracle", 50.0, unit="%"),
            Bar("ensemble − best linear blend, RankIC", r"above the best linear blend.*?ours − its = (\S+) ", 0.0, unit=""),
            Bar(
                "control on permuted labels, distance from zero",
                r"the control lies (\S+) standard errors",
                2.5,
                at_least=False,
                unit="s.e.",
            ),
        ),
        "Out-of-sample dates of a market whose expected returns are known. RankIC overlaps from session to session, so errors "
        "are Newey-West with 10 lags; a year holds about 24 independent 10-day periods, and its error is large. The correlation "
        "with the oracle has next to no error and is the better measure of what was found.",
    ),
    Section(
        "recovery_control",
        "Recovery: many controls",
        ("recovery_control",),
        (Bar("mean of the controls, distance from zero", r"is \S+: (\S+) standard errors", 2.5, at_least=False, unit="s.e."),),
        "One control is one random function of its inputs: it leans on planted pieces by chance, steadily, and the Newey-West error "
        "does not know how another draw would have leaned. The mean over permutations is what a leak would move.",
    ),
    Section(
        "recovery_zoo",
        "Recovery: every network of the zoo",
        ("recovery_zoo", "recovery_zoo --causes"),
        (),
        "Equal and modest terms (every 10th date, one seed, at most 40 epochs), not each network at its best: most stop within 16 epochs "
        "on 67 training dates. Trained in several earlier goes (0.0 s here: found) beside other work, so seconds are upper bounds; the two with "
        "self-attention on one thread. Why some stay below the fitted blend, found by changing one thing at a time (second command): the daily "
        "GRU and the LSTM stop before they have learned the slow wave, the largest planted piece (correlation 0.31 and 0.36); with "
        "patience 30 they find 0.49 and 0.58 and beat the blend, and with twice the dates the daily GRU has 11.6 %. A GRU that reads its "
        "last state after 320 steps forgets the wave (0.16, `attention_rnn` 0.11) where attention over the same steps keeps it (0.43, "
        "0.49); patience finds it (0.62) at the price of the reversal. AlphaNet overfits: v2 with −IC and patience 30 ends at a training IC of "
        "0.52 with a best validation IC of 0.05, and none finds more than 0.27 of the wave; neither patience nor twice the dates helps, "
        "−IC instead of its squared error lifts v1 from 6.7 to 8.3 % and v2 from 5.2 to 5.7 %. v2.2 and v2.3 are v2 with part of the "
        "label taken away: styles, or the weight of the lower half (it finds neither low volatility nor low turnover). Mixed, "
        "incremental, `factor_gru` and the two with self-attention lie within a standard error of the blend.",
    ),
    Section(
        "recovery_precision",
        "bfloat16",
        ("precision", "precision --only factor_transformer --seeds 1", "precision --only gru_daily --seeds 1 --recurrent reference --patient"),
        (),
        "Forward passes under autocast against float32, beside two trainings in float32 that differ by their seeds alone. Precision moves RankIC "
        "by 0 to −0.25 points; other seeds move it by up to 1.9, with errors of 0.15 to 0.4. The kernel of the daily GRU stays in float32 "
        "(first table); with its gates in bfloat16 as well, and trained for many epochs, it loses 0.05 points (third table). A CPU's numbers: "
        "torch rounds there where a GPU would, and speed is not measured. Where a training takes 0.0 s, it was found from an earlier run.",
    ),
    Section(
        "training_step",
        "Training step",
        ("training_step", "training_step --steps 40 --hidden 64", "training_step --memory", "training_step --cell lstm"),
        (
            *_step_bars(320, 7.0, 4.0),
            *_step_bars(40, 5.0, 4.0)[:2],
            Bar("hidden 64, 40 steps, against nn.GRU", r"6 -> 64, 40 steps.*?nn\.GRU +\S+ s +(\S+) x", 3.0),
            Bar(
                "memory of a step at 320 steps over nn.GRU's",
                r"memory.*?320 steps.*?ours +(\S+) MiB\s+nn\.GRU +(\S+) MiB",
                0.2,
                at_least=False,
            ),
        ),
        "The kernel runs in vector lanes on both cores; whatever else runs on the machine takes more from it than from torch's "
        "loop, which waits for memory. On a quiet machine the ratios are highest; the load is printed in each line.",
    ),
    Section(
        "attention",
        "Attention over the steps",
        ("attention",),
        (
            Bar("AttentionSelf, 320 steps, torch's attention over ours", r"AttentionSelf, 320 .*?torch +.*? (\S+) x", 1.5),
            Bar("AttentionResidual, 320 steps, torch's attention over ours", r"AttentionResidual, 320 .*?torch +.*? (\S+) x", 1.5),
        ),
        "Whole steps: the recurrent layer, the same on both sides, the attention, the orthogonal layer; forward and backward. torch's side is"
        " its fused attention (`scaled_dot_product_attention`). 160 steps of 20 fields are the report's 30-minute characteristics.",
    ),
    Section(
        "alphanet",
        "AlphaNet",
        ("alphanet",),
        (
            Bar("operators, Python loops over batched", r"operators.*?loops +\S+ ms +(\S+) x", 20.0),
            Bar("training step, v2 over v2.1", r"training step.*?v2 +\S+ ms +(\S+) x", 1.8),
        ),
        "Small operations on two threads: on a busy machine the threads wait for each other at every one of them, and the loops, "
        "which have thousands, wait most.",
    ),
    Section(
        "windows",
        "Windows",
        ("windows",),
        tuple(bar for tensor in ("intraday_15m", "daily", "weekly", "rawbar", "alphanet", "mschars", "chars_30m") for bar in _window_bars(tensor)),
        "What is stored is the panel; a standardized window is cut out of it when a step asks for it.",
    ),
    Section(
        "characteristics",
        "Intraday characteristics",
        ("characteristics",),
        (
            Bar("one day of 5,000 stocks at one minute", r"ours +5000 stocks +(\S+) s", 2.0, at_least=False, unit="s"),
            Bar("pandas groupby over ours, per stock", r"ratio per stock (\S+) x", 20.0),
            Bar("largest difference", r"largest difference (\S+)", 1e-9, at_least=False, unit=""),
        ),
        "All 40 characteristics of a day, price-volume and order flow, in the calling thread. The pandas side is measured on 250 stocks.",
    ),
    Section(
        "panels",
        "Storage",
        ("panels",),
        (
            Bar(
                "reading the parquet days over opening the panel and taking a window",
                r"into one array +(\S+) ms.*?20-day window +(\S+) ms",
                15.0,
            ),
            Bar(
                "reading the parquet days over opening and reading the whole panel",
                r"into one array +(\S+) ms.*?every value +(\S+) ms",
                15.0,
            ),
            Bar("appending one more date", r"append one date +(\S+) ms", 50.0, at_least=False, unit="ms"),
        ),
        "The panel side copies every value into memory; opening alone, or taking one window, costs a fraction of that.",
    ),
    Section(
        "optimizer",
        "Optimizer",
        ("optimizer", "optimizer --suite riskcontrol --dates 300", "optimizer --suite tracking_error --dates 30",
         "optimizer --suite relaxed --dates 10"),
        (
            Bar("cvxpy + ECOS rebuilt each week, over ours", r"ECOS, rebuilt +\S+ ms +(\S+) x", 4.0),
            Bar("objective gap to ECOS", r"ECOS, rebuilt .*?gap (\S+)", 1e-7, at_least=False, unit=""),
            Bar("300 weeks with the RISKCONTROL constraints", r"riskcontrol: .*?; sum (\S+)", 60.0, at_least=False, unit="s"),
            Bar("a week with a tracking-error limit, median", r"tracking_error: .*?median (\S+),", 0.5, at_least=False, unit="s"),
            Bar("a week with a tracking-error limit, proven gap", r"tracking_error: .*?largest gap (\S+)", 1e-6, at_least=False, unit=""),
            Bar("such a week whose limits cannot all be held, median", r"\nrelaxed: \d.*?median (\S+),", 0.5, at_least=False, unit="s"),
            Bar("such a week whose limits cannot all be held, proven gap", r"\nrelaxed: \d.*?largest gap (\S+)", 1e-6, at_least=False, unit=""),
        ),
        "Gaps of the other peers are their own default tolerances. `relaxed` asks for 2 % tracking error with little turnover where 5 % was held:"
        " turnover gives way by the least amount. Finding that takes five or six cone programs, each as long as a week that holds its limits.",
    ),
    Section(
        "factor_tests",
        "Factor tests",
        ("factor_tests", "alphalens_loop"),
        (
            Bar("IC and layers, alphalens' loops over ours", r"IC and layers .*?ratio +(\S+) ", 10.0),
            Bar("IC and layers, largest difference", r"IC and layers .*?largest difference (\S+)", 1e-10, at_least=False, unit=""),
            _test_bar("neutralize", "lstsq", 50.0),
            _test_bar("neutralize", "statsmodels", 50.0),
            _test_bar("rank_ic", "corr(spearman)", 15.0),
            _test_bar("rank_ic", "rank, then corr", 15.0),
        ),
        "Seconds by the clock; ours works on blocks of dates on all cores, pandas on one, so the ratio needs a quiet machine. "
        "The pandas peers are the two ways one would write each; the quicker one is the harder bar. alphalens' loops are its calls written out"
        " again; the package itself is not imported.",
    ),
    Section(
        "risk_model",
        "Risk model: planted factor returns found again",
        ("risk_model 5000 20 5000 2",),
        (
            Bar("2,500 dates x 5,000 stocks, ten styles and factor returns", r"2500 dates take (\S+) minutes", 10.0, at_least=False, unit="min"),
            *(Bar(f"{name}, weights √cap", rf"\n *{name} +\S+ +(\S+) ", 0.9, unit="") for name in _PLANTED),
            *(Bar(f"{name}, weights 1/specific variance", rf"\n *{name} +\S+ +\S+ +(\S+) ", 0.9, unit="") for name in _PLANTED),
        ),
        "Correlation of daily estimated and planted style returns, two years of a simulated market of 5,000 stocks; a standard error of the smallest"
        " is about 0.01. √cap is the convention and what the stored risk model uses, 1/specific variance (`efficient`) what"
        " `PortfolioSpec.attribution=\"efficient\"` explains a portfolio with. Two things keep an estimate from the planted return:"
        " our descriptors measure something else than the market used (`definition`: the planted shared returns, free of specific ones, put"
        " through the same regression), and specific returns (`noise`). The planted volatility is a logarithm of recent squared returns, ours the"
        " standard composite of a year; by Frisch–Waugh its orthogonality to size and beta changes what these two earn, not what it earns.",
    ),
    Section(
        "peer_epochs",
        "Whole epochs against qlib's loop",
        ("peer_epochs",),
        (
            Bar("epoch, qlib's pytorch_gru_ts loop over ours", r"epoch ratio (\S+) x", 5.0),
            Bar("memory above the imports, ours over theirs", r"memory share (\S+)", 0.2, at_least=False),
        ),
        "The peer's loop is re-measured with torch's GRU and DataLoader on the same windows, expanded; qlib itself is not imported.",
    ),
    Section(
        "scaling",
        "Growth with stocks and dates, and the full job",
        ("scaling --picture docs/images/scaling.png",),
        (
            Bar("exponent of seconds on stocks", r"stocks, 10 dates.*?exponent (\S+)", 1.15, at_least=False, unit=""),
            Bar("exponent of seconds on dates", r"dates, 1,000 stocks.*?exponent (\S+)", 1.15, at_least=False, unit=""),
        ),
        "![seconds per epoch by number of stocks and of dates](images/scaling.png)\n\nThe full job is an estimate from these pieces; "
        "nothing in it was run at that size, and nothing was measured on a GPU.",
    ),
    Section(
        "ensemble",
        "Ensemble",
        ("ensemble",),
        (),
        "Three members alone, together in one pass (the same bits), and stacked under vmap. On a CPU the pass saves the windows, a few "
        "percent of a step; stacking is for GPUs, where it was not measured.",
    ),
    Section(
        "simulated_market",
        "Simulated market",
        ("simulated_market",),
        (),
        "Generation alone, without checks and storage. The oracle and its ceiling: "
        "`python -m benchmarks.simulated_market --facts --oracle`.",
    ),
)
