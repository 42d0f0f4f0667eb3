"""How the pictures of studies are drawn, one function per kind; colours, fonts and labels are those of :mod:`reporting.plots`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from alpha_pipeline.reporting import plots

MAX_INSIDE = 4  # more series than this have their legend below the picture


def lines_plot(frame: pd.DataFrame, title: str, *, percent: bool, x_label: str, y_label: str, filled: bool = False) -> Axes:
    """A line per column over the index, which holds dates or numbers; ``filled``: the space between line and zero is shaded."""
    ax = _axes(title, x_label, y_label)
    is_dates = isinstance(frame.index, pd.DatetimeIndex)
    for number, column in enumerate(frame.columns, start=1):
        color, style = plots.series_color(number - 1), plots.series_line(number - 1)
        x, y = plots.thinned(frame.index.to_series(), frame[column]) if is_dates else (frame.index, frame[column])
        ax.plot(x, y, style, color=color, lw=1.4, label=plots.plain_label(str(column), number), marker="" if len(frame) > 30 else "o", ms=3)
        if filled:
            ax.fill_between(x, y, color=color, alpha=0.18, lw=0)
    if is_dates:
        plots.date_axis(ax)
    return _finished(ax, percent, len(frame.columns))


def area_plot(frame: pd.DataFrame, title: str, *, percent: bool, x_label: str, y_label: str) -> Axes:
    """As :func:`lines_plot`, shaded down to zero."""
    return lines_plot(frame, title, percent=percent, x_label=x_label, y_label=y_label, filled=True)


def bars_plot(frame: pd.DataFrame, title: str, *, percent: bool, x_label: str, y_label: str) -> Axes:
    """Bars of every column side by side, one group per index entry."""
    ax = _axes(title, x_label, y_label)
    at, width = np.arange(len(frame)), 0.8 / max(1, len(frame.columns))
    for number, column in enumerate(frame.columns, start=1):
        offset = (number - 1 - (len(frame.columns) - 1) / 2) * width
        ax.bar(at + offset, frame[column].to_numpy(dtype=float), width, color=plots.series_color(number - 1),
               label=plots.plain_label(str(column), number))
    labels = [plots.plain_label(str(name), k) for k, name in enumerate(frame.index, start=1)]
    crowded = sum(len(text) for text in labels) > 48
    ax.set_xticks(at, labels, rotation=45 if crowded else 0, ha="right" if crowded else "center", fontsize=8)
    ax.axhline(0, color=plots.MUTED, lw=0.8)
    return _finished(ax, percent, len(frame.columns))


def heatmap_plot(frame: pd.DataFrame, title: str, *, percent: bool, x_label: str, y_label: str) -> Axes:
    """Numbers on a colour scale, labels on both axes."""
    return plots.correlation_plot(frame, plots.square_axes(len(frame.columns)), title=title)


def scatter_plot(frame: pd.DataFrame, title: str, *, percent: bool, x_label: str, y_label: str) -> Axes:
    """Points of columns x and y with the least-squares line; points with a ``label`` are named and drawn stronger."""
    ax = _axes(title, x_label, y_label)
    known = frame.dropna(subset=["x", "y"])
    ax.scatter(known["x"], known["y"], s=10, color=plots.BLUE, alpha=0.45, lw=0)
    if "label" in known.columns:
        named = known[known["label"].fillna("").astype(str) != ""]
        ax.scatter(named["x"], named["y"], s=20, color=plots.RED, lw=0)
        for row in named.itertuples(index=False):
            ax.annotate(str(row.label), (float(row.x), float(row.y)), fontsize=7, color=plots.INK, xytext=(3, 3), textcoords="offset points")
    if len(known) > 2 and known["x"].std() > 0:
        slope, level = np.polyfit(known["x"], known["y"], 1)
        ends = np.array([known["x"].min(), known["x"].max()])
        ax.plot(ends, level + slope * ends, color=plots.MUTED, lw=1.0)
    ax.axhline(0, color=plots.GRID, lw=0.8)
    ax.axvline(0, color=plots.GRID, lw=0.8)
    return _finished(ax, percent, 0)


DRAW: dict[str, Callable[..., Axes]] = {
    "lines": lines_plot, "area": area_plot, "bars": bars_plot, "heatmap": heatmap_plot, "scatter": scatter_plot,
}


def _axes(title: str, x_label: str, y_label: str) -> Axes:
    ax = plots.styled(plots.new_axes(5.4, 2.9), title, y_label)
    ax.set_xlabel(x_label, fontsize=8, color=plots.MUTED)
    return ax


def _finished(ax: Axes, percent: bool, n_series: int) -> Axes:
    if percent:
        ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    if n_series > MAX_INSIDE:
        plots.legend_below(ax)
    elif n_series > 1:
        ax.legend(loc="best", fontsize=7, framealpha=0.8, edgecolor="none", labelcolor=plots.INK)
    return ax
