"""The names of the market: who is listed from when to when, on which board, in which industry, how big, when under ST.

Names are numbered in the order of listing, and each calendar year's events come from that year's own stream. So neither a later
``end`` nor more years change anything about an earlier name or date.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alpha_pipeline.market.schema import BOARDS
from alpha_pipeline.sources.simulated.spec import SimulatedMarketSpec, Stream, stream

F = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

NEVER = 10**9  # a session index beyond every calendar
IPO_RATE = 0.045  # listings a year, share of n_stocks
ST_RATE = 0.018  # new ST spells a year, share of names; twice that for the smaller half
ST_AT_START = 0.03
DELIST_SHARE = 0.35  # of ST spells end in a delisting
DELISTING_SESSIONS = 15  # length of the delisting period (退市整理期)

# Shenwan level-1 industries (2021 edition) and their rough share of all names.
INDUSTRIES: dict[str, float] = {
    "农林牧渔": 2.1, "基础化工": 8.0, "钢铁": 0.9, "有色金属": 2.7, "电子": 9.0, "汽车": 5.4, "家用电器": 1.9, "食品饮料": 2.4,
    "纺织服饰": 2.2, "轻工制造": 3.1, "医药生物": 9.5, "公用事业": 2.5, "交通运输": 2.4, "房地产": 2.1, "商贸零售": 2.0,
    "社会服务": 1.5, "银行": 0.8, "非银金融": 1.6, "综合": 0.5, "建筑材料": 1.4, "建筑装饰": 3.1, "电力设备": 7.0,
    "机械设备": 10.5, "国防军工": 2.6, "计算机": 6.7, "传媒": 2.6, "通信": 2.5, "煤炭": 0.7, "石油石化": 0.9, "环保": 2.6,
    "美容护理": 0.6,
}
INDUSTRY_NAMES = tuple(INDUSTRIES)
# Log-cap shift by industry: banks and insurers are large. Everything else is close to the market.
_INDUSTRY_SIZE = {"银行": 2.2, "非银金融": 1.2, "食品饮料": 0.5, "煤炭": 0.7, "石油石化": 0.6, "公用事业": 0.3}


@dataclass(frozen=True, eq=False)
class Population:
    """All names ever listed, in order of listing; arrays have shape (n_names,).

    ``list_index`` is the session index of the first session (negative or 0 for names listed before the start; ``listed_before``
    counts their earlier sessions). A name trades on sessions ``list_index <= t < delist_index`` and is under ST on
    ``st_start <= t < st_end``; its last 15 sessions before ``delist_index`` are the delisting period.
    """

    symbols: list[str]
    board: I64
    industry: I64
    list_index: I64
    listed_before: I64
    delist_index: I64
    st_start: I64
    st_end: I64
    price: F
    total_shares: F
    float_ratio: F
    free_ratio: F
    beta: F
    base_vol: F
    base_turn: F
    overhang: F
    book_to_price: F
    roe: F

    def __len__(self) -> int:
        return len(self.symbols)

    def count_listed(self, t: int) -> int:
        """Number of names listed up to session ``t``; they are the first ones."""
        return int(np.searchsorted(self.list_index, t, "right"))


def build_population(spec: SimulatedMarketSpec, sessions: npt.NDArray[np.datetime64], start_index: int) -> Population:
    """Names and their schedules. ``sessions`` holds the burn-in before ``start_index`` and runs to the end of the last year."""
    cohorts = [_seasoned(spec, sessions[start_index])]
    last_year = int(str(sessions[-1])[:4])
    for year in range(spec.start.year, last_year + 1):
        cohorts.append(_listings(spec, year, sessions, start_index))
    columns = {name: np.concatenate([c[name] for c in cohorts]) for name in cohorts[0]}
    n = len(columns["board"])
    st_start, st_end, delist = _special_treatment(spec, columns, sessions, start_index, n)
    return Population(
        symbols=_symbols(columns["board"]), board=columns["board"].astype(np.int64),
        industry=columns["industry"].astype(np.int64),
        list_index=columns["list_index"].astype(np.int64), listed_before=columns["listed_before"].astype(np.int64),
        delist_index=delist, st_start=st_start, st_end=st_end,
        price=columns["price"], total_shares=columns["total_shares"], float_ratio=columns["float_ratio"],
        free_ratio=columns["free_ratio"], beta=columns["beta"], base_vol=columns["base_vol"], base_turn=columns["base_turn"],
        overhang=columns["overhang"], book_to_price=columns["book_to_price"], roe=columns["roe"],
    )


def _board_mix(day: dt.date) -> list[float]:
    """Chances of main, chinext, star, bse for a listing on ``day``."""
    if day >= dt.date(2021, 11, 15):
        return [0.30, 0.32, 0.23, 0.15]
    if day >= dt.date(2019, 7, 22):
        return [0.37, 0.33, 0.30, 0.0]
    return [0.62, 0.38, 0.0, 0.0]


def _characters(rng: np.random.Generator, n: int, log_cap_mean: float) -> dict[str, F]:
    """Size, price, risk and accounting character of ``n`` names. Each name takes the same number of draws."""
    z = rng.standard_normal((n, 9))
    u = rng.random((n, 4))
    shares = np.array(list(INDUSTRIES.values()))
    industry = np.searchsorted(np.cumsum(shares / shares.sum()), u[:, 0])
    shift = np.array([_INDUSTRY_SIZE.get(name, 0.0) for name in INDUSTRY_NAMES])[industry]
    # Lognormal body with a Pareto-like upper tail: the largest names hold a large part of the market.
    log_cap = log_cap_mean + 0.95 * z[:, 0] + 0.45 * np.maximum(z[:, 0] - 1.0, 0.0) ** 1.5 + shift
    size = (log_cap - log_cap_mean) / 1.1
    price = np.round(np.exp(np.clip(2.55 + 0.65 * z[:, 1] + 0.12 * size, 1.3, 6.0)), 2)
    book_to_price = np.exp(np.clip(-0.95 + 0.55 * z[:, 4] + np.where(shift > 1.0, 0.8, 0.0), -2.6, 0.9))
    return {
        "industry": industry.astype(np.float64), "price": price,
        "total_shares": np.round(np.exp(log_cap) / price / 1000.0) * 1000.0,
        "float_ratio": np.clip(0.55 + 0.6 * u[:, 1], 0.3, 1.0), "free_ratio": 0.45 + 0.5 * u[:, 2],
        "beta": np.clip(1.0 + 0.22 * z[:, 5] - 0.08 * size, 0.3, 1.8),
        "base_vol": 0.0225 * np.exp(0.22 * z[:, 2] - 0.06 * size),
        "base_turn": 0.0150 * np.exp(0.50 * z[:, 3] + 0.45 * z[:, 2] * 0.5 - 0.25 * size),
        "book_to_price": book_to_price, "roe": 0.075 + 0.075 * z[:, 6] + 0.02 * size,
        "overhang": np.zeros(n), "_listing": z[:, 7], "_age": u[:, 3],
    }


def _seasoned(spec: SimulatedMarketSpec, first: np.datetime64) -> dict[str, F]:
    """The ``n_stocks`` names that are there on the first session, listed between a year and twenty years before."""
    n = spec.n_stocks
    rng = stream(spec.seed, Stream.SEASONED)
    columns = _characters(rng, n, log_cap_mean=22.6)
    day = spec.start
    star_age = int((day - dt.date(2019, 7, 22)).days * 243 / 365.25) - 60
    bse_age = int((day - dt.date(2021, 11, 15)).days * 243 / 365.25) - 60
    chinext_age = int((day - dt.date(2009, 10, 30)).days * 243 / 365.25) - 60
    star = min(0.10, 0.05 * star_age / 243) if star_age > 60 else 0.0
    bse = 0.04 if bse_age > 60 else 0.0
    chinext = 0.22 if chinext_age > 500 else (0.06 if chinext_age > 60 else 0.0)
    board = np.searchsorted(np.cumsum([1.0 - star - bse - chinext, chinext, star]), rng.random(n), "right")
    oldest = np.array([4800, max(chinext_age, 61), max(star_age, 61), max(bse_age, 61)])[board]
    columns["board"] = board.astype(np.float64)
    columns["listed_before"] = np.floor(np.minimum(61 + columns.pop("_age") * (oldest - 60), oldest))
    columns["list_index"] = np.zeros(n)
    columns.pop("_listing")
    _shrink_bse(columns)
    return columns


def _listings(spec: SimulatedMarketSpec, year: int, sessions: npt.NDArray[np.datetime64], start_index: int) -> dict[str, F]:
    """The IPOs of one calendar year after the first session, on random sessions, in order of listing."""
    rng = stream(spec.seed, Stream.LISTINGS, year)
    n = max(int(round(IPO_RATE * spec.n_stocks)), 2)
    low, high = np.searchsorted(sessions, [np.datetime64(f"{year}-01-01"), np.datetime64(f"{year + 1}-01-01")])
    at = np.sort(low + np.floor(rng.random(n) * (high - low)).astype(np.int64))
    columns = _characters(rng, n, log_cap_mean=22.1)
    mixes = np.array([np.cumsum(_board_mix(day.astype(dt.date))) for day in sessions[np.minimum(at, len(sessions) - 1)]])
    columns["board"] = (rng.random(n)[:, None] > mixes[:, :3]).sum(axis=1).astype(np.float64)
    columns["listed_before"] = np.zeros(n)
    columns["list_index"] = at.astype(np.float64)
    columns["float_ratio"] = np.full(n, 0.25)  # the rest is locked up at first
    columns["overhang"] = np.clip(0.45 + 0.35 * columns.pop("_listing"), -0.1, 1.6)
    columns.pop("_age")
    _shrink_bse(columns)
    keep = at > start_index
    return {name: values[keep] for name, values in columns.items()}


def _shrink_bse(columns: dict[str, F]) -> None:
    """Beijing names are smaller and cheaper."""
    bse = columns["board"] == BOARDS.index("bse")
    columns["total_shares"][bse] = np.round(columns["total_shares"][bse] * 0.3 / 1000.0) * 1000.0
    columns["total_shares"] = np.maximum(columns["total_shares"], 4e7)


def _special_treatment(
    spec: SimulatedMarketSpec, columns: dict[str, F], sessions: npt.NDArray[np.datetime64], start_index: int, n: int,
) -> tuple[I64, I64, I64]:
    """Session indices (st_start, st_end, delist_index): spells begin after the annual reports and last one or two years."""
    st_start, st_end, delist = (np.full(n, NEVER) for _ in range(3))
    list_index = columns["list_index"]
    cap = columns["price"] * columns["total_shares"]
    chance = np.where(cap < np.exp(22.4), 2.0, 0.5)
    first_year = int(str(sessions[start_index])[:4])
    last_year = int(str(sessions[-1])[:4])
    for year in range(first_year - 1, last_year + 1):
        u = stream(spec.seed, Stream.EVENTS, year).random((n, 4))  # row per name: more names do not change the earlier ones
        begin = int(np.searchsorted(sessions, np.datetime64(f"{year}-04-20"))) + np.floor(u[:, 1] * 14).astype(np.int64)
        is_before = year < first_year
        rate = ST_AT_START if is_before else ST_RATE
        if is_before:  # already under ST on the first session
            begin = np.full(n, start_index)
        elif year == first_year and int(np.searchsorted(sessions, np.datetime64(f"{year}-04-20"))) <= start_index:
            continue
        is_old_enough = begin > list_index + (0 if is_before else 250)
        new = (u[:, 0] < rate * chance) & (begin < len(sessions)) & is_old_enough & (st_start == NEVER)
        length = np.floor(np.where(u[:, 2] < 0.7, 243, 486) - (u[:, 3] * 200 if is_before else 0)).astype(np.int64)
        ends_badly = new & (u[:, 3] < DELIST_SHARE)
        st_start[new] = begin[new]
        st_end[new] = (begin + length)[new]
        delist[ends_badly] = st_end[ends_badly]
    return st_start, st_end, delist


def _symbols(board: F) -> list[str]:
    """Codes in the exchanges' own ranges, counted up per range in the order of listing."""
    counts = {"SH": 0, "SZ": 0, "chinext": 0, "star": 0, "bse": 0}
    symbols = []
    for code in board.astype(int):
        name = BOARDS[code]
        if name == "main":
            exchange = "SH" if counts["SH"] <= counts["SZ"] else "SZ"
            first = 600000 if exchange == "SH" else 1
            symbols.append(f"{first + counts[exchange]:06d}.{exchange}")
            counts[exchange] += 1
            continue
        prefix, suffix = {"chinext": (300001, "SZ"), "star": (688001, "SH"), "bse": (920001, "BJ")}[name]
        symbols.append(f"{prefix + counts[name]}.{suffix}")
        counts[name] += 1
    return symbols
