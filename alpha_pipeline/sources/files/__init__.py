"""The ``files`` source: parquet or CSV files with a TOML column map. Start at :class:`FilesMarket`."""

from alpha_pipeline.sources.files.column_map import read_column_map
from alpha_pipeline.sources.files.source import FilesMarket
from alpha_pipeline.sources.files.spec import FilesMarketSpec

__all__ = ["FilesMarket", "FilesMarketSpec", "read_column_map"]
