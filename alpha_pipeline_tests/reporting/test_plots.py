"""Pictures: they draw on the axes given, with the numbers given, and fit where they are shown."""

from __future__ import annotations

import base64
import sys
import warnings
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alpha_pipeline.errors import InvalidSpec
from alpha_pipeline.reporting import plots
from alpha_pipeline.reporting.images import figure_png, figure_svg, thumbnail_markdown
from alpha_pipeline_tests.reporting.synthetic import attribution, factor_test, portfolio, training_curve

TEST, BOOK, PARTS = factor_test(1), portfolio(1, "000300.SH", 0.3), attribution(1)
assert TEST.ic is not None
assert TEST.layers_daily is not None
IC, LAYERS = TEST.ic, TEST.layers_daily
COVERAGE = pd.DataFrame({"trade_date": pd.bdate_range("2024-01-02", periods=30), "n_rows": 4800})
MATRIX = pd.DataFrame([[1.0, 0.5], [0.5, np.nan]], index=["a", "b"], columns=["a", "b"])

DRAWERS: dict[str, Callable[[Axes | None], Axes]] = {
    "rank_ic": lambda ax: plots.cumulative_rank_ic_plot({"ours": IC, "oracle": IC}, ax, dashed=["oracle"]),
    "layers": lambda ax: plots.layers_plot(LAYERS, ax),
    "correlation": lambda ax: plots.correlation_plot(MATRIX, ax),
    "training": lambda ax: plots.training_plot(training_curve(1, (5, 8)), ax),
    "excess_nav": lambda ax: plots.excess_nav_plot({"30%": BOOK.daily}, ax),
    "turnover": lambda ax: plots.turnover_plot({"30%": BOOK.rebalances}, ax, limits={"30%": 0.3}),
    "attribution": lambda ax: plots.attribution_plot(PARTS.daily, ax),
    "attribution_bars": lambda ax: plots.attribution_bars_plot(PARTS.summary, ax),
    "coverage": lambda ax: plots.coverage_plot(COVERAGE, ax),
}


def line(ax: Axes, label: str) -> np.ndarray:
    return np.asarray(next(x for x in ax.get_lines() if x.get_label() == label).get_ydata(), dtype=float)


class TestExamples:
    def test_cumulative_rank_ic_is_the_running_sum(self) -> None:
        ic = pd.DataFrame(
            {"trade_date": pd.to_datetime(["2024-01-05", "2024-01-12", "2024-01-19"]), "rank_ic": [0.1, np.nan, -0.04]}
        )
        np.testing.assert_allclose(line(plots.cumulative_rank_ic_plot({"m": ic}), "m"), [0.1, 0.1, 0.06])

    def test_layers_are_relative_to_the_base(self) -> None:
        daily = pd.DataFrame(
            {"trade_date": pd.bdate_range("2024-01-02", periods=2), "base": [0.0, 0.10], "L2": [0.0, 0.0], "L1": [0.10, 0.10]}
        )
        top, bottom = (np.asarray(x.get_ydata()) for x in plots.layers_plot(daily).get_lines()[:2])
        np.testing.assert_allclose(top, [1.1, 1.1])
        np.testing.assert_allclose(bottom, [1.0, 1 / 1.1])

    def test_training_shows_all_stages_in_one_line(self) -> None:
        curve = training_curve(3, (4, 6))
        ax = plots.training_plot(curve)
        np.testing.assert_allclose(line(ax, "validation IC"), curve["valid_ic"])
        np.testing.assert_allclose(line(ax, "train IC (= −loss)"), -curve["train_loss"])
        dots = [x for x in ax.get_lines() if x.get_marker() == "o"]
        assert [float(np.asarray(d.get_ydata())[0]) for d in dots] == [curve["valid_ic"][:4].max(), curve["valid_ic"][4:].max()]
        assert [t.get_text() for t in ax.texts] == ["stage 1", "stage 2"]

    def test_turnover_axis_ignores_the_first_build_up(self) -> None:
        assert plots.turnover_plot({"30%": BOOK.rebalances}, limits={"30%": 0.3}).get_ylim() == pytest.approx((0.0, 0.36))

    def test_every_one_of_many_portfolios_can_be_told_apart(self) -> None:
        ax = plots.excess_nav_plot({f"p{k}": BOOK.daily for k in range(14)})
        looks = {(x.get_color(), x.get_linestyle()) for x in ax.get_lines() if str(x.get_label()).startswith("p")}
        dots = plots.turnover_plot({f"p{k}": BOOK.rebalances for k in range(14)}).get_lines()
        assert len(looks) == len({(x.get_color(), x.get_marker()) for x in dots}) == 14

    @pytest.mark.parametrize(("names", "rotation"), [(["day", "week", "minute"], 0), (["rnn, plain", "residual attention", "self-attention"], 90)])
    def test_names_below_a_heat_map_do_not_overlap(self, names: list[str], rotation: int) -> None:
        ax = plots.correlation_plot(pd.DataFrame(np.eye(3), index=names, columns=names), plots.square_axes(3))
        boxes = [text.get_window_extent() for text in ax.get_xticklabels()]
        assert {text.get_rotation() for text in ax.get_xticklabels()} == {rotation}
        assert all(left.x1 <= right.x0 for left, right in pairwise(boxes))

    def test_blank_cells_have_no_number(self) -> None:
        assert [t.get_text() for t in plots.correlation_plot(MATRIX).texts] == ["1.00", "0.50", "0.50"]


class TestProperties:
    @pytest.mark.parametrize("name", DRAWERS)
    def test_draws_on_the_axes_given_and_only_there(self, name: str) -> None:
        figure = Figure()
        ax, other = figure.subplots(1, 2)
        assert DRAWERS[name](ax) is ax
        assert ax.has_data()
        assert not other.has_data()

    @pytest.mark.parametrize("name", DRAWERS)
    def test_thumbnail_is_small_markdown(self, name: str) -> None:
        text = thumbnail_markdown(DRAWERS[name](None), alt=name)
        assert text.startswith(f"![{name}](data:image/png;base64,")
        assert len(text) < 100 * 1024
        assert base64.b64decode(text.split(",", 1)[1][:-1])[:8] == b"\x89PNG\r\n\x1a\n"

    def test_factor_test_figure_holds_both_pictures(self) -> None:
        figure = plots.factor_test_figure(IC, LAYERS, "Incremental")
        assert [len(ax.get_lines()) for ax in figure.axes] == [1, 11]
        assert len(thumbnail_markdown(figure)) < 100 * 1024

    def test_tables_are_left_as_they_were(self) -> None:
        before = BOOK.daily.copy(deep=True)
        plots.excess_nav_plot({"30%": BOOK.daily})
        pd.testing.assert_frame_equal(BOOK.daily, before)

    def test_same_figure_same_svg_and_no_address_in_it(self) -> None:
        first, second = (figure_svg(DRAWERS["layers"](None), "layers") for _ in range(2))
        assert first == second
        assert first.startswith("<svg viewBox=")
        assert "http" not in first

    def test_long_histories_stay_small_and_keep_the_last_point(self) -> None:
        days = pd.bdate_range("2000-01-03", periods=5_000)
        ax = plots.excess_nav_plot({"p": pd.DataFrame({"trade_date": days, "excess_nav": np.linspace(1, 2, 5_000)})})
        drawn = line(ax, "p")
        assert len(drawn) <= 420
        assert drawn[-1] == 2.0

    def test_chinese_labels_never_reach_a_figure(self) -> None:
        summary = pd.DataFrame({"component": ["银行", "SIZE"], "annualized": [0.01, 0.02]})
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            figure_png(plots.attribution_bars_plot(summary))
        assert [t.get_text() for t in plots.attribution_bars_plot(summary).get_yticklabels()] == ["#1", "SIZE"]

    def test_no_global_drawing_state(self) -> None:
        """``pyplot`` would keep every figure alive and pick a backend by the machine."""
        source = {name: m for name, m in sys.modules.items() if name.startswith("alpha_pipeline.reporting")}
        assert all(not hasattr(m, "plt") and not hasattr(m, "pyplot") for m in source.values())


class TestErrors:
    def test_a_picture_that_cannot_fit(self) -> None:
        with pytest.raises(InvalidSpec, match="picture too large at 40 dots an inch.*<= 1 KB"):
            figure_png(DRAWERS["layers"](None), max_kb=1)
