"""Tables that a deployment gives: Parquet or CSV files named by settings."""

from __future__ import annotations

from pathlib import Path

import duckdb

from crime_assets import DataError


def _source(path: str, setting: str) -> str:
    """What DuckDB reads the file by."""
    if not Path(path).is_file():
        raise DataError(f"{setting} is {path!r}, where there is no file")
    quoted = path.replace("'", "''")
    if path.endswith(".parquet"):
        return f"read_parquet('{quoted}')"
    return f"read_csv('{quoted}', all_varchar = true)"


def table_columns(connection: duckdb.DuckDBPyConnection, path: str, setting: str) -> dict[str, str]:
    """The columns of a Parquet or CSV file: in lower case, and as they are spelled."""
    described = connection.execute(f"describe from {_source(path, setting)}").fetchall()
    return {column.lower(): column for (column, *_) in described}


def read_table(
    connection: duckdb.DuckDBPyConnection, name: str, path: str, setting: str, **columns: str
) -> None:
    """Let ``name`` be a view of the columns of a Parquet or CSV file, with these types.

    Raises :class:`~crime_assets.DataError` where there is no such file, or it lacks a column.
    """
    there = table_columns(connection, path, setting)
    if lacking := [column for column in columns if column not in there]:
        raise DataError(
            f"{setting}: {path} has no column {', '.join(lacking)}; it has {', '.join(there)}"
        )
    selected = ", ".join(
        f'"{there[column]}"::{sql_type} as {column}' for column, sql_type in columns.items()
    )
    connection.execute(
        f"create or replace temp view {name} as select {selected} from {_source(path, setting)}"
    )
