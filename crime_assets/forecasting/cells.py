"""Hex cells as units of forecasts, counts from the lake, and which months and units count.

A scope (the nation, a force, a polygon) is a study area of its own: forecasters see its units and
no others. Its history is the run of months, up to the cut-off, of which its forces published each.
The nation needs no force in particular; the units of a force that was silent in a month of the
history or of the outcome are left out there, since they are unknown, not cold. That is true of
LSOAs (:mod:`~crime_assets.forecasting.areas`) as of cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb
import numpy as np
from numpy.typing import NDArray

from crime_assets.forecasting.backtest import Ask
from crime_assets.forecasting.counts import Counts, Units
from crime_assets.hexes import grid
from crime_assets.lake import sql
from crime_assets.partitions import months_after
from crime_assets.register import ALL_CRIME, CRIME_TYPES, crime_types_since

if TYPE_CHECKING:
    from scipy.sparse import csr_array

STATEMENTS = (
    "forecasting/unit_series",
    "forecasting/area_counts",
    "forecasting/published_months",
)


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
class Series:
    """The crimes of all units by type and month, in memory: 8 bytes a unit, type and month.

    ``ids`` (m,) are those of the units with a crime, ascending numbers; ``crimes`` (m, types x
    months) holds a type's months side by side. By rows, so that the units of one force are found
    without a look at the others.
    """

    months: tuple[str, ...]
    crime_types: tuple[str, ...]
    ids: NDArray[np.integer]
    crimes: csr_array

    @classmethod
    def read(
        cls,
        connection: duckdb.DuckDBPyConnection,
        months: Sequence[str],
        counts: str = "select *, hex_id as unit_id from hex_counts",
    ) -> Series:
        """From ``counts`` of ``months`` (a query): the types in use, and all crime.

        Its columns are ``unit_id`` (a number), ``month``, ``crime_type`` and ``crimes``.
        """
        from scipy.sparse import csr_array

        connection.execute(f"create or replace temp view unit_counts as {counts}")
        types = [t.crime_type for t in CRIME_TYPES.values() if not t.last_month]
        found = connection.execute(
            sql("forecasting/unit_series"), {"months": list(months), "crime_types": types}
        ).fetchnumpy()
        unit_id = np.asarray(found["unit_id"])
        starts = np.flatnonzero(np.diff(unit_id, prepend=-1))
        crimes = csr_array(
            (
                np.asarray(found["crimes"]).astype(np.float32),
                np.asarray(found["column_at"]),
                np.append(starts, len(unit_id)).astype(np.int32),
            ),
            shape=(len(starts), (len(types) + 1) * len(months)),
        )
        return cls(tuple(months), (*types, ALL_CRIME), unit_id[starts], crimes)

    def counts(
        self, units: Units, first: str, last: str, ids: NDArray[np.integer] | None = None
    ) -> Counts:
        """The counts of some units from month ``first`` to ``last``.

        ``ids`` (n,), ascending, are what the series knows them by, if not by the units' own.
        """
        from scipy.sparse import csr_array

        start, end = self.months.index(first), self.months.index(last) + 1
        ids = units.ids if ids is None else ids
        _, at, row = np.intersect1d(ids, self.ids, assume_unique=True, return_indices=True)
        some = self.crimes[row]
        length = np.zeros(len(units), dtype=np.int32)
        length[at] = np.diff(some.indptr)
        indptr = np.concatenate([[0], np.cumsum(length)]).astype(np.int32)
        by_month = csr_array(
            (some.data, some.indices, indptr), shape=(len(units), some.shape[1])
        ).tocsc()
        span = len(self.months)
        crimes = {
            crime_type: by_month[:, span * i + start : span * i + end]
            for i, crime_type in enumerate(self.crime_types)
        }
        return Counts(units, self.months[start:end], crimes)


@dataclass(frozen=True)
class StudyArea:
    """One scope at one cut-off: the months that count, or the reason why none is forecast.

    ``history`` and ``outcome`` are the months up to the cut-off and after it, ``silent`` the forces
    whose units are left out, ``horizons`` the steps that can be asked for.
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
        return (*crime_types_since(self.history[0]), ALL_CRIME)


@dataclass(frozen=True)
class Presence:
    """Who published when: the forces of each month, and those that have an area of their own."""

    published: Mapping[str, set[str]]
    forces: frozenset[str]

    @classmethod
    def read(cls, connection: duckdb.DuckDBPyConnection) -> Presence:
        """From the views ``coverage`` and ``scopes``."""
        published: dict[str, set[str]] = {}
        for force, month in connection.execute(sql("forecasting/published_months")).fetchall():
            published.setdefault(month, set()).add(force)
        areas = connection.execute("select scope from scopes where kind = 'force'").fetchall()
        return cls(published, frozenset(force for (force,) in areas))

    def has(self, month: str, forces: Sequence[str]) -> bool:
        """Whether these forces published in the month, and at least one did."""
        there = self.published.get(month, set())
        return bool(there) and there.issuperset(forces)

    def silent(self, months: Sequence[str]) -> tuple[str, ...]:
        """The forces that were silent in one of the months, by name."""
        always = self.forces.intersection(*(self.published[month] for month in months))
        return tuple(sorted(self.forces - always))


def scopes_of_cells(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, list[str]]]:
    """Each scope of the view ``scopes``, and the forces that it needs: the nation needs none."""
    return connection.execute("select scope, forces from scopes").fetchall()


def study_areas(
    scopes: Sequence[tuple[str, Sequence[str]]],
    presence: Presence,
    cut_off: str,
    months: Sequence[str],
    ask: Ask,
    *,
    judged: bool,
) -> Iterator[StudyArea]:
    """The scopes at a cut-off, in the order of ``scopes``: each with the forces that it needs.

    ``months`` are consecutive, those whose counts are in the lake. With ``judged``, only horizons
    whose outcome is known are there, and a scope comes once for each set of silent forces that
    they give.
    """
    at = months.index(cut_off)
    for scope, forces in scopes:

        def is_there(month: str, forces: Sequence[str] = forces) -> bool:
            return presence.has(month, forces)

        history = in_a_row(months[at::-1], is_there)[: ask.most_months][::-1]
        if len(history) < ask.least_months:
            yield StudyArea(scope, reason=too_short(history, cut_off, ask))
            continue
        outcome = in_a_row(months[at + 1 :], is_there) if judged else ()
        missing = months_after(cut_off, len(outcome) + 1)[-1]
        reason = f"{missing} is not there to be judged by"
        by_silent: dict[tuple[str, ...], list[int]] = {}
        for horizon in ask.horizons:
            if judged and horizon > len(outcome):
                continue
            counted = [*history, *(outcome[:horizon] if judged else ())]
            silent = () if forces else presence.silent(counted)
            if len(silent) == len(presence.forces) > 0:  # nothing but the coast would be left
                span = f"{counted[0]} to {counted[-1]}"
                reason = f"each of its forces was silent in a month from {span}"
                continue
            by_silent.setdefault(silent, []).append(horizon)
        if not by_silent:
            yield StudyArea(scope, reason=reason)
        for silent, horizons in by_silent.items():
            after = tuple(outcome[: max(horizons)]) if judged else ()
            yield StudyArea(scope, tuple(history), after, silent, tuple(horizons))


def too_short(history: Sequence[str], cut_off: str, ask: Ask) -> str:
    """Why no forecast is made of so few months."""
    return (
        f"{len(history)} months in a row up to {cut_off}, of the {ask.least_months} that are needed"
    )


def in_a_row(months: Sequence[str], is_there: Callable[[str], bool]) -> list[str]:
    """The months from the first on, up to one that is not there."""
    found = []
    for month in months:
        if not is_there(month):
            break
        found.append(month)
    return found
