"""A square grid of p x p cells over a box of longitudes and latitudes.

Cells are numbered from the south-west corner, row by row: cell = row x p + column. The cell of a
point is said in SQL by the macro ``sql/cities/grid_cell.sql``, and here in NumPy; tests hold the
two together. Whatever has a step, a place and a type is counted by the same statement: incidents
of a city by day, crimes of police.uk by month.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import duckdb
import numpy as np
from numpy.typing import ArrayLike, NDArray

from crime_assets.cities.city import Box
from crime_assets.lake import create, sql

GRID_SIZES = (16, 24, 32, 40)
"""Cells along a side, as the study has them."""

METRES_A_DEGREE = 111_194.93
"""Metres along a degree of latitude, on a sphere of 6,371,009 m."""


@dataclass(frozen=True)
class Grid:
    """``p`` x ``p`` cells over ``box``."""

    p: int
    box: Box

    def __len__(self) -> int:
        return self.p * self.p

    @property
    def cell_m(self) -> tuple[float, float]:
        """Width and height of a cell in metres, in the middle of the box."""
        middle = np.deg2rad((self.box.south + self.box.north) / 2)
        width = (self.box.east - self.box.west) * METRES_A_DEGREE * float(np.cos(middle))
        return width / self.p, (self.box.north - self.box.south) * METRES_A_DEGREE / self.p

    def cells(self, longitude: ArrayLike, latitude: ArrayLike) -> NDArray[np.int64]:
        """The cells of points in degrees, of their shape; -1 outside the box.

        A point between two cells belongs to the one further north or east; the north and the east
        edge of the box belong to its last cells.
        """
        column = _position(longitude, self.box.west, self.box.east, self.p)
        row = _position(latitude, self.box.south, self.box.north, self.p)
        return np.where((column >= 0) & (row >= 0), row * self.p + column, -1)

    def centres(self) -> NDArray[np.float64]:
        """Longitude and latitude of the middle of each cell: (p x p, 2)."""
        row, column = np.divmod(np.arange(len(self)), self.p)
        box = self.box
        return np.stack(
            [
                box.west + (box.east - box.west) * (column + 0.5) / self.p,
                box.south + (box.north - box.south) * (row + 0.5) / self.p,
            ],
            axis=-1,
        )


def _position(degrees: ArrayLike, first: float, last: float, p: int) -> NDArray[np.int64]:
    value = np.asarray(degrees, dtype=float)
    inside = (value >= first) & (value <= last)
    part = np.floor((np.where(inside, value, first) - first) / (last - first) * p)
    return np.where(inside, np.minimum(part, p - 1), -1).astype(np.int64)


def count_cells(connection: duckdb.DuckDBPyConnection, grid: Grid) -> None:
    """The temporary table ``cell_counts``: what lies in each cell in each step, by type.

    From the relation ``placed`` (``step``, ``longitude``, ``latitude``, ``study``, ``corrected``):
    incidents of a city with their day, or crimes of police.uk with their month and one type in
    both. Those outside the box, or without a place, are in no cell.
    """
    connection.execute(sql("cities/grid_cell"))
    create(connection, "cities/cell_counts", p=grid.p, **asdict(grid.box))
