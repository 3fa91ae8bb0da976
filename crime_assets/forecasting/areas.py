"""LSOAs as units of forecasts: the areas, their neighbours, and who published their counts.

Study areas are the nation and each force, as those of cells are. An area belongs to the force in
whose area it lies, whichever force recorded the crime; one that lies in none is never known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb
import numpy as np
from numpy.typing import NDArray

from crime_assets.forecasting.cells import Presence, StudyArea
from crime_assets.forecasting.counts import Units
from crime_assets.hexes.study_area import nation_of
from crime_assets.lake import Lake
from crime_assets.lsoa.history import published_forces
from crime_assets.lsoa.neighbours import link, touching

if TYPE_CHECKING:
    from scipy.sparse import csr_array


@dataclass(frozen=True)
class Areas:
    """The n LSOAs of a lake in the order of their codes.

    ``size`` (n,) is in m²; ``force`` (n,) is empty where an area lies in none; ``neighbours``
    (n, n) is 1 where two areas touch (queen contiguity).
    """

    codes: NDArray[np.str_]
    force: NDArray[np.str_]
    size: NDArray[np.float64]
    neighbours: csr_array

    @classmethod
    def read(cls, connection: duckdb.DuckDBPyConnection) -> Areas:
        """From the view ``lsoa_areas``."""
        found = connection.execute(
            "select lsoa21cd, coalesce(force, '') as force, 1e6 * area_km2 as size "
            "from lsoa_areas order by lsoa21cd"
        ).fetchnumpy()
        codes = np.asarray(found["lsoa21cd"]).astype(str)
        return cls(
            codes,
            np.asarray(found["force"]).astype(str),
            np.asarray(found["size"], dtype=float),
            link(len(codes), *touching(connection)),
        )

    @property
    def forces(self) -> tuple[str, ...]:
        """The forces with an area, by name."""
        return tuple(map(str, np.unique(self.force[self.force != ""])))

    @property
    def scopes(self) -> list[tuple[str, Sequence[str]]]:
        """The nation, named as in ``scopes``, and each force; each with the forces it needs."""
        return [(nation_of(self.forces), ()), *((f, (f,)) for f in self.forces)]

    def within(self, area: StudyArea) -> NDArray[np.bool_]:
        """Which areas (n,) count in a study area: those of its force, or of all but the silent."""
        if area.scope in self.forces:
            return self.force == area.scope
        return np.isin(self.force, list({*self.forces} - {*area.silent}))

    def units(self, keep: NDArray[np.bool_]) -> Units:
        """The areas of which ``keep`` (n,) is true, as units."""
        neighbours = self.neighbours[keep][:, keep].tocsr()
        return Units("lsoa", self.codes[keep], self.size[keep], neighbours)


def presence_of(
    connection: duckdb.DuckDBPyConnection, lake: Lake, months: Sequence[str], areas: Areas
) -> Presence:
    """Who published the ``lsoa_counts`` of each of ``months``, as the counts themselves say."""
    published = {month: published_forces(connection, lake, month) for month in months}
    return Presence(published, frozenset(areas.forces))
