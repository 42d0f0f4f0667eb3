"""AlphaNet's operators against pandas, their gradients, and windows in which nothing moves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from alpha_pipeline.errors import InvalidSpec, Misaligned
from alpha_pipeline.models import operators as ops

N_STEPS, N_FIELDS, N_STOCKS, WINDOW = 23, 4, 3, 7
WEIGHTS = np.arange(1, WINDOW + 1) / 28
PANDAS: dict[str, Callable[[pd.Series], pd.Series]] = {
    "ts_stddev": lambda s: s.rolling(WINDOW).std(ddof=0),
    "ts_zscore": lambda s: s.rolling(WINDOW).mean() / s.rolling(WINDOW).std(ddof=0),
    "ts_return": lambda s: s / s.shift(WINDOW - 1) - 1,
    "ts_decaylinear": lambda s: s.rolling(WINDOW).apply(lambda v: float(WEIGHTS @ v), raw=True),
    "ts_mean": lambda s: s.rolling(WINDOW).mean(),
    "ts_sum": lambda s: s.rolling(WINDOW).sum(),
    "ts_max": lambda s: s.rolling(WINDOW).max(),
    "ts_min": lambda s: s.rolling(WINDOW).min(),
}
PANDAS_PAIRS: dict[str, Callable[[pd.Series, pd.Series], pd.Series]] = {
    "ts_corr": lambda x, y: x.rolling(WINDOW).corr(y),
    "ts_cov": lambda x, y: x.rolling(WINDOW).cov(y),
}
EVERY = [*PANDAS, *PANDAS_PAIRS]


def prices(dtype: torch.dtype = torch.float64) -> Tensor:
    """Levels of about 10 that move by a few percent, like the fields of a stock."""
    g = torch.Generator().manual_seed(0)
    return (10 + torch.randn(N_STEPS, N_FIELDS, N_STOCKS, generator=g, dtype=torch.float64)).to(dtype)


def apply(name: str, x: Tensor, window: int = WINDOW, stride: int = 1) -> Tensor:
    result: Tensor = getattr(ops, name)(x, window, stride)
    return result


def by_pandas(name: str, x: Tensor) -> np.ndarray:
    """(windows, features, stocks), stride 1."""
    columns = []
    for n in range(x.shape[2]):
        fields = [pd.Series(x[:, f, n].double().numpy()) for f in range(x.shape[1])]
        if name in PANDAS:
            columns.append([PANDAS[name](s) for s in fields])
        else:
            columns.append([PANDAS_PAIRS[name](fields[i], fields[j]) for i in range(N_FIELDS) for j in range(i + 1, N_FIELDS)])
    return np.array(columns).transpose(2, 1, 0)[WINDOW - 1 :]


class TestExamples:
    @pytest.mark.parametrize("name", EVERY)
    def test_equals_pandas(self, name: str) -> None:
        x = prices()
        np.testing.assert_allclose(apply(name, x).numpy(), by_pandas(name, x), rtol=1e-9, atol=1e-9)

    @pytest.mark.parametrize("name", EVERY)
    def test_float32_stays_close(self, name: str) -> None:
        x = prices(torch.float32)
        np.testing.assert_allclose(apply(name, x).numpy(), by_pandas(name, x), rtol=2e-5, atol=2e-6)

    def test_by_hand(self) -> None:
        x = torch.tensor([[1.0, 2.0], [2.0, 6.0], [6.0, 4.0]], dtype=torch.float64)[:, :, None]  # fields (1, 2, 6) and (2, 6, 4)
        assert ops.ts_cov(x, 3, 3).item() == pytest.approx(1.0)  # (−2·−2 + −1·2 + 3·0) / 2
        assert ops.ts_corr(x, 3, 3).item() == pytest.approx(2 / (14 * 8) ** 0.5)
        assert ops.ts_return(x, 3, 3).flatten().tolist() == pytest.approx([5.0, 1.0])
        assert ops.ts_decaylinear(x, 3, 3).flatten().tolist() == pytest.approx([(1 + 4 + 18) / 6, (2 + 12 + 12) / 6])
        assert ops.ts_zscore(x, 3, 3)[0, 1, 0].item() == pytest.approx(4 / (8 / 3) ** 0.5)
        assert ops.ts_stddev(x, 3, 3, ddof=1)[0, 1, 0].item() == pytest.approx(2.0)

    def test_newest_window_ends_at_the_last_step(self) -> None:
        x = prices()
        assert torch.equal(apply("ts_mean", x, stride=5), apply("ts_mean", x[1:], stride=5))  # 23 steps hold 7 + 3 · 5 = 22
        assert torch.equal(apply("ts_mean", x, stride=5)[-1], apply("ts_mean", x)[-1])

    def test_number_of_features(self) -> None:
        for n_sampled, n_features in ((0, 270), (8, 116)):  # 2 · 105 + 4 · 15 and 2 · 28 + 4 · 15
            layer = ops.FeatureExtraction(15, 10, 10, generator=torch.Generator(), n_sampled_fields=n_sampled)
            assert layer.n_features == n_features
            assert layer(torch.randn(30, 15, 2)).shape == (3, n_features, 2)


class TestProperties:
    @pytest.mark.parametrize("name", EVERY)
    def test_gradient(self, name: str) -> None:
        x = prices()[:11, :3, :2].clone().requires_grad_()
        assert torch.autograd.gradcheck(lambda x: apply(name, x, 5, 3), (x,))

    def test_layer_is_the_operators_side_by_side(self) -> None:
        x = prices()
        names = ["ts_corr", "ts_cov", "ts_stddev", "ts_zscore", "ts_return", "ts_decaylinear"]
        layer = ops.FeatureExtraction(N_FIELDS, WINDOW, 4, generator=torch.Generator())
        expected = torch.cat([apply(name, x, stride=4) for name in names], dim=1)
        assert torch.allclose(layer(x), expected, rtol=1e-12, atol=1e-12)

    def test_degrees_of_freedom(self) -> None:
        x = prices()
        layer = ops.FeatureExtraction(N_FIELDS, WINDOW, 4, generator=torch.Generator(), std_ddof=1, cov_ddof=0)
        corr, cov, std, zscore, *_ = layer(x).split([6, 6, 4, 4, 4, 4], dim=1)
        assert torch.allclose(corr, ops.ts_corr(x, WINDOW, 4))
        assert torch.allclose(cov, ops.ts_cov(x, WINDOW, 4, ddof=0))
        assert torch.allclose(std, ops.ts_stddev(x, WINDOW, 4, ddof=1))
        assert torch.allclose(zscore, ops.ts_zscore(x, WINDOW, 4, ddof=1))

    def test_pairs_of_the_drawn_fields_only(self) -> None:
        x = prices()
        layer = ops.FeatureExtraction(N_FIELDS, WINDOW, 4, generator=torch.Generator().manual_seed(1), n_sampled_fields=3)
        drawn = layer.sampled_fields
        assert len(set(drawn.tolist())) == 3 and drawn.tolist() == sorted(drawn.tolist())
        corr, cov, *_ = layer(x).split([3, 3, 4, 4, 4, 4], dim=1)
        assert torch.allclose(corr, ops.ts_corr(x[:, drawn], WINDOW, 4))
        assert torch.allclose(cov, ops.ts_cov(x[:, drawn], WINDOW, 4))

    @pytest.mark.parametrize("dtype", (torch.float32, torch.float64))
    @pytest.mark.parametrize("level", (0.0, 3.1, 12345.678, -0.1))
    def test_constant_window(self, level: float, dtype: torch.dtype) -> None:
        """0 whatever the level, and a gradient that is finite and, through the variance, 0."""
        x = prices(dtype)[:WINDOW].clone()
        x[:, 1] = level
        x.requires_grad_()
        for name in ("ts_corr", "ts_stddev", "ts_zscore"):
            y = apply(name, x)
            flat = [0, 3, 4] if name == "ts_corr" else [1]  # pairs (0, 1), (1, 2), (1, 3)
            assert (y[:, flat] == 0).all() and y.isfinite().all()
            (gradient,) = torch.autograd.grad(y.sum(), x)
            assert gradient.isfinite().all() and (gradient[:, 1] == 0).all()
        (gradient,) = torch.autograd.grad(ops.FeatureExtraction(N_FIELDS, WINDOW, 1, generator=torch.Generator())(x).sum(), x)
        assert gradient.isfinite().all()

    def test_threshold_is_on_the_variance(self) -> None:
        x = torch.tensor([1.0, -1.0], dtype=torch.float64)[:, None, None]
        assert ops.ts_stddev(0.99e-6 * x, 2, 1).item() == 0
        assert ops.ts_stddev(1.01e-6 * x, 2, 1).item() == pytest.approx(1.01e-6)

    def test_return_from_zero(self) -> None:
        x = torch.tensor([0.0, 1.0, 2.0])[:, None, None].requires_grad_()
        y = ops.ts_return(x, 3, 3)
        y.sum().backward()
        assert y.item() == 0 and x.grad is not None and (x.grad == 0).all()

    @pytest.mark.parametrize("name", EVERY)
    def test_nan_stays_in_its_windows_field_and_stock(self, name: str) -> None:
        x, clean = prices(), apply(name, prices())
        x[WINDOW, 2, 1] = torch.nan
        y = apply(name, x)
        assert y[:, :, 1].isnan().any() and not y[:, :, [0, 2]].isnan().any()
        assert torch.equal(y[0], clean[0])  # the first window ends before it
        unaffected = slice(0, 2) if name in PANDAS else slice(0, 1)  # fields 0 and 1, the pair (0, 1)
        assert not y[:, unaffected].isnan().any()
        if name != "ts_return":  # which looks at the ends only
            assert y[3, :, 1].isnan().any()


class TestErrors:
    def test_too_short(self) -> None:
        with pytest.raises(Misaligned, match=r"shorter than one window \(got 5 steps, expected at least 10\)"):
            ops.ts_mean(torch.zeros(5, 2, 3), 10, 10)

    def test_window_of_one(self) -> None:
        with pytest.raises(InvalidSpec, match="got window 1, stride 1"):
            ops.ts_mean(torch.zeros(5, 2, 3), 1, 1)

    def test_too_many_drawn(self) -> None:
        with pytest.raises(InvalidSpec, match=r"got 16, expected 2 to 15, or 0 for all"):
            ops.FeatureExtraction(15, 10, 10, generator=torch.Generator(), n_sampled_fields=16)
