"""The map's rankings: cells as ids and numbers, one file a scope, crime type and window.

A file holds columns of equal length, in the order of the ranks; the page computes outlines from the
ids, and ranks and crimes of any month from the crimes of the single months.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from crime_assets.lake import create, sql

STATEMENTS = (
    "hexes/complete_windows",
    "maps/cell_pairs",
    "maps/pair_crimes",
    "maps/pair_places",
    "maps/inside_windows",
    "maps/hot_months",
    "maps/shown_rankings",
    "maps/shown_cells",
    "maps/cell_names",
    "maps/numbered_cells",
    "maps/hotspot_crimes",
)
PERSISTENCE = ("persistent", "emerging", "former", "intermittent")
"""The classes, as the files number them."""

NAMED = ("force", "lsoa", "place")
"""What the cells of a ranking have the names of; a file lists each name once."""


@dataclass(frozen=True)
class Ranking:
    """One ranking as the map shows it: ``ranking`` and ``history`` are what its files hold.

    ``history`` has the crimes of each of the months in each cell, cell by cell, in one list.
    """

    scope: str
    crime_type: str
    window_months: int
    ranking: dict[str, Any]
    history: dict[str, Any]


def show_cells(connection: duckdb.DuckDBPyConnection, months: Sequence[str]) -> int:
    """Make what :func:`rankings` reads, of the map whose last month is the last of ``months``.

    Needs ``hotspot_frequency`` of that month, ``hotspots``, ``hex_counts`` and ``snap_counts`` of
    ``months``, ``complete_windows``, ``hex_cells`` and ``lsoa_areas``. Returns how many cells of
    rankings are shown.
    """
    months = list(months)
    create(connection, "maps/cell_pairs")
    create(connection, "maps/pair_crimes", months=months)
    create(connection, "maps/pair_places")
    create(connection, "maps/inside_windows", months=months)
    create(connection, "maps/hot_months", month=months[-1])
    create(connection, "maps/shown_rankings")
    create(connection, "maps/shown_cells")
    return int(connection.execute("select count(*) from shown_cells").fetchall()[0][0])


def month_crimes(connection: duckdb.DuckDBPyConnection, months: int) -> NDArray[np.int32]:
    """Crimes of each pair of cell and type in each month: shape (pairs, ``months``).

    Needs what :func:`show_cells` made.
    """
    (pairs,) = connection.execute("select count(*) from cell_pairs").fetchall()[0]
    crimes = np.zeros((pairs, months), np.int32)
    found = connection.execute("select pair, nth, crimes from pair_crimes").fetchnumpy()
    crimes[found["pair"], found["nth"]] = found["crimes"]
    return crimes


def window_crimes(crimes: NDArray[np.int32], window_months: int) -> NDArray[np.int32]:
    """Crimes of the windows that end in each month: of the shape of ``crimes``.

    A window that begins before the first month has the crimes since then.
    """
    summed = np.cumsum(crimes, axis=1, dtype=np.int32)
    summed[:, window_months:] -= summed[:, :-window_months].copy()
    return summed


def contradictions(
    connection: duckdb.DuckDBPyConnection, crimes: NDArray[np.int32]
) -> tuple[int, int]:
    """Hotspots of the map's months whose crimes are not what ``crimes`` says; and all of them.

    The one was counted by ranking, the other is what the map computes them from. Needs what
    :func:`show_cells` made.
    """
    create(connection, "maps/hotspot_crimes")
    wrong = checked = 0
    for window_months in (1, 3, 12):
        summed = window_crimes(crimes, window_months)
        hot = connection.execute(
            "select pair, nth, crimes from hotspot_crimes where window_months = $window",
            {"window": window_months},
        ).fetchnumpy()
        wrong += int((summed[hot["pair"], hot["nth"]] != hot["crimes"]).sum())
        checked += len(hot["pair"])
    connection.execute("drop table hotspot_crimes")
    return wrong, checked


def rankings(
    connection: duckdb.DuckDBPyConnection, months: Sequence[str], crimes: NDArray[np.int32]
) -> Iterator[Ranking]:
    """The rankings of the map, by scope, type and window; needs what :func:`show_cells` made.

    ``crimes`` are those of :func:`month_crimes`.
    """
    create(connection, "maps/cell_names")
    names: dict[str, NDArray] = {}
    for kind in NAMED:
        found = connection.execute(
            "select name from cell_names where kind = $kind order by nth", {"kind": kind}
        )
        names[kind] = found.fetchnumpy()["name"]
    heads = connection.execute(
        """
        select ranking.*, count(*) as cells
        from shown_rankings as ranking
        inner join shown_cells using (scope, crime_type, window_months)
        group by all
        order by scope, crime_type, window_months
        """
    ).fetchall()
    cells = connection.execute(sql("maps/numbered_cells"), {"classes": PERSISTENCE}).fetchnumpy()
    end = 0
    for scope, crime_type, window_months, k, windows, complete, tied, rows in heads:
        start, end = end, end + rows
        here = {name: column[start:end] for name, column in cells.items()}
        of_months = crimes[here["pair"]]
        ranking = {
            "scope": scope,
            "crime_type": crime_type,
            "window_months": window_months,
            "month": months[-1],
            "k": k,
            "windows": windows,
            "complete": complete,
            "tied": tied,
            **{name: here[name].tolist() for name in ("hex_id", "hits", "hot", "persistence")},
            "crimes": of_months[:, -window_months:].sum(axis=1).tolist(),
            "points": _with_null(here["points"]),
            "largest": _with_null(here["largest"]),
        }
        for kind in NAMED:
            used, index = np.unique(here[kind], return_inverse=True)
            known = used >= 0
            ranking[f"{kind}s"] = names[kind][used[known]].tolist()
            ranking[kind] = (index - (0 if known.all() else 1)).tolist()
        yield Ranking(
            scope, crime_type, window_months, ranking, {"crimes": of_months.ravel().tolist()}
        )


def _with_null(column: NDArray) -> list[int | None]:
    return [None if value < 0 else value for value in column.tolist()]
