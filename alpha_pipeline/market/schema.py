"""The six tables of a market: columns, dtypes, units, keys.

One parquet per trade date and table. Symbols look like ``600519.SH``, ``000001.SZ``, ``920002.BJ``; times are Asia/Shanghai wall
clock without a zone, stamped at the **end** of the bar. Prices are unadjusted CNY.
"""

from __future__ import annotations

from dataclasses import dataclass

BOARDS = ("main", "chinext", "star", "bse")
INDICES = {
    "000300.SH": "CSI 300",
    "000905.SH": "CSI 500",
    "000852.SH": "CSI 1000",
    "399303.SZ": "CNI 2000",
    "000985.CSI": "CSI All Share",
}


@dataclass(frozen=True)
class Column:
    """One column: name, dtype (``float64``, ``int64``, ``bool``, ``string``, ``timestamp``, ``date``), unit, meaning.

    ``optional`` columns may be absent from a source (it then says so); ``nullable`` ones may hold missing values.
    """

    name: str
    dtype: str
    unit: str
    doc: str
    optional: bool = False
    nullable: bool = False


@dataclass(frozen=True)
class TableSchema:
    """A table: its key columns and all columns, in order of storage."""

    name: str
    doc: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    def column(self, name: str) -> Column:
        return next(c for c in self.columns if c.name == name)

    @property
    def required(self) -> list[str]:
        return [c.name for c in self.columns if not c.optional]


_DATE = Column("trade_date", "date", "", "session the row belongs to")
_SYMBOL = Column("symbol", "string", "", "security code with exchange suffix")
_OHLC = (
    Column("open", "float64", "CNY", "first price"),
    Column("high", "float64", "CNY", "highest price"),
    Column("low", "float64", "CNY", "lowest price"),
    Column("close", "float64", "CNY", "last price"),
)

DAILY_BARS = TableSchema(
    "daily_bars", "Daily bars of every listed stock; a suspended stock has a flat bar at pre_close with volume 0.",
    ("trade_date", "symbol"),
    (
        _DATE, _SYMBOL, *_OHLC,
        Column("pre_close", "float64", "CNY", "the exchange's reference price: previous close adjusted for today's ex-right event"),
        Column("volume", "float64", "shares", "shares traded"),
        Column("amount", "float64", "CNY", "value traded", nullable=True),
        Column("vwap", "float64", "CNY", "amount / volume; close when nothing traded; a proxy where the source says so", nullable=True),
        Column("adj_factor", "float64", "1", "cumulative backward factor: adjusted price = raw price x factor"),
        Column("trade_status", "string", "", "'trading' or 'suspended'"),
    ),
)
INTRADAY_BARS = TableSchema(
    "intraday_bars", "Bars within the session at the source's native frequency; suspended stocks have no rows.",
    ("trade_date", "symbol", "bar_end"),
    (
        _DATE, _SYMBOL, Column("bar_end", "timestamp", "", "end of the bar, Asia/Shanghai wall clock"), *_OHLC,
        Column("vwap", "float64", "CNY", "amount / volume; close when nothing traded in the bar"),
        Column("volume", "float64", "shares", "shares traded in the bar"),
        Column("amount", "float64", "CNY", "value traded in the bar"),
        Column("trade_count", "float64", "1", "number of trades", optional=True),
        Column("buy_amount", "float64", "CNY", "value of buyer-initiated trades", optional=True),
        Column("sell_amount", "float64", "CNY", "value of seller-initiated trades", optional=True),
    ),
)
SECURITY_STATUS = TableSchema(
    "security_status", "What is known of each listed stock before and on the session, apart from its bars.",
    ("trade_date", "symbol"),
    (
        _DATE, _SYMBOL,
        Column("board", "string", "", "main, chinext, star or bse"),
        Column("industry", "string", "", "level-1 industry name; the scheme is named by the source", nullable=True),
        Column("is_st", "bool", "", "special treatment (ST, *ST, PT)"),
        Column("is_suspended", "bool", "", "no trading in the whole session"),
        Column("limit_up", "float64", "CNY", "upper price limit; missing on no-limit days", nullable=True),
        Column("limit_down", "float64", "CNY", "lower price limit; missing on no-limit days", nullable=True),
        Column("listed_days", "int64", "sessions", "sessions since listing, 1 on the first day"),
        Column("is_delisting", "bool", "", "in the delisting period"),
        Column("total_shares", "float64", "shares", "all shares outstanding", nullable=True),
        Column("float_shares", "float64", "shares", "tradable A shares", nullable=True),
        Column("free_float_shares", "float64", "shares", "free float", nullable=True),
    ),
)
INDEX_WEIGHTS = TableSchema(
    "index_weights", "Constituents and their weights at the close; sums to 1 per index.",
    ("trade_date", "index_code", "symbol"),
    (
        _DATE, Column("index_code", "string", "", "index such as 000905.SH"), _SYMBOL,
        Column("weight", "float64", "1", "share of the index at the close of trade_date"),
    ),
)
INDEX_BARS = TableSchema(
    "index_bars", "Daily bars of the price indices.",
    ("trade_date", "index_code"),
    (
        _DATE, Column("index_code", "string", "", "index such as 000905.SH"),
        Column("open", "float64", "points", "first level"), Column("high", "float64", "points", "highest level"),
        Column("low", "float64", "points", "lowest level"), Column("close", "float64", "points", "last level, price index"),
        Column("close_total_return", "float64", "points", "last level with dividends reinvested", optional=True, nullable=True),
    ),
)
FUNDAMENTALS = TableSchema(
    "fundamentals", "Report figures on the session on which the market first knows them.",
    ("trade_date", "symbol", "report_period"),
    (
        Column("trade_date", "date", "", "first session after the announcement at which the figures may be used"), _SYMBOL,
        Column("announce_date", "date", "", "day of publication, never after trade_date"),
        Column("report_period", "date", "", "end of the fiscal period"),
        *(Column(name, "float64", "CNY", doc, nullable=True) for name, doc in (
            ("total_assets", "total assets"), ("total_liabilities", "total liabilities"), ("long_term_debt", "long-term debt"),
            ("preferred_equity", "preferred equity"), ("book_equity", "equity of common shareholders"),
            ("net_profit_ttm", "net profit, trailing twelve months"), ("operating_cash_flow_ttm", "operating cash flow, trailing twelve months"),
            ("revenue", "revenue, trailing twelve months"),
        )),
        Column("eps", "float64", "CNY per share", "annual earnings per share, for 5-year growth", nullable=True),
        Column("sales_per_share", "float64", "CNY per share", "annual sales per share, for 5-year growth", nullable=True),
    ),
)
TABLES: dict[str, TableSchema] = {t.name: t for t in (DAILY_BARS, INTRADAY_BARS, SECURITY_STATUS, INDEX_WEIGHTS, INDEX_BARS, FUNDAMENTALS)}
