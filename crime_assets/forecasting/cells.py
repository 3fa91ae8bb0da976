"""Hex cells as units of forecasts: their counts from the lake, and which months and cells count.

A scope (the nation, a force, a polygon) is a study area of its own: forecasters see its cells and
no others. Its history is the run of months, up to the cut-off, of which its forces published each.
The nation needs no force in particular; the cells of a force that was silent in a month of the
history or of the outcome are left out there, since they are unknown, not cold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
from numpy.typing import NDArray

from crime_assets.forecasting.backtest import Ask
from crime_assets.forecasting.counts import Counts, Units
from crime_assets.hexes import grid
from crime_assets.lake import sql
from crime_assets.partitions import months_after
from crime_assets.register import ALL_CRIME, CRIME_TYPES

STATEMENTS = ("forecasting/hex_series", "forecasting/published_months")


def hex_units(cells: NDArray[np.integer]) -> Units:
    """Hex cells (n,), ascending ids, as units with their neighbours among them."""
    from scipy.sparse import csr_array

    cells = np.asarray(cells)
    position = np.full(grid.CELLS + 1, -1, dtype=np.int32)  # the last stands for "no cell"
    position[cells] = np.arange(len(cells), dtype=np.int32)
    around = np.sort(position[grid.neighbours(cells)], axis=1)
    there = around >= 0
    indptr = np.concatenate([[0], np.cumsum(there.sum(axis=1))]).astype(np.int32)
    indices = around[there]
    neighbours = csr_array(
        (np.ones(len(indices), dtype=np.float32), indices, indptr), shape=(len(cells),) * 2
    )
    return Units("hex", cells, np.full(len(cells), grid.CELL_AREA_M2), neighbours)


@dataclass(frozen=True)
class HexSeries:
    """The crimes of all cells by type and month, in memory: 12 bytes a cell, type and month.

    ``bounds`` (types, months + 1) says where in ``hex_id`` and ``crimes`` each month of each type
    stands.
    """

    months: tuple[str, ...]
    crime_types: tuple[str, ...]
    bounds: NDArray[np.int64]
    hex_id: NDArray[np.integer]
    crimes: NDArray[np.integer]

    @classmethod
    def read(cls, connection: duckdb.DuckDBPyConnection, months: Sequence[str]) -> HexSeries:
        """From the view ``hex_counts`` of ``months``: the types in use, and all crime."""
        types = [t.crime_type for t in CRIME_TYPES.values() if not t.last_month]
        found = connection.execute(
            sql("forecasting/hex_series"), {"months": list(months), "crime_types": types}
        ).fetchnumpy()
        at = np.asarray(found["crime_type_at"]).astype(np.int32) * len(months)
        at += np.asarray(found["month_at"])
        starts = np.searchsorted(at, np.arange((len(types) + 1) * len(months) + 1))
        first = np.arange(len(types) + 1)[:, None] * len(months) + np.arange(len(months) + 1)
        return cls(
            tuple(months),
            (*types, ALL_CRIME),
            starts[first],
            np.asarray(found["hex_id"]),
            np.asarray(found["crimes"]),
        )

    def counts(self, cells: NDArray[np.integer], first: str, last: str) -> Counts:
        """The counts of some cells (ascending ids) from month ``first`` to ``last``."""
        from scipy.sparse import csc_array

        start, end = self.months.index(first), self.months.index(last) + 1
        position = np.full(grid.CELLS, -1, dtype=np.int32)
        position[cells] = np.arange(len(cells), dtype=np.int32)
        crimes = {}
        for crime_type, bounds in zip(self.crime_types, self.bounds, strict=True):
            rows = slice(bounds[start], bounds[end])
            unit = position[self.hex_id[rows]]
            inside = unit >= 0
            before = np.concatenate([[0], np.cumsum(inside)])
            crimes[crime_type] = csc_array(
                (
                    self.crimes[rows][inside].astype(np.float32),
                    unit[inside],
                    before[bounds[start : end + 1] - bounds[start]].astype(np.int32),
                ),
                shape=(len(cells), end - start),
            )
        return Counts(hex_units(cells), self.months[start:end], crimes)


@dataclass(frozen=True)
class StudyArea:
    """One scope at one cut-off: the months that count, or the reason why none is forecast.

    ``history`` and ``outcome`` are the months up to the cut-off and after it, ``silent`` the forces
    whose cells are left out, ``horizons`` the steps that can be asked for.
    """

    scope: str
    history: tuple[str, ...] = ()
    outcome: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    horizons: tuple[int, ...] = ()
    reason: str = ""

    def cells(self, connection: duckdb.DuckDBPyConnection) -> NDArray[np.integer]:
        """The cells of the scope that count, ascending. Needs ``scope_cells`` and ``hex_cells``."""
        return np.asarray(
            connection.execute(
                "select hex_id from scope_cells inner join hex_cells using (hex_id) "
                "where scope = $scope and not list_contains($silent::varchar[], "
                "coalesce(force, '')) order by hex_id",
                {"scope": self.scope, "silent": list(self.silent)},
            ).fetchnumpy()["hex_id"]
        )

    @property
    def crime_types(self) -> tuple[str, ...]:
        """All crime, and the types that police.uk had in every month that counts."""
        if not self.history:
            return ()
        return (
            *(
                t.crime_type
                for t in CRIME_TYPES.values()
                if not t.last_month and t.first_month <= self.history[0]
            ),
            ALL_CRIME,
        )


def study_areas(
    connection: duckdb.DuckDBPyConnection,
    cut_off: str,
    months: Sequence[str],
    ask: Ask,
    *,
    judged: bool,
) -> Iterator[StudyArea]:
    """The scopes of a deployment at a cut-off, in the order of ``scopes``.

    ``months`` are consecutive, those whose counts are in the lake. With ``judged``, only horizons
    whose outcome is known are there, and a scope comes once for each set of silent forces that
    they give. Needs ``coverage`` of ``months``, and ``scopes``.
    """
    published: dict[str, set[str]] = {month: set() for month in months}
    for force, month in connection.execute(sql("forecasting/published_months")).fetchall():
        if month in published:
            published[month].add(force)
    at = months.index(cut_off)
    every: set[str] = {
        force
        for (force,) in connection.execute(
            "select distinct scope from scopes where kind = 'force'"
        ).fetchall()
    }
    for scope, forces in connection.execute("select scope, forces from scopes").fetchall():

        def is_there(month: str, forces: Sequence[str] = forces) -> bool:
            return published[month].issuperset(forces) and bool(published[month])

        history = in_a_row(months[at::-1], is_there)[: ask.most_months][::-1]
        if len(history) < ask.least_months:
            yield StudyArea(
                scope,
                reason=f"{len(history)} months in a row up to {cut_off}; "
                f"{ask.least_months} are needed",
            )
            continue
        outcome = in_a_row(months[at + 1 :], is_there) if judged else ()
        missing = months_after(cut_off, len(outcome) + 1)[-1]
        reason = f"{missing} is not there to be judged by"
        by_silent: dict[tuple[str, ...], list[int]] = {}
        for horizon in ask.horizons:
            if judged and horizon > len(outcome):
                continue
            counted = [*history, *(outcome[:horizon] if judged else ())]
            always = set(every).intersection(*(published[month] for month in counted))
            silent = tuple(sorted(every - always)) if not forces else ()
            if silent and not always:  # nothing but the coast would be left
                span = f"{counted[0]} to {counted[-1]}"
                reason = f"each of its forces was silent in a month from {span}"
                continue
            by_silent.setdefault(silent, []).append(horizon)
        if not by_silent:
            yield StudyArea(scope, reason=reason)
        for silent, horizons in by_silent.items():
            after = tuple(outcome[: max(horizons)]) if judged else ()
            yield StudyArea(scope, tuple(history), after, silent, tuple(horizons))


def in_a_row(months: Sequence[str], is_there: Callable[[str], bool]) -> list[str]:
    """The months from the first on, up to one that is not there."""
    found = []
    for month in months:
        if not is_there(month):
            break
        found.append(month)
    return found
