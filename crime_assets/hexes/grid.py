"""The grid of 200 m hexagons that the published maps use, in NumPy.

Flat-top hexagons of side 200 m, height 200 * sqrt(3) m, in EPSG:27700: two interleaved lattices of
957 columns and 1,886 rows. An id never depends on the data or its extent. The pipeline counts with
the macro ``sql/hexes/hex_id_at.sql``, which says the same; tests hold the two together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

SIDE_M = 200.0
COLUMNS = 957
ROWS = 1886
LATTICE_CELLS = COLUMNS * ROWS
CELLS = 2 * LATTICE_CELLS
ORIGIN_EASTING_M = 82_400.0
ORIGIN_NORTHING_M = 5_000.0
COLUMN_STEP_M = 3 * SIDE_M
ROW_STEP_M = SIDE_M * np.sqrt(3.0)
TIE_M2 = 1e-6
"""Squared distances that differ by less are equal, or rounding errors would decide on an edge."""

CELL_AREA_M2 = 1.5 * np.sqrt(3.0) * SIDE_M**2
"""103,923.05 square metres."""


def hex_ids(easting: ArrayLike, northing: ArrayLike) -> NDArray[np.int64]:
    """The cells in which points lie; -1 outside the grid.

    ``easting`` and ``northing`` are metres (EPSG:27700), of one shape, which the result has too.
    A point belongs to the nearer of its nearest even and its nearest odd centre, on a tie to the
    even one; half-way between two centres of one lattice, to the one further north or east.
    """
    e, n = np.asarray(easting, dtype=float), np.asarray(northing, dtype=float)
    even = _nearest(e, n, 0)
    odd = _nearest(e, n, 1)
    i, j, first_id = np.where(even[3] <= odd[3] + TIE_M2, even[:3], odd[:3])
    inside = (i >= 0) & (i < COLUMNS) & (j >= 0) & (j < ROWS)
    ids = np.full(e.shape, -1, dtype=np.int64)
    np.copyto(ids, (first_id + i * ROWS + j), where=inside, casting="unsafe")
    return ids


def _nearest(e: NDArray, n: NDArray, lattice: int) -> NDArray:
    """Column, row, first id and squared distance of the nearest centre of one lattice."""
    first_e = ORIGIN_EASTING_M + lattice * 300.0
    first_n = ORIGIN_NORTHING_M + lattice * 100.0 * np.sqrt(3.0)
    i = np.floor((e - first_e) / COLUMN_STEP_M + 0.5 + 1e-9)
    j = np.floor((n - first_n) / ROW_STEP_M + 0.5 + 1e-9)
    squared = (e - first_e - COLUMN_STEP_M * i) ** 2 + (n - first_n - ROW_STEP_M * j) ** 2
    return np.stack(np.broadcast_arrays(i, j, lattice * LATTICE_CELLS, squared))


def centres(hex_id: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Easting and northing in metres of the centres of cells, of the shape of ``hex_id``.

    Raises ``ValueError`` for an id outside 0 .. 3,609,803.
    """
    ids = _known(np.asarray(hex_id))
    lattice, within = np.divmod(ids, LATTICE_CELLS)
    i, j = np.divmod(within, ROWS)
    easting = ORIGIN_EASTING_M + 300.0 * lattice + COLUMN_STEP_M * i
    northing = ORIGIN_NORTHING_M + 100.0 * np.sqrt(3.0) * lattice + ROW_STEP_M * j
    return easting, northing


def _known(ids: NDArray) -> NDArray:
    if ids.size and (ids.min() < 0 or ids.max() >= CELLS):
        raise ValueError(f"ids {ids.min()} .. {ids.max()} are not all in 0 .. {CELLS - 1}")
    return ids


def neighbours(hex_id: ArrayLike) -> NDArray[np.int64]:
    """The six cells that share an edge with each cell: shape (..., 6); -1 outside the grid.

    From the north, clockwise. ``hex_id`` is as for :func:`centres`, which raises alike.
    """
    ids = _known(np.asarray(hex_id, dtype=np.int64))[..., None]
    lattice, within = np.divmod(ids, LATTICE_CELLS)
    i, j = np.divmod(within, ROWS)
    # an odd centre lies north-east of the even one with its column and row
    column = i + np.where(lattice == 1, [0, 1, 1, 0, 0, 0], [0, 0, 0, 0, -1, -1])
    row = j + np.where(lattice == 1, [1, 1, 0, -1, 0, 1], [1, 0, -1, -1, -1, 0])
    other = np.where([False, True, True, False, True, True], 1 - lattice, lattice)
    inside = (column >= 0) & (column < COLUMNS) & (row >= 0) & (row < ROWS)
    return np.where(inside, other * LATTICE_CELLS + column * ROWS + row, -1)


def corners(hex_id: ArrayLike) -> NDArray[np.float64]:
    """The six corners of cells, counter-clockwise from the east: shape (..., 6, 2), metres."""
    easting, northing = centres(hex_id)
    angles = np.deg2rad(60.0 * np.arange(6))
    offsets = SIDE_M * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    return np.stack([easting, northing], axis=-1)[..., None, :] + offsets
