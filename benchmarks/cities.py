"""Figures of cities: incidents read from a file, counted by day into cells, and learned from.

On a made-up city with the study's incidents of Philadelphia, 2.2 million, but in four years;
three quarters of them around twenty places. Networks learn on noise of the size of Minneapolis: how
much memory a step takes is asked, and not what they learn.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from benchmarks.measuring import Figure, Run, by_turns
from crime_assets.cities.city import CRIME_TYPES, REGISTER, City, read_city
from crime_assets.cities.grid import Grid, count_cells
from crime_assets.cities.incidents import IMPROBABLE, read_incidents
from crime_assets.cities.samples import read_maps
from crime_assets.grids.methods import METHODS, Learning, parameters_of
from crime_assets.lake import DuckDB, create
from crime_assets.models.incident_task import Training, run_task, write_task

INCIDENTS, DAYS, P = 2_200_000, 1_461, 40
MAPS_SECONDS = 10
CELLS, STEPS, MEMORY_GIB = 1_126, 4, 4
NETWORKS = ("sftt_resnet", "tfts", "parb", "st_resnet")


def figures(run: Run) -> list[Figure]:
    """Measure everything about cities."""
    maps = run.measure(make_maps, run.share, run.rounds).value
    read = run.measure(read_file, run.share).value
    return [
        Figure(
            f"{DAYS:,} days of maps, {P} x {P} cells, of {maps['incidents']:,} incidents",
            maps["ours"],
            reference=maps["pandas"],
            reference_is="pandas: groupby of day, cell and types",
            most=MAPS_SECONDS,
        ),
        Figure("the maps from the lake into a sparse matrix", maps["sparse"]),
        Figure("lines of a city's CSV", read["lines"] / read["seconds"], "rows/s"),
        *(
            Figure(
                f"peak memory of {METHODS[name].title} that learns {P} x {P} cells",
                run.measure(train, name).value / 2**30,
                "GiB",
                most=MEMORY_GIB,
            )
            for name in (NETWORKS if run.share == 1 else ())  # there is no smaller step
        ),
    ]


def the_city() -> City:
    """Philadelphia, of which the box and the categories are taken."""
    return read_city(REGISTER / "philadelphia.yaml")


def the_incidents(share: float) -> pd.DataFrame:
    """Time, category, longitude and latitude of the made-up city's incidents."""
    random = np.random.default_rng(11)
    count = round(share * INCIDENTS)
    box = the_city().box
    corner = np.array([box.west, box.south])
    size = np.array([box.east, box.north]) - corner
    centres = random.uniform(0.2, 0.8, (20, 2))
    places = centres[random.integers(0, 20, count)] + random.normal(0, 0.05, (count, 2))
    places = np.where(random.random((count, 1)) < 0.25, random.random((count, 2)), places)
    longitude, latitude = (corner + size * places.clip(0, 1)).T
    categories = np.array([c.category for c in the_city().categories.values() if c.category])
    seconds = np.sort(random.integers(0, DAYS * 86_400, count))
    return pd.DataFrame(
        {
            "time": np.datetime64("2013-01-01T00:00:00") + seconds.astype("timedelta64[s]"),
            "category": categories[random.integers(0, len(categories), count)],
            "longitude": longitude.round(6),
            "latitude": latitude.round(6),
        }
    )


def make_maps(share: float, rounds: int) -> dict[str, Any]:
    """Count incidents by day into cells, and read the maps."""
    city = the_city()
    grid = Grid(P, city.box)
    incidents = the_incidents(share)
    types = {c.category: (c.study, c.corrected) for c in city.categories.values()}
    for position, mapping in enumerate(("study", "corrected")):
        by_category = {name: pair[position] for name, pair in types.items()}
        incidents[mapping] = incidents["category"].map(by_category)
    incidents = incidents[["time", "study", "corrected", "longitude", "latitude"]]
    with DuckDB().get_connection() as connection:
        connection.register("made_up", incidents)
        connection.execute("create temp table city_incidents as from made_up")
        connection.execute(
            "create temp view placed as select time::date as step, longitude, latitude, study, "
            "corrected from city_incidents"
        )

        def ours() -> None:
            count_cells(connection, grid)
            create(connection, "cities/incident_maps")

        def with_pandas() -> pd.Series:
            box = city.box
            column = (incidents["longitude"] - box.west) / (box.east - box.west) * P
            row = (incidents["latitude"] - box.south) / (box.north - box.south) * P
            cell = row.astype(int).clip(0, P - 1) * P + column.astype(int).clip(0, P - 1)
            days = incidents["time"].dt.floor("D")
            return incidents.groupby([days, cell, "study", "corrected"]).size()

        times = by_turns(rounds, ours=ours, pandas=with_pandas)
        create(connection, "cities/incident_days", chance=IMPROBABLE)
        times |= by_turns(rounds, sparse=lambda: read_maps(connection, P, "study"))
        _compare(connection, with_pandas())
        maps = read_maps(connection, P, "study")
    channels = len(CRIME_TYPES) + 1
    if int(maps.counts[:, channels - 1 :: channels].sum()) != len(incidents):
        raise AssertionError("the maps do not hold all incidents")
    return {**times, "incidents": len(incidents), "entries": maps.counts.nnz}


def _compare(connection: duckdb.DuckDBPyConnection, of_pandas: pd.Series) -> None:
    found = connection.execute("select count(*), sum(incidents) from incident_maps").fetchone()
    if found != (len(of_pandas), int(of_pandas.sum())):
        raise AssertionError(f"pandas counts {len(of_pandas):,} entries, we {found}")


def read_file(share: float) -> dict[str, Any]:
    """Read a city's CSV into incidents."""
    header = {"time": "Dispatch_Date_Time", "category": "Text_General_Code"}
    with tempfile.TemporaryDirectory() as folder, DuckDB().get_connection() as connection:
        file = Path(folder) / "philadelphia.csv"
        lines = the_incidents(share).rename(
            columns={**header, "longitude": "Lon", "latitude": "Lat"}
        )
        connection.register("made_up", lines)
        connection.execute(f"copy made_up to '{file}' (format csv, header)")
        times = by_turns(1, seconds=lambda: read_incidents(connection, the_city(), [file]))
        counts = read_incidents(connection, the_city(), [file])
    if counts.kept != len(lines):
        raise AssertionError(f"{counts.kept:,} of {len(lines):,} lines are kept")
    return {**times, "lines": len(lines)}


def train(name: str) -> int:
    """The peak memory in bytes of a network's process, in a few steps on the grid in full."""
    random = np.random.default_rng(12)
    maps = random.poisson(0.2, (DAYS, P, P, 1 + len(CRIME_TYPES))).astype(np.uint8)
    parameters = parameters_of(METHODS[name], Learning(parameters={"epochs": 1}))
    last = 400 + round(STEPS * parameters.batch_size / 0.85) + 30
    with tempfile.TemporaryDirectory() as folder:
        task = write_task(
            Path(folder),
            maps,
            first_day="2013-01-01",
            observed=np.ones(DAYS, dtype=bool),
            crime_types=("All crime", *CRIME_TYPES),
            cells=np.arange(CELLS),
            trainings=[Training("all_crime", "All crime", parameters.to_dict())],
            training=list(range(400, last)),
            test=[DAYS - 30],
        )
        return int(run_task(task).trainings["all_crime"]["peak_memory_bytes"])
