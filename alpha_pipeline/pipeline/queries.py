"""DuckDB on the store: one view per table, straight over the valid parquet files."""

from __future__ import annotations

import re
import sys

import duckdb

from alpha_pipeline.store import Store


def view_name(table: str) -> str:
    """``signals/multi/factor`` → ``signals_multi_factor``.

    >>> view_name("models/gru_15m/scores")
    'models_gru_15m_scores'
    """
    return re.sub(r"\W+", "_", table)


def open_views(store: Store) -> duckdb.DuckDBPyConnection:
    """An in-memory connection with a view for every table of the store that has a valid partition.

    Only files that a manifest names are read, so a half-written or superseded file is never seen. The views are fixed when this returns.
    """
    connection = duckdb.connect()
    if not store.is_local:
        connection.register_filesystem(store.fs)
    for table in store.tables():
        files = [path if store.is_local else f"{_protocol(store)}://{path}" for path in store.data_files(table)]
        if files:
            listed = ", ".join("'" + path.replace("'", "''") + "'" for path in files)
            connection.execute(f'CREATE VIEW "{view_name(table)}" AS SELECT * FROM read_parquet([{listed}], union_by_name = true)')
    return connection


def _protocol(store: Store) -> str:
    protocol = store.fs.protocol
    return protocol if isinstance(protocol, str) else protocol[0]


def interactive(connection: duckdb.DuckDBPyConnection) -> int:
    """A small prompt: statements end with a semicolon, an empty line or ``.quit`` leaves."""
    print("views:", ", ".join(sorted(row[0] for row in connection.execute("SHOW TABLES").fetchall())))
    statement = ""
    while True:
        try:
            line = input("sql> " if not statement else "...> ")
        except EOFError:
            return 0
        if not statement and line.strip() in ("", ".quit", "exit"):
            return 0
        statement += line + "\n"
        if line.rstrip().endswith(";"):
            try:
                print(connection.sql(statement) or "ok")
            except duckdb.Error as error:
                print(f"error: {error}", file=sys.stderr)
            statement = ""
