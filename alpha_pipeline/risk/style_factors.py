"""The ten Barra CNE5 styles of one date: descriptors become standardized, combined, orthogonal factors without gaps.

SIZE LNCAP · BETA BETA · MOMENTUM RSTR · RESVOL .74 DASTD + .16 CMRA + .10 HSIGMA, orthogonal to SIZE and BETA · NLSIZE cube of SIZE,
orthogonal to SIZE · BTOP BTOP · LIQUIDITY .35 STOM + .35 STOQ + .30 STOA, orthogonal to SIZE · EARNYILD .344 ETOP + .656 CETOP ·
GROWTH .338 EGRO + .662 SGRO · LEVERAGE .38 MLEV + .35 DTOA + .27 BLEV. Without company reports there are six, and the result says so.

All statistics are over the estimation universe of the date; other stocks are measured with the universe's figures. Regressions
are weighted by √cap and have an intercept. Source: Barra China Equity Model (CNE5), descriptor definitions; weights as corrected
in the specification (ETOP and CETOP not swapped, SGRO present, no analyst forecasts).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alpha_pipeline.errors import BadInput, Misaligned, NotEnoughData, sentence
from alpha_pipeline.risk.industries import industry_dummies

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

PRICE_STYLES: Mapping[str, tuple[tuple[str, float], ...]] = {
    "size": (("LNCAP", 1.0),),
    "beta": (("BETA", 1.0),),
    "momentum": (("RSTR", 1.0),),
    "resvol": (("DASTD", 0.74), ("CMRA", 0.16), ("HSIGMA", 0.10)),
    "nlsize": (),
    "liquidity": (("STOM", 0.35), ("STOQ", 0.35), ("STOA", 0.30)),
}
REPORT_STYLES: Mapping[str, tuple[tuple[str, float], ...]] = {
    "btop": (("BTOP", 1.0),),
    "earnyild": (("ETOP", 0.344), ("CETOP", 0.656)),
    "growth": (("EGRO", 0.338), ("SGRO", 0.662)),
    "leverage": (("MLEV", 0.38), ("DTOA", 0.35), ("BLEV", 0.27)),
}
ORTHOGONAL_TO: Mapping[str, tuple[str, ...]] = {"resvol": ("size", "beta"), "nlsize": ("size",), "liquidity": ("size",)}
DROP_BEYOND, WINSORIZE_AT = 10.0, 3.0  # standard deviations
MIN_STOCKS = 20  # universe stocks with a value, below which a date lacks the descriptor


@dataclass(frozen=True)
class StyleFactors:
    """Styles of one date.

    ``names`` (K,); ``values`` (S, K), NaN only where a style is absent on the date or a stock has no market value, or no industry
    to predict a gap from; ``n_filled`` (K,) stocks whose style was predicted; ``absent`` names of styles that no stock has (history
    too short); ``note`` one sentence on what is there and what is not.
    """

    names: tuple[str, ...]
    values: FloatArray
    n_filled: IntArray
    absent: tuple[str, ...]
    note: str


def style_factors(
    descriptors: Mapping[str, FloatArray], cap: FloatArray, industry: IntArray, universe: BoolArray
) -> StyleFactors:
    """:class:`StyleFactors` of one date, known when its descriptors are.

    Parameters
    ----------
    descriptors : (S,) each, by name, NaN = missing: those of :func:`~alpha_pipeline.risk.descriptors.price_descriptors` and, where
        there are company reports, of :func:`~alpha_pipeline.risk.reports.report_descriptors`. Without BTOP there are six styles.
    cap : (S,) total market value, CNY, > 0, NaN = unknown. industry : (S,) codes, −1 = unknown. universe : (S,) estimation universe.

    Raises
    ------
    Misaligned : shapes. BadInput : a market value that is not positive, infinite descriptors. NotEnoughData : fewer than
    ``MIN_STOCKS`` universe stocks with a market value.
    """
    for name, values in {**descriptors, "industry": industry, "universe": universe}.items():
        if values.shape != cap.shape:
            raise Misaligned(sentence(f"{name} does not fit the market values", where="style_factors", got=values.shape, expected=cap.shape))
        if values.dtype == np.float64 and np.isinf(values).any():
            raise BadInput(sentence(f"descriptor {name} is infinite", where="style_factors", got=int(np.isinf(values).sum()),
                                    next_step="Set it to NaN where it arises."))
    if (cap <= 0).any():
        raise BadInput(sentence("market values must be positive", where="style_factors", next_step="Missing is NaN."))
    n_usable = int((universe & ~np.isnan(cap)).sum())
    if n_usable < MIN_STOCKS:
        raise NotEnoughData(sentence("too few stocks for style factors", where="style_factors", got=n_usable, expected=f">= {MIN_STOCKS}"))
    has_reports = "BTOP" in descriptors
    recipes = {**PRICE_STYLES, **REPORT_STYLES} if has_reports else dict(PRICE_STYLES)
    known = {name: standardize(values, cap, universe) for name, values in {"LNCAP": np.log(cap), **descriptors}.items()}
    styles: dict[str, FloatArray] = {}
    n_filled = np.zeros(len(recipes), dtype=np.int64)
    for k, (name, recipe) in enumerate(recipes.items()):
        raw = styles["size"] ** 3 if name == "nlsize" else combine(known, recipe)
        others = [styles[other] for other in ORTHOGONAL_TO.get(name, ()) if not np.isnan(styles[other]).all()]
        if others:
            raw = orthogonalize(raw, np.column_stack(others), cap, universe)
        style = rescale(raw, cap, universe)
        if name != "size":
            style, n_filled[k] = fill_gaps(style, styles["size"], industry, cap, universe)
        styles[name] = style
    absent = tuple(name for name, style in styles.items() if np.isnan(style).all())
    return StyleFactors(tuple(recipes), np.column_stack(list(styles.values())), n_filled, absent, _note(has_reports, absent))


def _note(has_reports: bool, absent: tuple[str, ...]) -> str:
    n_styles = len(PRICE_STYLES) + len(REPORT_STYLES)
    text = f"Ten styles ({', '.join([*PRICE_STYLES, *REPORT_STYLES])})." if has_reports else (
        f"Six price-volume styles ({', '.join(PRICE_STYLES)}) instead of {n_styles}: the source has no company reports.")
    return text + (f" Absent on this date, history too short: {', '.join(absent)}." if absent else "")


def standardize(raw: FloatArray, cap: FloatArray, universe: BoolArray) -> FloatArray:
    """(S,) winsorized at 3 σ after values beyond 10 σ were dropped as errors; minus the cap-weighted mean, over the equal-weighted std.

    Mean and σ for the bounds are equal-weighted over the universe; a dropped value is NaN from here on. Fewer than ``MIN_STOCKS``
    universe values, or none that differ, give NaN for all.
    """
    values = raw
    for bound in (DROP_BEYOND, WINSORIZE_AT):
        inside = values[universe & ~np.isnan(values) & ~np.isnan(cap)]
        if len(inside) < MIN_STOCKS:
            return np.full(raw.shape, np.nan)
        center, width = inside.mean(), bound * inside.std()
        if bound == DROP_BEYOND:
            values = np.where(np.abs(values - center) <= width, values, np.nan)
        else:
            values = np.clip(values, center - width, center + width)
    return rescale(values, cap, universe)


def rescale(values: FloatArray, cap: FloatArray, universe: BoolArray) -> FloatArray:
    """(S,) minus the cap-weighted mean, over the equal-weighted standard deviation of the universe; all NaN without spread."""
    used = universe & ~np.isnan(values) & ~np.isnan(cap)
    inside = values[used]
    if len(inside) < MIN_STOCKS or inside.std() <= 1e-12 * np.abs(inside).max():
        return np.full(values.shape, np.nan)
    return np.asarray((values - np.average(inside, weights=cap[used])) / inside.std())


def combine(known: Mapping[str, FloatArray], recipe: tuple[tuple[str, float], ...]) -> FloatArray:
    """(S,) weighted mean of standardized descriptors over those that the stock has; NaN where it has none.

    >>> combine({"A": np.array([1.0, 1.0]), "B": np.array([2.0, np.nan])}, (("A", 0.75), ("B", 0.25))).tolist()
    [1.25, 1.0]
    """
    values = np.stack([known[name] for name, _ in recipe])
    weights = np.array([weight for _, weight in recipe])[:, None] * ~np.isnan(values)
    total = weights.sum(axis=0)
    return np.divide((weights * np.nan_to_num(values)).sum(axis=0), total, out=np.full(total.shape, np.nan), where=total > 0)


def orthogonalize(raw: FloatArray, others: FloatArray, cap: FloatArray, universe: BoolArray) -> FloatArray:
    """(S,) residual of a √cap-weighted regression of ``raw`` on ``others`` (S, K) and a constant, fitted over the universe."""
    design = np.column_stack([np.ones(len(raw)), others])
    return np.asarray(raw - design @ _fit(raw, design, cap, universe))


def fill_gaps(
    style: FloatArray, size: FloatArray, industry: IntArray, cap: FloatArray, universe: BoolArray
) -> tuple[FloatArray, int]:
    """(S,) ``style`` with its gaps predicted from size and industry, and how many there were.

    An industry in which no universe stock has the style predicts nothing.
    """
    gaps = np.isnan(style) & ~np.isnan(size) & (industry >= 0)
    fitted = universe & ~np.isnan(style) & ~np.isnan(size) & (industry >= 0)
    gaps &= np.isin(industry, industry[fitted])
    if not gaps.any() or fitted.sum() < MIN_STOCKS:
        return style, 0
    present = np.unique(industry[fitted])
    design = np.column_stack([industry_dummies(industry, int(industry.max()) + 1)[:, present], size])
    result = style.copy()
    result[gaps] = design[gaps] @ _fit(style, design, cap, fitted)
    return result, int(gaps.sum())


def _fit(y: FloatArray, design: FloatArray, cap: FloatArray, universe: BoolArray) -> FloatArray:
    used = universe & ~np.isnan(y) & ~np.isnan(cap) & ~np.isnan(design).any(axis=1)
    root = cap[used] ** 0.25
    return np.asarray(np.linalg.lstsq(design[used] * root[:, None], y[used] * root, rcond=1e-10)[0])
