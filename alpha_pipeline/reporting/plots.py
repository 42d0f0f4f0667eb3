"""Pictures of tables: each function takes a table, draws on ``ax`` (or on a new figure) and returns the axes.

Matplotlib's object interface only, so nothing depends on a display or on ``pyplot``'s global state. Colours are those of Okabe
and Ito, told apart with every common colour blindness. Figures carry English labels: a machine need not have a font with Chinese
glyphs, so a label outside Latin text is replaced by a number (:func:`plain_label`) and the HTML tables name it in full.
Dates are the test or trade dates of the table; a missing value leaves a gap in a line and adds
nothing to a running sum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

INK, MUTED, GRID = "#22303c", "#6b7780", "#e3e7ea"
BLUE, ORANGE, GREEN, RED, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
SERIES = (BLUE, RED, GREEN, PURPLE, ORANGE, SKY)
_LAYERS = LinearSegmentedColormap.from_list("layers", [BLUE, "#9cc3dc", "#c9ced2", "#ecb48a", RED])
_HEAT = LinearSegmentedColormap.from_list("heat", ["#f7fafc", "#9cc3dc", BLUE])
# A line of 10 years of sessions is thinned for the picture only; a few hundred points are more than the pixels can show.
_MAX_POINTS = 420
_LINES, _MARKERS = ("-", "--", "-.", ":"), (".", "x", "+", "^")
_MAX_ABREAST = 46  # letters that fit under a heat map of few cells
_MAX_INSIDE = 6  # a longer legend stands below the picture, where it hides nothing


def series_color(k: int) -> str:
    """Colour of the k-th series, from 0; a seventh has the first's again and is told apart by :func:`series_line`."""
    return SERIES[k % len(SERIES)]


def series_line(k: int) -> str:
    """Line style of the k-th series, from 0: another one each time the colours are used up."""
    return _LINES[k // len(SERIES) % len(_LINES)]


def new_axes(width: float = 6.4, height: float = 3.2) -> Axes:
    """Axes on a figure of its own, sizes in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure.add_subplot()


def square_axes(n: int) -> Axes:
    """Axes for a heat map of n × n cells with their numbers."""
    size = max(3.6, 0.34 * n + 2.0) if n > _MAX_INSIDE else 3.6
    return new_axes(max(4.8, size), size)


def plain_label(label: str, number: int) -> str:
    """The label if every character has a glyph in the default font, else ``#number``.

    >>> plain_label("CSI 300", 1), plain_label("银行", 2)
    ('CSI 300', '#2')
    """
    return label if all(ord(c) < 0x250 or c in "–—≤≥−×" for c in label) else f"#{number}"


def cumulative_rank_ic_plot(ics: Mapping[str, pd.DataFrame], ax: Axes | None = None, *, dashed: Sequence[str] = ()) -> Axes:
    """Running sum of RankIC, one line per score; ``ics`` maps a label to [trade_date, rank_ic]. ``dashed`` labels are
    comparisons.
    """
    ax = _ready(ax, "Cumulative RankIC", "sum of RankIC")
    n_solid = 0
    for number, (label, ic) in enumerate(ics.items(), start=1):
        dates, total = thinned(ic["trade_date"], ic["rank_ic"].fillna(0.0).cumsum())
        if label in dashed:
            ax.plot(
                dates,
                total,
                color=INK,
                lw=1.1,
                ls=(0, (4, 2)) if label == dashed[0] else (0, (1, 1.5)),
                label=plain_label(label, number),
            )
        else:
            ax.plot(dates, total, series_line(n_solid), color=series_color(n_solid), lw=1.6, label=plain_label(label, number))
            n_solid += 1
    date_axis(ax)
    return _legend(ax)


def layers_plot(layers_daily: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Relative NAV of each layer: its NAV over the base's, from [trade_date, base, L1 … Ln] daily returns. L1 is drawn
    strongest.
    """
    ax = _ready(ax, "Layers' NAV relative to the universe", "layer NAV / base NAV")
    names = sorted((c for c in layers_daily.columns if c[:1] == "L" and c[1:].isdigit()), key=lambda c: int(c[1:]))
    base = (1 + layers_daily["base"]).cumprod()
    for i, name in enumerate(names):
        dates, nav = thinned(layers_daily["trade_date"], (1 + layers_daily[name]).cumprod() / base)
        edge = i in (0, len(names) - 1)
        ax.plot(dates, nav, color=_LAYERS(i / max(len(names) - 1, 1)), lw=2.0 if edge else 1.0, zorder=3 if edge else 2)
        if edge and len(nav):
            ax.annotate(
                f"{name} (top)" if i == 0 else name,
                (dates.iloc[-1], nav.iloc[-1]),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                color=_LAYERS(i / max(len(names) - 1, 1)),
                weight="bold",
                annotation_clip=False,
            )
    ax.axhline(1.0, color=MUTED, lw=0.8)
    date_axis(ax)
    return ax


def factor_test_figure(ic: pd.DataFrame, layers_daily: pd.DataFrame, label: str) -> Figure:
    """Cumulative RankIC and layers of one score side by side: the small picture of a factor test."""
    figure = Figure(figsize=(9.0, 3.0), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    cumulative_rank_ic_plot({label: ic}, left)
    layers_plot(layers_daily, right)
    return figure


def correlation_plot(matrix: pd.DataFrame, ax: Axes | None = None, *, title: str = "Model correlation") -> Axes:
    """Heat map of a square table of correlations with the numbers written in; NaN cells (the diagonal of a published table) stay
    blank.
    """
    ax = _ready(ax, title, "")
    values = matrix.to_numpy(dtype=float)
    n = len(values)
    is_large = n > _MAX_INSIDE
    # Drawn as cells rather than as an image, so that it stays sharp in print.
    ax.pcolormesh(
        np.arange(n + 1), np.arange(n + 1), np.ma.masked_invalid(values), cmap=_HEAT, vmin=0.0, vmax=1.0, edgecolors="white", lw=2
    )
    for i, j in np.ndindex(values.shape):
        if np.isfinite(values[i, j]):
            ax.text(
                j + 0.5,
                i + 0.5,
                f"{values[i, j]:.2f}",
                ha="center",
                va="center",
                fontsize=6.5 if is_large else 9,
                color="white" if values[i, j] > 0.62 else INK,
            )
    plain = [plain_label(str(m), k) for k, m in enumerate(matrix.columns, start=1)]
    labels = plain if is_large else [text.replace(", ", ",\n").replace(" + ", "\n+ ") for text in plain]
    is_crowded = n * max((len(line) for text in labels for line in text.split("\n")), default=0) > _MAX_ABREAST
    ax.set_xticks(np.arange(n) + 0.5, labels, rotation=90 if is_large or is_crowded else 0)
    ax.set_yticks(np.arange(n) + 0.5, labels)
    ax.invert_yaxis()
    ax.grid(False)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0, labelsize=6.5 if is_large else 7.5)
    return ax


def training_plot(curve: pd.DataFrame, ax: Axes | None = None, *, loss_is_negative_ic: bool = True) -> Axes:
    """IC by epoch of one training run, all stages after one another in one picture; later stages are shaded.

    ``curve`` is [stage, epoch, train_loss, valid_ic, valid_rank_ic] in order of training. The dot is the epoch with the best
    validation IC of its stage, the one that is kept. With ``loss_is_negative_ic`` (MULTIFREQ's loss) the training line is minus
    the loss.
    """
    ax = _ready(ax, "Training", "IC")
    step = np.arange(1, len(curve) + 1)
    if loss_is_negative_ic:
        ax.plot(step, -curve["train_loss"], color=MUTED, lw=1.3, label="train IC (= −loss)")
    ax.plot(step, curve["valid_ic"], color=BLUE, lw=1.8, label="validation IC")
    ax.plot(step, curve["valid_rank_ic"], color=ORANGE, lw=1.3, label="validation RankIC")
    for k, stage in enumerate(curve["stage"].unique()):
        rows = np.flatnonzero((curve["stage"] == stage).to_numpy())
        if k:
            ax.axvspan(rows[0] + 0.5, rows[-1] + 1.5, color=SKY, alpha=0.12, lw=0)
            ax.axvline(rows[0] + 0.5, color=MUTED, lw=0.8)
        if curve["stage"].nunique() > 1:
            ax.annotate(
                f"stage {stage}",
                ((rows[0] + rows[-1]) / 2 + 1, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(0, -10),
                textcoords="offset points",
                ha="center",
                fontsize=8,
                color=MUTED,
            )
        ics = curve["valid_ic"].to_numpy(dtype=float)[rows]
        if np.isfinite(ics).any():
            best = rows[int(np.nanargmax(ics))]
            ax.plot(step[best], curve["valid_ic"].iloc[best], "o", color=BLUE, ms=5.5, zorder=4)
    ax.set_xlabel("epoch, counted over all stages", fontsize=8, color=MUTED)
    ax.set_xlim(0.5, len(curve) + 0.5)
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + 0.12 * (high - low))  # room for the stages' names
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return _legend(ax, where="lower right")


def excess_nav_plot(portfolios: Mapping[str, pd.DataFrame], ax: Axes | None = None) -> Axes:
    """Excess NAV, one line per portfolio; ``portfolios`` maps a label to [trade_date, excess_nav]. The first one's drawdown is
    shaded.
    """
    ax = _ready(ax, "Excess NAV", "product of (1 + excess return)")
    for number, (label, daily) in enumerate(portfolios.items(), start=1):
        peak = daily["excess_nav"].cummax()
        dates, nav = thinned(daily["trade_date"], daily["excess_nav"])
        ax.plot(dates, nav, series_line(number - 1), color=series_color(number - 1), lw=1.8 if number == 1 else 1.2,
                label=plain_label(label, number))
        if number == 1:
            ax.fill_between(dates, nav, peak.loc[nav.index], color=SERIES[0], alpha=0.22, lw=0, label="drawdown of the first")
    ax.axhline(1.0, color=MUTED, lw=0.8)
    date_axis(ax)
    return _legend(ax, where="best")


def turnover_plot(
    rebalances: Mapping[str, pd.DataFrame], ax: Axes | None = None, *, limits: Mapping[str, float] | None = None
) -> Axes:
    """Two-sided turnover of each rebalance from [trade_date, turnover_two_sided]; ``limits`` are dotted in the colour of their
    line.
    """
    ax = _ready(ax, "Turnover per rebalance, two-sided", "share of NAV")
    for number, (label, frame) in enumerate(rebalances.items(), start=1):
        color, marker = series_color(number - 1), _MARKERS[(number - 1) // len(SERIES) % len(_MARKERS)]
        ax.plot(pd.to_datetime(frame["trade_date"]), frame["turnover_two_sided"], marker, ms=3, alpha=0.75, color=color,
                label=plain_label(label, number))
        if limits and label in limits:
            ax.axhline(limits[label], color=color, lw=0.9, ls=":")
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    # The first rebalance builds the book from cash (about 100 %); it would flatten everything else, so the axis stops above the
    # rest.
    later = pd.concat([f["turnover_two_sided"].iloc[1:] for f in rebalances.values()]) if rebalances else pd.Series(dtype=float)
    top = max([float(later.max()) if len(later) else 0.0, *(limits or {}).values()])
    ax.set_ylim(0, 1.2 * top if np.isfinite(top) and top > 0 else 1.0)
    date_axis(ax)
    return _legend(ax, where="lower right")


def attribution_plot(daily: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Running sums of the components of a portfolio's active return: all styles together, industry, country, specific, trading,
    cost.
    """
    ax = _ready(ax, "Active return by source, cumulated", "sum of daily contributions")
    fixed = ("country", "industry", "specific", "trading", "cost", "active_return")
    styles = [c for c in daily.columns if c != "trade_date" and c not in fixed]
    lines = {"active return": daily["active_return"], "specific": daily["specific"], "styles": daily[styles].sum(axis=1)}
    lines |= {name: daily[name] for name in ("industry", "country", "trading", "cost")}
    for (label, values), color in zip(lines.items(), (INK, BLUE, RED, GREEN, PURPLE, ORANGE, SKY), strict=True):
        dates, total = thinned(daily["trade_date"], values.fillna(0.0).cumsum())
        ax.plot(dates, total, color=color, lw=2.0 if label == "active return" else 1.3, label=label)
    ax.axhline(0.0, color=MUTED, lw=0.8)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    date_axis(ax)
    return _legend(ax)


def attribution_bars_plot(summary: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Annualized contribution of each component, one horizontal bar each, in the order of [component, annualized]."""
    ax = _ready(ax, "Active return by source, annualized", "")
    values = summary["annualized"].to_numpy(dtype=float)
    rows = np.arange(len(values))
    ax.barh(rows, values, color=[BLUE if v >= 0 else RED for v in values], height=0.68)
    ax.set_yticks(rows, [plain_label(str(c), k).replace("_", " ") for k, c in enumerate(summary["component"], start=1)])
    for row, value in zip(rows, values, strict=True):
        if np.isfinite(value):
            ax.annotate(
                f"{value:.2%}",
                (value, row),
                xytext=(3 if value >= 0 else -3, 0),
                textcoords="offset points",
                va="center",
                ha="left" if value >= 0 else "right",
                fontsize=8,
                color=INK,
            )
    ax.invert_yaxis()
    ax.axvline(0.0, color=MUTED, lw=0.8)
    ax.margins(x=0.18)
    ax.grid(False, axis="y")
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
    return ax


def coverage_plot(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Rows held per trade date from [trade_date, n_rows]: a hole or a drop is a gap in the data."""
    ax = _ready(ax, "Rows per trade date", "rows")
    dates = pd.to_datetime(frame["trade_date"])
    ax.fill_between(dates, frame["n_rows"], color=BLUE, alpha=0.2, lw=0, step="mid")
    ax.plot(dates, frame["n_rows"], color=BLUE, lw=1.2, drawstyle="steps-mid")
    ax.set_ylim(bottom=0)
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    date_axis(ax)
    return ax


def _ready(ax: Axes | None, title: str, ylabel: str) -> Axes:
    return styled(new_axes() if ax is None else ax, title, ylabel)


def styled(ax: Axes, title: str, ylabel: str) -> Axes:
    """The axes with title, label and the look of all pictures here."""
    ax.set_title(title, fontsize=10, color=INK, loc="left", weight="bold")
    ax.set_ylabel(ylabel, fontsize=8, color=MUTED)
    ax.grid(True, color=GRID, lw=0.7)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(GRID)
    ax.tick_params(colors=MUTED, labelsize=8, length=3)
    return ax


def date_axis(ax: Axes) -> None:
    """Few, short date labels."""
    locator = AutoDateLocator(minticks=3, maxticks=9)
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def _legend(ax: Axes, where: Literal["upper left", "lower right", "best"] = "upper left") -> Axes:
    n_labels = len(ax.get_legend_handles_labels()[0])
    if 0 < n_labels <= _MAX_INSIDE:
        ax.legend(loc=where, fontsize=8, frameon=where == "best", framealpha=0.8, edgecolor="none", labelcolor=INK)
    elif n_labels:
        legend_below(ax)
    return ax


def legend_below(ax: Axes) -> None:
    """The legend under the axes in columns; the figure grows by its height."""
    n_columns = 3 if max(len(text) for text in ax.get_legend_handles_labels()[1]) < 26 else 2
    n_rows = -(-len(ax.get_legend_handles_labels()[1]) // n_columns)
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.set_figheight(figure.get_figheight() + 0.16 * n_rows)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=n_columns, fontsize=7, frameon=False, labelcolor=INK)


def thinned(dates: pd.Series, values: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Every k-th point, the last one always among them, so that a picture of a long history stays small."""
    step = max(1, -(-len(values) // _MAX_POINTS))
    keep = np.arange(len(values) - 1, -1, -step)[::-1]
    return pd.to_datetime(dates).iloc[keep], values.iloc[keep]
