"""Rankings of cells: windows of 1, 3 and 12 months, the k hottest cells, how lasting they are.

The steps are statements in ``sql/hexes/``; here stand their parameters. Every function works on
views or temporary tables of one connection and returns the name of the table that it made.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import duckdb

from crime_assets import DataError
from crime_assets.hexes.concentration import poisson_gini
from crime_assets.lake import create
from crime_assets.partitions import months_back
from crime_assets.register import ALL_CRIME, CRIME_TYPES

CRIME_HARM = "Crime harm"
LONGEST_WINDOW = 12
FREQUENCY_MONTHS = 36
MOST_THOUSANDTHS = 10**9
"""A million a crime: sums over a cell's crimes then fit an integer of 64 bits."""

HOTSPOT_STATEMENTS = (
    "hexes/complete_windows",
    "hexes/cell_windows",
    "hexes/score_histogram",
    "hexes/hottest_cells",
    "hexes/hotspots",
    "hexes/rankings_made",
)
SUMMARY_STATEMENTS = (*HOTSPOT_STATEMENTS[:3], "hexes/hotspot_summary")
FREQUENCY_STATEMENTS = ("hexes/complete_windows", "hexes/hotspot_frequency")

Weights = dict[str, int]
"""A harm index: crime types with their weights in thousandths."""


class WeightsError(DataError):
    """The file of CRIME_WEIGHTS is no harm index."""


def read_weights(path: str | None) -> Weights:
    """The weights of a CSV file ``crime_type,weight`` (at most three decimals), none where no path.

    Raises :class:`WeightsError` for a file that is not there, a type that police.uk does not
    have, or a weight that is no such number.
    """
    if path is None:
        return {}
    if not Path(path).exists():
        raise WeightsError(f"CRIME_WEIGHTS {path}: there is no such file")
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise WeightsError(f"CRIME_WEIGHTS {path}: no CSV file in UTF-8 ({error})") from error
    if not rows or not {"crime_type", "weight"} <= set(rows[0]):
        raise WeightsError(f"CRIME_WEIGHTS {path}: it needs a header crime_type,weight and rows")
    weights: Weights = {}
    for line, row in enumerate(rows, 2):
        if row["crime_type"] not in CRIME_TYPES:
            raise WeightsError(
                f"CRIME_WEIGHTS {path}, line {line}: police.uk has no crime type "
                f"{row['crime_type']!r}; it has {', '.join(CRIME_TYPES)}"
            )
        if row["crime_type"] in weights:
            raise WeightsError(
                f"CRIME_WEIGHTS {path}, line {line}: {row['crime_type']} has a weight already"
            )
        try:
            thousandths = Decimal(row["weight"] or "nan") * 1000
        except InvalidOperation:
            thousandths = Decimal("nan")
        in_range = thousandths.is_finite() and 0 <= thousandths <= MOST_THOUSANDTHS
        if not in_range or thousandths % 1:
            raise WeightsError(
                f"CRIME_WEIGHTS {path}, line {line}: the weight {row['weight']!r} is no number "
                "from 0 to a million with at most three decimals"
            )
        weights[row["crime_type"]] = int(thousandths)
    return weights


Made = Mapping[str, Sequence[Any]]
"""Months with what :func:`rankings_made` said of them."""


def find_complete_windows(
    connection: duckdb.DuckDBPyConnection,
    months: list[str],
    weights: Weights,
    made: Made | None = None,
) -> str:
    """``complete_windows`` of windows that end in ``months``; needs ``coverage`` and ``scopes``.

    Ranked are the types that are in use, and all of them together. Of the months in ``made`` only
    what was ranked then counts: a scope that came later, a harm index, months that were loaded
    afterwards make rankings possible that ``hotspots`` of that month does not hold.
    """
    in_use = [asdict(t) for t in CRIME_TYPES.values() if not t.last_month]
    return create(
        connection,
        "hexes/complete_windows",
        crime_types=json.dumps(in_use),
        series=[ALL_CRIME, *([CRIME_HARM] if weights else [])],
        months=months,
        made=json.dumps(
            [
                {
                    "month": month,
                    "rankings": [
                        {"crime_type": crime_type, "window_months": w, "scopes": scopes}
                        for crime_type, w, scopes in rankings
                    ],
                }
                for month, rankings in (made or {}).items()
            ]
        ),
    )


def rankings_made(connection: duckdb.DuckDBPyConnection, month: str) -> list[list[Any]]:
    """The rankings of ``month``: crime type, months of the window, scopes; after the ranking."""
    table = create(connection, "hexes/rankings_made", month=month)
    return [list(row) for row in connection.execute(f"select * from {table}").fetchall()]


def score_cells(connection: duckdb.DuckDBPyConnection, month: str, weights: Weights) -> str:
    """``cell_windows`` and ``score_histogram`` of the windows that end in ``month``.

    Needs ``hex_counts`` of the twelve months, ``scope_cells`` and ``complete_windows``.
    """
    create(
        connection,
        "hexes/cell_windows",
        month=month,
        third_month=months_back(month, 3)[0],
        weights=json.dumps(
            [{"crime_type": t, "thousandths": weight} for t, weight in weights.items()]
        ),
    )
    return create(connection, "hexes/score_histogram", month=month)


def rank_hotspots(connection: duckdb.DuckDBPyConnection, month: str, weights: Weights) -> str:
    """``hotspots`` of the windows that end in ``month``.

    Needs ``coverage``, ``hex_counts`` and ``snap_counts`` of the twelve months, ``scopes`` and
    ``scope_cells``.
    """
    find_complete_windows(connection, [month], weights)
    score_cells(connection, month, weights)
    create(connection, "hexes/hottest_cells")
    return create(connection, "hexes/hotspots", month=month, third_month=months_back(month, 3)[0])


def summarise_hotspots(
    connection: duckdb.DuckDBPyConnection, month: str, weights: Weights, made: Made | None = None
) -> str:
    """``hotspot_summary`` of ``month``.

    Needs ``coverage`` of thirteen months, ``hex_counts`` of twelve, ``hotspots`` of ``month`` and
    the month before (``made`` says what that holds), ``scopes`` and ``scope_cells``.
    """
    before = months_back(month, 2)[0]
    known = {m: rankings for m, rankings in (made or {}).items() if m == before}
    find_complete_windows(connection, [before, month], weights, known)
    score_cells(connection, month, weights)
    functions = connection.execute(
        "select count(*) from duckdb_functions() where function_name = 'poisson_gini'"
    ).fetchone()
    if not functions or not functions[0]:  # all connections to one database share it
        connection.create_function("poisson_gini", poisson_gini, ["DOUBLE"], "DOUBLE")
    return create(connection, "hexes/hotspot_summary", month=month, month_before=before)


def count_frequency(
    connection: duckdb.DuckDBPyConnection, month: str, weights: Weights, made: Made | None = None
) -> str:
    """``hotspot_frequency`` over the 36 months that end in ``month``.

    Needs ``coverage`` and ``hotspots`` of the 36 months (``made`` says what they hold), and
    ``scopes``.
    """
    months = months_back(month, FREQUENCY_MONTHS)
    find_complete_windows(connection, months, weights, made)
    return create(connection, "hexes/hotspot_frequency", first_month=months[0])
