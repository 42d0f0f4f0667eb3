"""What a factor is exposed to: by hand, against pandas, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from alpha_pipeline.diagnostics.factor_exposure import crowding, extreme_means, extremes, style_correlations
from alpha_pipeline.errors import InvalidSpec, Misaligned


@pytest.fixture
def panel():
    rng = np.random.default_rng(0)
    factor = rng.normal(size=(6, 60))
    factor[rng.random(factor.shape) < 0.1] = np.nan
    return factor, rng.normal(size=(6, 60)), rng.random((6, 60)) < 0.9


class TestExamples:
    def test_five_percent_of_forty_names_are_two(self):
        top, bottom = extremes(np.arange(40.0)[None])
        assert np.flatnonzero(top[0]).tolist() == [38, 39] and np.flatnonzero(bottom[0]).tolist() == [0, 1]

    def test_masked_names_are_nobodys_extreme(self):
        mask = np.ones((1, 40), dtype=bool)
        mask[0, 39] = False
        assert np.flatnonzero(extremes(np.arange(40.0)[None], mask=mask)[0][0]).tolist() == [38]  # 5 % of 39, at least one

    def test_crowding_is_top_over_bottom(self):
        assert crowding([[1.0, 2.0, 3.0, 4.0]], [[0.02, 0.01, 0.01, 0.06]], 0.25).tolist() == [3.0]
        assert np.isnan(crowding([[1.0, 2.0]], [[0.0, 0.01]], 0.5)[0])


class TestProperties:
    def test_correlations_agree_with_pandas(self, panel):
        factor, style, mask = panel
        dates = np.arange("2024-01-01", "2024-01-07", dtype="datetime64[D]")
        ours = style_correlations(factor, dates, {"style": style}, mask=mask)["style"]
        theirs = [pd.Series(np.where(mask[d], factor[d], np.nan)).corr(pd.Series(style[d])) for d in range(6)]
        assert ours.to_numpy() == pytest.approx(np.array(theirs), abs=1e-12)

    def test_extreme_means_agree_with_sorting_by_pandas(self, panel):
        factor, style, mask = panel
        top, bottom = extreme_means(factor, style, 0.1, mask=mask)
        for d in range(6):
            frame = pd.DataFrame({"f": np.where(mask[d], factor[d], np.nan), "x": style[d]}).dropna(subset="f").sort_values("f")
            n = int(0.1 * len(frame))
            assert top[d] == pytest.approx(frame["x"].tail(n).mean()) and bottom[d] == pytest.approx(frame["x"].head(n).mean())

    def test_nothing_is_mutated(self, panel):
        factor, style, mask = panel
        before = factor.copy()
        extreme_means(factor, style, mask=mask)
        assert np.array_equal(factor, before, equal_nan=True)


class TestErrors:
    def test_share(self):
        with pytest.raises(InvalidSpec, match="share of extreme names"):
            extremes([[1.0, 2.0]], 0.6)

    def test_shapes(self):
        with pytest.raises(Misaligned, match="values do not fit"):
            extreme_means([[1.0, 2.0]], [[1.0]])
        with pytest.raises(Misaligned, match="dates do not fit"):
            style_correlations([[1.0, 2.0]], ["2024-01-02", "2024-01-03"], {"size": [[1.0, 2.0]]})
