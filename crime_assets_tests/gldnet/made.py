"""A made-up lake of streets: two towns on a square plan, of 6 x 6 crossings, and their crimes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crime_assets.lake import Lake
from crime_assets.partitions import months_back
from crime_assets.register import ALL_CRIME, crime_types_since

SIDE = 6
FORCES = ("essex", "kent")
CUT_OFF = "2024-12"
MONTHS = months_back(CUT_OFF, 24)
TYPES = (*crime_types_since(MONTHS[0]), ALL_CRIME)
VIOLENCE = "Violence and sexual offences"


def street_plan() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The crossings (n,) that the segments join: those beside one another, then those above."""
    at = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    return (
        np.concatenate([at[:, :-1].ravel(), at[:-1].ravel()]),
        np.concatenate([at[:, 1:].ravel(), at[1:].ravel()]),
    )


START, END = street_plan()
IDS = [f"{i:03}-1" for i in range(len(START))]
LENGTH = 80.0 + 10.0 * (np.arange(len(START)) % 7)
RATE = np.random.default_rng(3).gamma(0.4, 2.0, len(START))
"""Violence a month on each segment."""


def crimes_of(month: str, force: str) -> NDArray[np.int64]:
    """The violence (segments,) of a month: by chance, and always the same."""
    seed = int(month.replace("-", "")) * 10 + FORCES.index(force)
    return np.random.default_rng(seed).poisson(RATE)


@dataclass(frozen=True)
class Streets:
    """The lake, and a connection to publish with."""

    lake: Lake
    connection: duckdb.DuckDBPyConnection

    @classmethod
    def make(
        cls,
        folder: Path,
        connection: duckdb.DuckDBPyConnection,
        months: Iterable[str] = MONTHS,
        forces: Iterable[str] = FORCES,
    ) -> Streets:
        """Networks, and the steps of some months."""
        made = cls(Lake(folder / "lake"), connection)
        for force in forces:
            made.lay(force)
            for month in months:
                made.count(month, force)
        return made

    def lay(self, force: str, segments: int = len(START)) -> None:
        """The first so many segments of the plan, and which of them meet."""
        start, end = START[:segments], END[:segments]
        self.publish(
            "street_segments",
            pd.DataFrame(
                {
                    "segment_id": IDS[:segments],
                    "name": [f"{'Cross' if i % 2 else 'High'} Street" for i in range(segments)],
                    "kind": "residential",
                    "length_m": LENGTH[:segments],
                    "west": 500_000.0 + 100 * (start % SIDE),
                    "south": 150_000.0 + 100 * (start // SIDE),
                    "east": 500_000.0 + 100 * (end % SIDE),
                    "north": 150_000.0 + 100 * (end // SIDE),
                }
            ),
            {"force": force},
            "* exclude (west, south, east, north), st_makeline(st_point(west, south), "
            "st_point(east, north))::geometry('EPSG:27700') as geometry",
        )
        ends = np.stack([start, end], axis=1)
        meet = (ends[:, None, :, None] == ends[None, :, None, :]).any(axis=(2, 3))
        one, other = np.nonzero(np.triu(meet, 1))
        distance = (LENGTH[one] + LENGTH[other]) / 2
        self.publish(
            "street_graph",
            pd.DataFrame(
                {
                    "segment_id": np.array(IDS)[one],
                    "neighbour_id": np.array(IDS)[other],
                    "distance_m": distance,
                    "weight": np.exp(-(distance**2) / (2 * 750.0**2)),
                }
            ),
            {"force": force},
            provenance=self.made_on(force),
        )

    def made_on(self, force: str) -> dict[str, str]:
        """The version of the segments that a table is made on."""
        return {"segments": self.lake.sha256("street_segments", {"force": force})}

    def count(self, month: str, force: str) -> None:
        """The steps of a month: violence, which is all crime there is."""
        frame = pd.DataFrame({"segment_id": IDS, "step": month, "smoothed": 0.0})
        frame = frame.merge(pd.DataFrame({"crime_type": TYPES}), how="cross")
        crimes = dict(zip(IDS, crimes_of(month, force), strict=True))
        counted = frame["crime_type"].isin([VIOLENCE, ALL_CRIME])
        frame["crimes"] = frame["segment_id"].map(crimes) * counted
        place = {"month": month, "force": force}
        self.publish("segment_steps", frame, place, provenance=self.made_on(force))

    def publish(
        self,
        table: str,
        frame: pd.DataFrame,
        partition: Mapping[str, str],
        columns: str = "*",
        provenance: Mapping[str, str] | None = None,
    ) -> None:
        """Put ``columns`` of a frame into the lake."""
        self.connection.register("made_frame", frame)
        self.connection.execute(
            f"create or replace temp table made as select {columns} from made_frame"
        )
        self.connection.unregister("made_frame")
        self.lake.publish(self.connection, "made", table, partition, provenance)

    def rows(self, table: str, force: str = "kent", month: str = CUT_OFF) -> list[dict[str, Any]]:
        """The rows of a partition."""
        self.lake.view(self.connection, table, [{"month": month, "force": force}])
        return self.connection.execute(f"from {table}").df().to_dict("records")
