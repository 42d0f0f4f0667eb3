"""AlphaNet's six operators in one pass over each group of stocks, and their gradient in another. Importing this module needs numba.

The windows of 64 stocks fit into the cache: each is centered there once, and all its features are made of it, where torch writes and
rearranges an F × F matrix per window and stock. The numbers are those of :mod:`alpha_pipeline.models.operators` to rounding, with the same
rules for degenerate windows. Groups of stocks are shared out among as many threads as torch uses; every number is made by one of them
alone, in the same order, so results are bitwise equal for any number of threads.

Letters as there; G the stocks of a group.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from alpha_pipeline.machine_code import compiled
from alpha_pipeline.models.recurrent.threads import run_groups

Array = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

_GROUP = 64


class Settings(NamedTuple):
    """In steps, degrees of freedom, and the variance below which a window is degenerate."""

    window: int
    stride: int
    std_ddof: int
    cov_ddof: int
    min_variance: float


def extract_features(x_TFN: Tensor, fields: Tensor, index: Tensor, settings: Settings) -> Tensor:
    """Features (W, C, N) of x, float32 on the CPU. ``fields``: those among which pairs are formed; ``index`` (2, P): the pairs, as places
    in ``fields``."""
    features_WCN: Tensor = _Features.apply(x_TFN, fields, index, settings)
    return features_WCN


class _Features(torch.autograd.Function):
    @staticmethod
    def forward(x_TFN: Tensor, fields: Tensor, index: Tensor, settings: Settings) -> Tensor:
        n_steps, n_fields, n_stocks = x_TFN.shape
        n_windows = (n_steps - settings.window) // settings.stride + 1
        features_WCN = torch.empty(n_windows, 2 * index.shape[1] + 4 * n_fields, n_stocks)
        x, features, place_FF = _array(x_TFN.flatten(0, 1)), features_WCN.numpy(), _places(fields, index, n_fields)
        _share_out(n_stocks, lambda first, end: _forward(x, place_FF, settings, first, end, features))
        return features_WCN

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, Settings], output: Tensor) -> None:
        *tensors, ctx.settings = inputs
        ctx.save_for_backward(*tensors, output)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_WCN: Tensor) -> tuple[Tensor, None, None, None]:
        x_TFN, fields, index, features_WCN = ctx.saved_tensors
        g_x_TFN = torch.empty(x_TFN.shape)
        x, features, gradient, g_x = (_array(t) for t in (x_TFN.flatten(0, 1), features_WCN, gradient_WCN, g_x_TFN.flatten(0, 1)))
        place_FF = _places(fields, index, x_TFN.shape[1])
        _share_out(x_TFN.shape[2], lambda first, end: _backward(x, place_FF, ctx.settings, first, end, features, gradient, g_x))
        return g_x_TFN, None, None, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Tensor, int]:
        """The members of an ensemble one after another: the kernel fills the cores with one."""

        def of_member(m: int) -> list[Any]:
            dims = (*in_dims[:3], None)  # the settings are no tensors
            return [value if dim is None else value.select(dim, m) for value, dim in zip(inputs, dims, strict=True)]

        return torch.stack([_Features.apply(*of_member(m)) for m in range(info.batch_size)]), 0


def _array(tensor: Tensor) -> Array:
    return tensor.detach().contiguous().numpy()


def _places(fields: Tensor, index: Tensor, n_fields: int) -> Integers:
    """(F, F): place of each pair of fields in the list of pairs, either way round; −1 where they form none."""
    place_FF = np.full((n_fields, n_fields), -1, dtype=np.int64)
    i, j = fields.numpy()[index.numpy()]
    place_FF[i, j] = place_FF[j, i] = np.arange(index.shape[1])
    return place_FF


def _share_out(n_stocks: int, task: Callable[[int, int], None]) -> None:
    """``task(first, end)`` for equal ranges of groups, one for each of torch's threads."""
    n_groups = -(-n_stocks // _GROUP)
    n = min(n_groups, torch.get_num_threads())
    run_groups(lambda part: task(part * n_groups // n, (part + 1) * n_groups // n), n)


@compiled("contract")
def _read(rows: Array, first: np.uint64, out: Array) -> None:
    """Numbers ``first`` … of each row; 0 past its end. Unsigned, since a signed place may count from the end, which is no plain copy."""
    width = min(np.uint64(_GROUP), np.uint64(rows.shape[1]) - first)
    for r in range(rows.shape[0]):
        row, to = rows[r], out[r]
        for n in range(width):
            to[n] = row[first + n]
        for n in range(width, np.uint64(_GROUP)):
            to[n] = 0.0


@compiled("contract")
def _write(values: Array, rows: Array, first: np.uint64) -> None:
    """The other way; what is past the end of a row is dropped."""
    width = min(np.uint64(_GROUP), np.uint64(rows.shape[1]) - first)
    for r in range(rows.shape[0]):
        row, of = rows[r], values[r]
        for n in range(width):
            row[first + n] = of[n]


@compiled("contract")
def _center(raw: Array, centered: Array, mean: Array, squares: Array) -> None:
    """Of one window (d, F, G): deviations from the mean, and (F, G) the mean and the sum of squares of the deviations."""
    n_steps, n_fields = raw.shape[0], raw.shape[1]
    shift = np.empty(_GROUP, np.float32)
    for f in range(n_fields):
        for n in range(_GROUP):
            shift[n] = 0.0
            squares[f, n] = 0.0
        for k in range(n_steps):
            for n in range(_GROUP):
                centered[k, f, n] = raw[k, f, n] - raw[0, f, n]
                shift[n] += raw[k, f, n] - raw[0, f, n]
        for n in range(_GROUP):
            shift[n] /= np.float32(n_steps)
            mean[f, n] = raw[0, f, n] + shift[n]
        for k in range(n_steps):
            for n in range(_GROUP):
                deviation = centered[k, f, n] - shift[n]
                centered[k, f, n] = deviation
                squares[f, n] += deviation * deviation


@compiled("contract")
def _inverse_root(squares: Array, divisor: int, min_variance: float, out: Array) -> None:
    """1 / √(sum of squares / divisor), 0 where that is degenerate."""
    least, by = np.float32(min_variance), np.float32(divisor)
    for f in range(squares.shape[0]):
        for n in range(_GROUP):
            variance = squares[f, n] / by
            out[f, n] = np.float32(0.0) if variance < least else np.float32(1.0) / np.sqrt(variance)


@compiled("contract")
def _forward(x: Array, place: Integers, s: Settings, first_group: int, end_group: int, features: Array) -> None:
    """The features (W, C, N) of a range of groups; x is (T · F, N)."""
    n_windows, n_features, _ = features.shape
    n_fields = place.shape[0]
    n_steps, n_pairs = x.shape[0] // n_fields, (n_features - 4 * n_fields) // 2
    own = np.empty((n_steps * n_fields, _GROUP), np.float32)
    own_TFG = own.reshape(n_steps, n_fields, _GROUP)
    centered = np.empty((s.window, n_fields, _GROUP), np.float32)
    scratch = np.empty((4, n_fields, _GROUP), np.float32)
    mean, squares, inverse, scale = scratch[0], scratch[1], scratch[2], scratch[3]
    out, total = np.empty((n_features, _GROUP), np.float32), np.empty(_GROUP, np.float32)
    singles = out[2 * n_pairs :].reshape(4, n_fields, _GROUP)
    std, zscore, change, decayed = singles[0], singles[1], singles[2], singles[3]
    least, by, cov_by = np.float32(s.min_variance), np.float32(s.window - s.std_ddof), np.float32(s.window - s.cov_ddof)
    for group in range(first_group, end_group):
        at = np.uint64(group * _GROUP)
        _read(x, at, own)
        for w in range(n_windows):
            first = n_steps - s.window - (n_windows - 1 - w) * s.stride
            raw = own_TFG[first : first + s.window]
            _center(raw, centered, mean, squares)
            _inverse_root(squares, s.window - s.std_ddof, s.min_variance, inverse)
            _inverse_root(squares, s.window, s.min_variance, scale)
            for i in range(n_fields):
                for j in range(i + 1, n_fields):
                    p = place[i, j]
                    if p >= 0:
                        corr, cov = out[p], out[n_pairs + p]
                        for n in range(_GROUP):
                            total[n] = 0.0
                        for k in range(s.window):
                            for n in range(_GROUP):
                                total[n] += centered[k, i, n] * centered[k, j, n]
                        for n in range(_GROUP):
                            corr[n] = total[n] / np.float32(s.window) * (scale[i, n] * scale[j, n])
                            cov[n] = total[n] / cov_by
            for f in range(n_fields):
                for n in range(_GROUP):
                    std[f, n] = squares[f, n] / by * inverse[f, n]
                for n in range(_GROUP):
                    zscore[f, n] = mean[f, n] * inverse[f, n]
                for n in range(_GROUP):
                    begin = raw[0, f, n]
                    is_degenerate = begin * begin < least
                    rise = (raw[s.window - 1, f, n] - begin) / (np.float32(1.0) if is_degenerate else begin)
                    change[f, n] = np.float32(0.0) if is_degenerate else rise
                for n in range(_GROUP):
                    decayed[f, n] = 0.0
                for k in range(s.window):
                    weight = np.float32(2 * (k + 1) / (s.window * (s.window + 1)))
                    for n in range(_GROUP):
                        decayed[f, n] += weight * raw[k, f, n]
            _write(out, features[w], at)


@compiled("contract")
def _backward(x: Array, place: Integers, s: Settings, first_group: int, end_group: int, features: Array, gradient: Array, g_x: Array) -> None:
    """The gradient with respect to a range of groups, into ``g_x``; x and it are (T · F, N).

    A field's gradient is a weighted sum of the centered windows, Σ_j S_ij c_j: the pairs of the field give S_ij, what goes through its own
    sum of squares S_ii. As every c_j has a mean of 0, centering passes it on as it is. Mean, return and decayed mean are linear in few terms.
    """
    n_windows, n_features, _ = features.shape
    n_fields = place.shape[0]
    n_steps, n_pairs = x.shape[0] // n_fields, (n_features - 4 * n_fields) // 2
    own, g_own = np.empty((n_steps * n_fields, _GROUP), np.float32), np.empty((n_steps * n_fields, _GROUP), np.float32)
    own_TFG, g_TFG = own.reshape(n_steps, n_fields, _GROUP), g_own.reshape(n_steps, n_fields, _GROUP)
    centered = np.empty((s.window, n_fields, _GROUP), np.float32)
    scratch = np.empty((4, n_fields, _GROUP), np.float32)
    mean, squares, inverse, scale = scratch[0], scratch[1], scratch[2], scratch[3]
    corr, g = np.empty((n_pairs, _GROUP), np.float32), np.empty((n_features, _GROUP), np.float32)
    singles = g[2 * n_pairs :].reshape(4, n_fields, _GROUP)
    g_std, g_zscore, g_change, g_decayed = singles[0], singles[1], singles[2], singles[3]
    weights, through_corr = np.empty((n_fields, _GROUP), np.float32), np.empty(_GROUP, np.float32)
    g_mean, total = np.empty(_GROUP, np.float32), np.empty(_GROUP, np.float32)
    least, steps = np.float32(s.min_variance), np.float32(s.window)
    by, cov_by = np.float32(s.window - s.std_ddof), np.float32(s.window - s.cov_ddof)
    for group in range(first_group, end_group):
        at = np.uint64(group * _GROUP)
        _read(x, at, own)
        g_own[:] = 0.0
        for w in range(n_windows):
            first = n_steps - s.window - (n_windows - 1 - w) * s.stride
            raw, g_raw = own_TFG[first : first + s.window], g_TFG[first : first + s.window]
            _center(raw, centered, mean, squares)
            _inverse_root(squares, s.window - s.std_ddof, s.min_variance, inverse)
            _inverse_root(squares, s.window, s.min_variance, scale)
            _read(features[w, :n_pairs], at, corr)
            _read(gradient[w], at, g)
            for i in range(n_fields):
                for n in range(_GROUP):
                    through_corr[n] = 0.0
                for j in range(n_fields):
                    p = place[i, j]
                    if p >= 0:
                        own_corr, g_corr, g_cov = corr[p], g[p], g[n_pairs + p]
                        for n in range(_GROUP):
                            weights[j, n] = g_corr[n] / steps * (scale[i, n] * scale[j, n]) + g_cov[n] / cov_by
                        for n in range(_GROUP):
                            through_corr[n] += g_corr[n] * own_corr[n]
                    else:
                        for n in range(_GROUP):
                            weights[j, n] = 0.0
                for n in range(_GROUP):
                    weights[i, n] = -through_corr[n] * scale[i, n] * scale[i, n] / steps
                for n in range(_GROUP):
                    a = inverse[i, n]
                    weights[i, n] += a * (g_std[i, n] - g_zscore[i, n] * mean[i, n] * a * a) / by
                for n in range(_GROUP):
                    g_mean[n] = g_zscore[i, n] * inverse[i, n] / steps
                for k in range(s.window):
                    weight = np.float32(2 * (k + 1) / (s.window * (s.window + 1)))
                    for n in range(_GROUP):
                        total[n] = g_mean[n] + weight * g_decayed[i, n]
                    for j in range(n_fields):
                        for n in range(_GROUP):
                            total[n] += weights[j, n] * centered[k, j, n]
                    for n in range(_GROUP):
                        g_raw[k, i, n] += total[n]
                for n in range(_GROUP):
                    begin = raw[0, i, n]
                    is_degenerate = begin * begin < least
                    by_begin = np.float32(1.0) / (np.float32(1.0) if is_degenerate else begin)
                    g_last = np.float32(0.0) if is_degenerate else g_change[i, n] * by_begin
                    g_raw[s.window - 1, i, n] += g_last
                    g_raw[0, i, n] -= g_last * raw[s.window - 1, i, n] * by_begin
        _write(g_own, g_x, at)
