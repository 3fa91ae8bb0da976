"""Which areas touch: polygons with a corner of their outlines in common (queen contiguity)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import numpy as np
from numpy.typing import ArrayLike, NDArray

from crime_assets.lake import create

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def touching(connection: duckdb.DuckDBPyConnection) -> tuple[NDArray, NDArray]:
    """The pairs of areas that touch, as positions in the order of codes. Needs ``lsoa_areas``.

    The boundaries must be of one edition: polygons that were drawn apart share no corners.
    """
    connection.execute(
        "create or replace temp table areas as select geometry, "
        "row_number() over (order by lsoa21cd) - 1 as position from lsoa_areas"
    )
    create(connection, "lsoa/area_neighbours")
    found = connection.execute("from area_neighbours").fetchnumpy()
    return np.asarray(found["one"]), np.asarray(found["other"])


def link(size: int, one: ArrayLike, other: ArrayLike) -> csr_array:
    """The neighbour matrix (n, n) of pairs of positions, each given once or in both orders."""
    from scipy.sparse import coo_array

    one, other = np.asarray(one), np.asarray(other)
    apart = one != other
    one, other = one[apart], other[apart]
    rows, columns = np.concatenate([one, other]), np.concatenate([other, one])
    matrix = coo_array(
        (np.ones(len(rows), dtype=np.float32), (rows.astype(np.int32), columns.astype(np.int32))),
        shape=(size, size),
    ).tocsr()
    matrix.data[:] = 1.0  # a pair given twice was summed
    return matrix
