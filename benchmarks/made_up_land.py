"""Boundaries of a made-up country of the size of England and Wales, where no real ones are given.

An island with the area, the number of LSOAs and the 43 police forces of England and Wales. Three
quarters of the LSOAs stand close together in towns, the others far apart, as real ones do; a force
has as many in towns as it has crimes. Only sizes and counts are like the real ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from crime_assets.hexes.grid import CELL_AREA_M2
from crime_assets.lake import atomic
from crime_assets.register import FORCES
from crime_assets.sources.sample import draw_warp, spatial_connection, voronoi_polygons

Points = NDArray[np.float64]
"""Eastings and northings in metres (EPSG:27700), shape (points, 2)."""

MIDDLE = np.array([385_000.0, 330_000.0])
WIDTH = 0.62
"""West to east as a part of south to north."""

IN_TOWNS = 0.75
"""Share of the LSOAs."""

AWAY = 2_000_000.0
"""Metres by which all is moved while it is drawn, so that no coordinate is negative."""

TOWN_LSOA_M2 = 400_000.0
TOWNS_PER_FORCE = 8


def write_boundaries(
    folder: Path, rng: Generator, forces: Sequence[str], cells: int, lsoas: int
) -> None:
    """Write ``lsoas.parquet`` and ``force_areas.parquet`` (GeoParquet, EPSG:27700) to ``folder``.

    The country has the area of ``cells`` cells of the grid and about ``lsoas`` LSOAs.
    """
    area_m2 = cells * CELL_AREA_M2
    radii = np.sqrt(area_m2 / np.pi / WIDTH) * np.array([WIDTH, 1.0])
    coast = _Coast(rng, radii)
    lattice = _shaken_lattice(rng, 1.3 * radii, area_m2 / ((1 - IN_TOWNS) * lsoas)) + MIDDLE
    on_land = coast.encloses(lattice)
    middles = _spread_out(lattice[on_land], len(forces))
    towns = _draw_towns(rng, middles, forces, IN_TOWNS * lsoas)
    towns = towns[coast.encloses(towns)]
    apart, _ = cKDTree(towns).query(lattice)
    rural = lattice[on_land & (apart > 1.5 * np.sqrt(TOWN_LSOA_M2))]
    seeds = np.concatenate([towns, rural, lattice[~on_land]])

    land = pd.DataFrame(seeds[: len(towns) + len(rural)], columns=["easting", "northing"])
    land["force"] = [forces[index] for index in cKDTree(middles).query(land.to_numpy())[1]]
    with spatial_connection() as connection:
        warp = draw_warp(rng)
        polygons = voronoi_polygons(connection, seeds + AWAY, lambda points: warp(points - AWAY))
        land["polygon"] = polygons[: len(land)]
        land = land.sort_values(["force", "northing"], ascending=[True, False])
        number = land.groupby("force").cumcount()
        land["name"] = [
            f"{FORCES[force].area_name} {n // 5 + 1:04d}{'ABCDE'[n % 5]}"
            for force, n in zip(land["force"], number, strict=True)
        ]
        land["code"] = [f"S01{n:06d}" for n in range(1, len(land) + 1)]
        land["area_code"] = [FORCES[force].area_code for force in land["force"]]
        land["area_name"] = [FORCES[force].area_name for force in land["force"]]
        connection.register("drawn", land)
        connection.execute(
            "create table lsoas as select * exclude (polygon), st_geomfromtext(polygon) as "
            "geometry from drawn order by code"
        )
        queries = {
            "lsoas": """
                select
                    code as LSOA21CD,
                    name as LSOA21NM,
                    geometry::geometry('EPSG:27700') as geometry
                from lsoas
                order by code
            """,
            "force_areas": """
                select
                    area_code as PFA23CD,
                    area_name as PFA23NM,
                    st_union_agg(geometry order by code)::geometry('EPSG:27700') as geometry
                from lsoas
                group by
                    area_code,
                    area_name
                order by area_code
            """,
        }
        for name, query in queries.items():
            with atomic(folder / f"{name}.parquet") as temporary:
                connection.sql(query).write_parquet(str(temporary), compression="zstd")


class _Coast:
    """An ellipse of ``radii`` metres with bays, of the ellipse's area."""

    def __init__(self, rng: Generator, radii: Points) -> None:
        self._radii = radii
        self._bays = [
            (bays, depth, rng.uniform(0, 2 * np.pi))
            for bays, depth in ((2, 0.03), (3, 0.06), (5, 0.05), (9, 0.03), (17, 0.02))
        ]

    def encloses(self, points: Points) -> NDArray[np.bool_]:
        outwards = (points - MIDDLE) / self._radii
        angle = np.arctan2(outwards[:, 1], outwards[:, 0])
        reach = 1 + sum(depth * np.sin(bays * angle + turn) for bays, depth, turn in self._bays)
        mean_square = 1 + sum(depth**2 for _, depth, _ in self._bays) / 2
        return np.hypot(*outwards.T) < reach / np.sqrt(mean_square)


def _shaken_lattice(rng: Generator, radii: Points, area_m2: float) -> Points:
    """Points around the origin, one on every ``area_m2``, at least half their spacing apart."""
    spacing = np.sqrt(area_m2 * 2 / np.sqrt(3))
    east = np.arange(-radii[0], radii[0], spacing)
    north = np.arange(-radii[1], radii[1], spacing * np.sqrt(0.75))
    lattice = np.stack(np.meshgrid(east, north), axis=-1)
    lattice[::2, :, 0] += spacing / 2
    return (lattice + rng.uniform(-0.25, 0.25, lattice.shape) * spacing).reshape(-1, 2)


def _spread_out(places: Points, count: int) -> Points:
    """``count`` middles of ``places``, each in the middle of those nearest to it (Lloyd)."""
    middles = places[np.linspace(0, len(places) - 1, count).astype(int)]
    for _ in range(30):
        _, nearest = cKDTree(middles).query(places)
        middles = np.array([places[nearest == index].mean(axis=0) for index in range(count)])
    return middles


def _draw_towns(rng: Generator, middles: Points, forces: Sequence[str], lsoas: float) -> Points:
    """Seeds of the LSOAs in towns, at a force's middle and around it; somewhat fewer than asked."""
    volume = np.array([FORCES[force].monthly_crimes for force in forces], dtype=float)
    seeds = np.empty((0, 2))
    for middle, share in zip(middles, volume / volume.sum(), strict=True):
        sizes = share * lsoas * rng.dirichlet(np.full(TOWNS_PER_FORCE, 0.7))
        for nth, size in enumerate(np.sort(sizes.astype(int))[::-1]):
            if not size:
                continue
            centre = middle + rng.normal(0, 14_000, 2) * (nth > 0)
            radius = np.sqrt(size * TOWN_LSOA_M2 / np.pi)
            town = _shaken_lattice(rng, np.full(2, radius + 2_000), TOWN_LSOA_M2)
            town = centre + town[np.argsort(np.hypot(*town.T))[:size]]
            if len(seeds):  # what two towns would share is the earlier one's
                apart, _ = cKDTree(seeds).query(town)
                town = town[apart > np.sqrt(TOWN_LSOA_M2)]
            seeds = np.concatenate([seeds, town])
    return seeds
