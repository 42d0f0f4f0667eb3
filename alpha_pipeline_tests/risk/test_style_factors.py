"""The ten styles of one date: standardization, orthogonality, gaps, six without reports."""

from __future__ import annotations

import numpy as np
import pytest

from alpha_pipeline.errors import BadInput, Misaligned, NotEnoughData
from alpha_pipeline.risk import style_factors as s

NAN = np.nan
PRICE = ("BETA", "HSIGMA", "DASTD", "CMRA", "RSTR", "STOM", "STOQ", "STOA")
REPORTS = ("BTOP", "ETOP", "CETOP", "MLEV", "DTOA", "BLEV", "EGRO", "SGRO")


def market(n: int = 300, names=(*PRICE, *REPORTS)):
    rng = np.random.default_rng(0)
    cap = np.exp(22 + rng.normal(size=n))
    industry = rng.integers(0, 5, n)
    found = {name: rng.normal(size=n) + 0.3 * np.log(cap) + 0.2 * industry for name in names}
    found["RSTR"][:7] = NAN
    found["CMRA"][9] = NAN
    universe = rng.random(n) < 0.95
    universe[:10] = True
    return found, cap, industry, universe


def weighted(x, y, cap, universe):
    """√cap-weighted covariance over the universe, relative to the size of its terms."""
    w = np.sqrt(cap[universe])
    a, b = (v[universe] - np.average(v[universe], weights=w) for v in (x, y))
    return (w * a * b).sum() / (w * np.abs(a * b)).sum()


class TestExamples:
    def test_ten_styles_and_six_without_reports(self):
        ten = s.style_factors(*market())
        assert ten.names == ("size", "beta", "momentum", "resvol", "nlsize", "liquidity", "btop", "earnyild", "growth", "leverage")
        assert ten.note.startswith("Ten styles")
        assert np.isfinite(ten.values).all()
        six = s.style_factors(*market(names=PRICE))
        assert six.names == ten.names[:6]
        assert "instead of 10: the source has no company reports" in six.note

    def test_winsorized_after_errors_were_dropped(self):
        rng = np.random.default_rng(1)
        raw = rng.normal(size=400)
        raw[0], raw[1] = 1e6, 5.0
        cap, universe = np.ones(400), np.ones(400, dtype=bool)
        got = s.standardize(raw, cap, universe)
        assert np.isnan(got[0])
        rest = raw[1:]
        bounds = rest.mean() + np.array([-3, 3]) * rest.std()
        assert bounds[1] < 5
        clipped = np.clip(rest, *bounds)
        assert got[1:] == pytest.approx((clipped - clipped.mean()) / clipped.std())

    def test_missing_descriptors_are_renormalized(self):
        known = {"DASTD": np.array([1.0, 1.0]), "CMRA": np.array([2.0, NAN]), "HSIGMA": np.array([3.0, 3.0])}
        assert s.combine(known, s.PRICE_STYLES["resvol"]) == pytest.approx([0.74 + 0.32 + 0.3, (0.74 + 0.3) / 0.84])

    def test_gap_is_predicted_from_size_and_industry(self):
        size, industry = np.linspace(-1, 1, 40), np.arange(40) % 2
        style = 2 * size + industry
        style[3] = NAN
        filled, n = s.fill_gaps(style, size, industry, np.ones(40), np.ones(40, dtype=bool))
        assert n == 1
        assert filled[3] == pytest.approx(2 * size[3] + 1)

    def test_style_without_history_is_named(self):
        found, cap, industry, universe = market()
        got = s.style_factors({**found, "RSTR": np.full(300, NAN)}, cap, industry, universe)
        assert got.absent == ("momentum",)
        assert "Absent on this date, history too short: momentum" in got.note
        no_beta = s.style_factors({**found, "BETA": np.full(300, NAN)}, cap, industry, universe)
        assert no_beta.absent == ("beta",)
        assert weighted(no_beta.values[:, 3], no_beta.values[:, 0], cap, universe) == pytest.approx(0, abs=1e-12)


class TestProperties:
    def test_universe_has_mean_zero_by_cap_and_std_one(self):
        found, cap, industry, universe = market()
        got = s.style_factors(found, cap, industry, universe)
        for k, name in enumerate(got.names):
            x = got.values[universe, k]
            if name != "momentum":  # seven of its values are predictions, added after it was standardized
                assert x.std() == pytest.approx(1), name
                assert np.average(x, weights=cap[universe]) == pytest.approx(0, abs=1e-10), name
        assert got.n_filled.tolist() == [0, 0, 7, 0, 0, 0, 0, 0, 0, 0]

    @pytest.mark.parametrize(("style", "other"), [(3, 0), (3, 1), (4, 0), (5, 0)])
    def test_orthogonal(self, style, other):
        found, cap, industry, universe = market()
        x = s.style_factors(found, cap, industry, universe).values
        assert weighted(x[:, style], x[:, other], cap, universe) == pytest.approx(0, abs=1e-12)

    def test_outside_the_universe_nobody_has_a_say(self):
        found, cap, industry, universe = market()
        expected = s.style_factors(found, cap, industry, universe).values
        wild = {name: np.where(universe, x, 1.01 * x) for name, x in found.items()}
        got = s.style_factors(wild, cap, industry, universe).values
        assert np.array_equal(got[universe], expected[universe])
        assert not np.array_equal(got, expected)

    def test_order_and_arguments(self):
        found, cap, industry, universe = market()
        copies = {name: x.copy() for name, x in found.items()}
        expected = s.style_factors(found, cap, industry, universe).values
        p = np.random.default_rng(3).permutation(300)
        got = s.style_factors({name: x[p] for name, x in found.items()}, cap[p], industry[p], universe[p]).values
        assert got == pytest.approx(expected[p], abs=1e-10)
        assert all(np.array_equal(copies[name], x, equal_nan=True) for name, x in found.items())


class TestErrors:
    def test_too_few_stocks(self):
        found, cap, industry, universe = market(18)
        with pytest.raises(NotEnoughData, match=r"too few stocks for style factors \(got 1\d, expected >= 20\)"):
            s.style_factors(found, cap, industry, universe)

    def test_inputs(self):
        found, cap, industry, universe = market()
        with pytest.raises(Misaligned, match="industry does not fit the market values"):
            s.style_factors(found, cap, industry[1:], universe)
        with pytest.raises(BadInput, match="market values must be positive"):
            s.style_factors(found, 0 * cap, industry, universe)
        with pytest.raises(BadInput, match=r"descriptor DTOA is infinite \(got 1\)"):
            s.style_factors({**found, "DTOA": np.where(np.arange(300) == 0, np.inf, 1.0)}, cap, industry, universe)
