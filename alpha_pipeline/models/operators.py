"""AlphaNet's time-series operators on x (T, F, N): one number per window, field (or pair of fields) and stock.

All fields, pairs, windows and stocks at once. A window is ``window`` consecutive steps; windows start ``stride`` apart and the
newest one ends at the last step, so that what does not fill a window is dropped from the oldest end.

==================  ==========================================================  =====================================
``ts_corr``         Σ (x − x̄)(y − ȳ) / √(Σ (x − x̄)² Σ (y − ȳ)²)                 pairs
``ts_cov``          Σ (x − x̄)(y − ȳ) / (d − ddof)                               pairs
``ts_stddev``       √(Σ (x − x̄)² / (d − ddof))                                  fields
``ts_zscore``       x̄ / std                                                     fields
``ts_return``       last / first − 1                                            fields
``ts_decaylinear``  Σ w x, w proportional to 1 … d, newest largest, Σ w = 1     fields
==================  ==========================================================  =====================================

Degenerate windows: where the variance is below ``MIN_VARIANCE`` the standard deviation, the z-score and every correlation with
that field are 0 with a gradient of 0; where the first value is below its root in size the return is. Nothing is ever added to a
denominator. Values are centered on the window's first value, then on the mean, before anything is squared: a constant window has
a variance of exactly 0 whatever its level. A NaN makes the outputs of its windows and fields NaN.

Pairs (i, j), i < j, are in the order (0, 1), (0, 2), …, (1, 2), …

:class:`FeatureExtraction`, which networks use, works on float32 on the CPU in one pass where the optional extra ``fast`` (numba) is
installed (:mod:`alpha_pipeline.models.operators_kernel`); elsewhere it is made of the operators here. Same numbers to rounding.

Letters: T steps, W windows, d steps of a window, F fields, P pairs, C features, N stocks.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from alpha_pipeline.errors import InvalidSpec, Misaligned, sentence
from alpha_pipeline.machine_code import has_numba

MIN_VARIANCE = 1e-12


def n_windows(n_steps: int, window: int, stride: int) -> int:
    """How many windows fit.

    >>> n_windows(30, 10, 10), n_windows(30, 5, 5), n_windows(3, 3, 3)
    (3, 6, 1)
    """
    if window < 2 or stride < 1:
        raise InvalidSpec(sentence("window or stride too small", where="operators", got=f"window {window}, stride {stride}",
                                   expected="window of at least 2 and stride of at least 1 steps"))
    if n_steps < window:
        raise Misaligned(sentence("the tensor is shorter than one window", where="operators", got=f"{n_steps} steps",
                                  expected=f"at least {window}", next_step="Check the feature specification."))
    return (n_steps - window) // stride + 1


def windows(x_TFN: Tensor, window: int, stride: int) -> Tensor:
    """The windows (W, d, F, N) as a view, oldest first. With stocks last and the steps second, sums over steps run along whole rows."""
    n_windows(x_TFN.shape[0], window, stride)
    return x_TFN[(x_TFN.shape[0] - window) % stride :].unfold(0, window, stride).movedim(-1, 1)


def pair_index(n_fields: int) -> Tensor:
    """The pairs' fields i < j, (2, P).

    >>> pair_index(3).tolist()
    [[0, 0, 1], [1, 2, 2]]
    """
    return torch.triu_indices(n_fields, n_fields, offset=1)


class Moments(NamedTuple):
    """What the operators share, computed once per window; ``x`` and ``centered`` are (W, d, F, N), the others (W, F, N)."""

    x: Tensor
    centered: Tensor
    mean: Tensor
    sum_of_squares: Tensor


def moments(x_TFN: Tensor, window: int, stride: int) -> Moments:
    """Windows, their deviations from the mean, and the sums of squares of these."""
    x = windows(x_TFN, window, stride)
    shifted = x - x[:, :1]
    shift = shifted.mean(1, keepdim=True)
    centered = shifted - shift
    return Moments(x, centered, x[:, 0] + shift[:, 0], centered.square().sum(1))


def _variance(m: Moments, ddof: int) -> tuple[Tensor, Tensor]:
    """Whether the window is degenerate (NaN is not), and its variance, 1 where it is."""
    variance = m.sum_of_squares / (m.x.shape[1] - ddof)
    is_degenerate = variance < MIN_VARIANCE
    return is_degenerate, variance.masked_fill(is_degenerate, 1.0)


def _inverse_std(m: Moments, ddof: int) -> Tensor:
    is_degenerate, variance = _variance(m, ddof)
    return variance.rsqrt().masked_fill(is_degenerate, 0.0)


def _stddev(m: Moments, ddof: int) -> Tensor:
    is_degenerate, variance = _variance(m, ddof)
    return variance.sqrt().masked_fill(is_degenerate, 0.0)


def _return(m: Moments) -> Tensor:
    first, last = m.x[:, 0], m.x[:, -1]
    is_degenerate = first.square() < MIN_VARIANCE
    return ((last - first) / first.masked_fill(is_degenerate, 1.0)).masked_fill(is_degenerate, 0.0)


def _decaylinear(m: Moments) -> Tensor:
    weights = torch.arange(1, m.x.shape[1] + 1, dtype=m.x.dtype, device=m.x.device)
    return torch.matmul(weights / weights.sum(), m.x.flatten(2)).unflatten(-1, m.x.shape[2:])


class _SumsOfProducts(torch.autograd.Function):
    """Σ over steps of the products of each pair, (W, P, N): one F × F matrix per window and stock, of which the pairs are taken.

    The gradient is written out because it is one product of a symmetric matrix with the windows; torch would make two, and add
    into the F × F matrices pair by pair.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(centered: Tensor, index: Tensor) -> Tensor:
        c_WNFd = centered.permute(0, 3, 2, 1).contiguous()
        products_WNFF = c_WNFd @ c_WNFd.mT
        products_WFFN = products_WNFF.flatten(2).transpose(1, 2).contiguous()  # the rows of pairs are then whole rows of stocks
        return products_WFFN.index_select(1, index[0] * centered.shape[2] + index[1])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient_WPN: Tensor) -> tuple[Tensor, None]:
        centered, index = ctx.saved_tensors
        n_windows, _, n_fields, n_stocks = centered.shape
        # P is the place of a pair in the list of pairs; on the diagonal it points at a row of zeros
        place_FF = torch.full((n_fields, n_fields), index.shape[1], device=index.device)
        place_FF[index[0], index[1]] = place_FF[index[1], index[0]] = torch.arange(index.shape[1], device=index.device)
        padded_WPN = torch.cat([gradient_WPN, gradient_WPN.new_zeros(n_windows, 1, n_stocks)], dim=1)
        symmetric_WNFF = padded_WPN.index_select(1, place_FF.flatten()).transpose(1, 2).contiguous().unflatten(2, (n_fields, n_fields))
        d_WNFd = symmetric_WNFF @ centered.permute(0, 3, 2, 1).contiguous()
        return d_WNFd.permute(0, 3, 2, 1), None


def _sums_of_products(centered: Tensor, index: Tensor) -> Tensor:
    sums_WPN: Tensor = _SumsOfProducts.apply(centered, index)
    return sums_WPN


def _correlations(products: Tensor, m: Moments, fields: Tensor | None, index: Tensor) -> Tensor:
    """From sums of products, of all fields or of some."""
    scale = _inverse_std(m, 0) * m.x.shape[1] ** -0.5
    i, j = index if fields is None else fields[index]
    return products * (scale.index_select(1, i) * scale.index_select(1, j))


def ts_cov(x_TFN: Tensor, window: int, stride: int, ddof: int = 1) -> Tensor:
    """Covariances (W, P, N)."""
    m, index = moments(x_TFN, window, stride), pair_index(x_TFN.shape[1]).to(x_TFN.device)
    return _sums_of_products(m.centered, index) / (window - ddof)


def ts_corr(x_TFN: Tensor, window: int, stride: int) -> Tensor:
    """Correlations (W, P, N); 0 where either field does not vary in the window."""
    m, index = moments(x_TFN, window, stride), pair_index(x_TFN.shape[1]).to(x_TFN.device)
    return _correlations(_sums_of_products(m.centered, index), m, None, index)


def ts_stddev(x_TFN: Tensor, window: int, stride: int, ddof: int = 0) -> Tensor:
    """Standard deviations (W, F, N)."""
    return _stddev(moments(x_TFN, window, stride), ddof)


def ts_zscore(x_TFN: Tensor, window: int, stride: int, ddof: int = 0) -> Tensor:
    """Mean over standard deviation (W, F, N)."""
    m = moments(x_TFN, window, stride)
    return m.mean * _inverse_std(m, ddof)


def ts_return(x_TFN: Tensor, window: int, stride: int) -> Tensor:
    """Last over first value minus 1, (W, F, N), decimal."""
    return _return(moments(x_TFN, window, stride))


def ts_decaylinear(x_TFN: Tensor, window: int, stride: int) -> Tensor:
    """Weighted means (W, F, N) with linearly decaying weights."""
    return _decaylinear(moments(x_TFN, window, stride))


def ts_sum(x_TFN: Tensor, window: int, stride: int) -> Tensor:
    """Sums (W, F, N)."""
    return windows(x_TFN, window, stride).sum(1)


def ts_mean(x_TFN: Tensor, window: int, stride: int) -> Tensor:
    """Means (W, F, N)."""
    return windows(x_TFN, window, stride).mean(1)


def ts_max(x_TFN: Tensor, window: int, stride: int) -> Tensor:
    """Largest values (W, F, N)."""
    return windows(x_TFN, window, stride).amax(1)


def ts_min(x_TFN: Tensor, window: int, stride: int) -> Tensor:
    """Smallest values (W, F, N)."""
    return windows(x_TFN, window, stride).amin(1)


class FeatureExtraction(nn.Module):
    """All six operators at once: x (T, F, N) -> features (W, C, N), C = 2 · n(n−1)/2 + 4F, without trainable parameters.

    The features in order: correlations, covariances, standard deviations, z-scores, returns, decayed means.

    Parameters
    ----------
    n_fields
        F.
    window, stride
        In steps.
    n_sampled_fields
        n: pairs are formed among n fields only, drawn once from ``generator`` and kept in the buffer ``sampled_fields``, which
        belongs to the saved weights. 0 means all fields, and nothing is drawn. The other four operators always see all fields.
    std_ddof, cov_ddof
        Degrees of freedom of standard deviation (and z-score) and of covariance.
    """

    sampled_fields: Tensor
    pair_index: Tensor

    def __init__(self, n_fields: int, window: int, stride: int, *, generator: torch.Generator, n_sampled_fields: int = 0,
                 std_ddof: int = 0, cov_ddof: int = 1) -> None:
        super().__init__()
        if not (n_sampled_fields == 0 or 2 <= n_sampled_fields <= n_fields):
            raise InvalidSpec(sentence("cannot draw this many fields for the pairs", where="FeatureExtraction", got=n_sampled_fields,
                                       expected=f"2 to {n_fields}, or 0 for all", next_step="Change n_sampled_fields."))
        self.window, self.stride, self.std_ddof, self.cov_ddof = window, stride, std_ddof, cov_ddof
        n_paired = n_sampled_fields or n_fields
        self.n_features = n_paired * (n_paired - 1) + 4 * n_fields
        self.is_sampled = n_sampled_fields > 0
        if self.is_sampled:
            drawn = torch.randperm(n_fields, generator=generator)[:n_sampled_fields]
            self.register_buffer("sampled_fields", drawn.sort().values)
        self.register_buffer("pair_index", pair_index(n_paired), persistent=False)

    def forward(self, x_TFN: Tensor) -> Tensor:
        """Features (W, C, N)."""
        if x_TFN.device.type == "cpu" and x_TFN.dtype == torch.float32 and has_numba():
            return self._by_kernel(x_TFN)
        m = moments(x_TFN, self.window, self.stride)
        fields = self.sampled_fields if self.is_sampled else None
        products = _sums_of_products(m.centered if fields is None else m.centered.index_select(2, fields), self.pair_index)
        return torch.cat([
            _correlations(products, m, fields, self.pair_index),
            products / (self.window - self.cov_ddof),
            _stddev(m, self.std_ddof),
            m.mean * _inverse_std(m, self.std_ddof),
            _return(m),
            _decaylinear(m),
        ], dim=1)

    def _by_kernel(self, x_TFN: Tensor) -> Tensor:
        from alpha_pipeline.models.operators_kernel import Settings, extract_features

        n_windows(x_TFN.shape[0], self.window, self.stride)
        fields = self.sampled_fields if self.is_sampled else torch.arange(x_TFN.shape[1])
        settings = Settings(self.window, self.stride, self.std_ddof, self.cov_ddof, MIN_VARIANCE)
        return extract_features(x_TFN, fields, self.pair_index, settings)
