"""What GLDNet learns from: a force's street network, and the crimes on it month by month.

Read from ``segment_steps``, as far back as the months stand in a row, at most 36.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb
import numpy as np
from numpy.typing import NDArray

from crime_assets import DataError
from crime_assets.lake import Lake, sql
from crime_assets.partitions import months_back
from crime_assets.register import ALL_CRIME, crime_types_since
from crime_assets.streets.graph import view_network
from crime_assets.tables import SEGMENT_STEPS, STREET_SEGMENTS

if TYPE_CHECKING:
    from scipy.sparse import csr_array

MOST_MONTHS = 36
LEAST_MONTHS = 18
"""Of fewer, a tenth would be no whole month to validate on besides what is needed to look back."""

LEAST_WEIGHT = 1e-30

STATEMENTS = ("gldnet/history", "streets/edges")


class HistoryTooShort(DataError):
    """There are too few months in a row up to the cut-off to train on."""


@dataclass(frozen=True)
class Network:
    """A force's street network: n segments in the order of their ids, and e pairs that meet.

    ``length`` (n,) is in metres; ``one`` and ``other`` (e,) are positions of segments, ``weight``
    (e,) says how close their middles are, 0 to 1.
    """

    ids: NDArray[np.str_]
    length: NDArray[np.float64]
    one: NDArray[np.int64]
    other: NDArray[np.int64]
    weight: NDArray[np.float64]

    @classmethod
    def read(cls, connection: duckdb.DuckDBPyConnection, lake: Lake, force: str) -> Network:
        """From the lake, as :func:`~crime_assets.streets.graph.view_network` has it."""
        view_network(connection, lake, force)
        segments = connection.execute(
            "select segment_id, length_m from street_segments order by segment_id"
        ).fetchnumpy()
        edges = connection.execute(sql("streets/edges")).fetchnumpy()
        return cls(
            np.asarray(segments["segment_id"]).astype(str),
            np.asarray(segments["length_m"], dtype=float),
            np.asarray(edges["one"], dtype=np.int64),
            np.asarray(edges["other"], dtype=np.int64),
            # of kilometres without a junction it is nought in the precision of networks
            np.maximum(np.asarray(edges["weight"], dtype=float), LEAST_WEIGHT),
        )

    @property
    def parts(self) -> tuple[NDArray, ...]:
        """All that it is made of."""
        return self.ids, self.length, self.one, self.other, self.weight


@dataclass(frozen=True)
class History:
    """Crimes on the n segments of a network in T months, by F types.

    ``counts`` (T, n F) holds a segment's types side by side; the last month is the cut-off.
    """

    network: Network
    months: tuple[str, ...]
    features: tuple[str, ...]
    counts: csr_array


def read_history(
    connection: duckdb.DuckDBPyConnection, lake: Lake, month: str, force: str, least: int
) -> History:
    """The crimes on a force's segments up to ``month``: all types in use, and all crime.

    Raises :class:`HistoryTooShort` where fewer than ``least`` months stand in a row, and
    :class:`~crime_assets.DataError` where the streets changed since they were counted.
    """
    from scipy.sparse import coo_array

    lake.require(SEGMENT_STEPS.name, {"month": month, "force": force})
    network = Network.read(connection, lake, force)
    months: list[str] = []
    for earlier in months_back(month, MOST_MONTHS)[::-1]:
        if not lake.has(SEGMENT_STEPS.name, {"month": earlier, "force": force}):
            break
        months.insert(0, earlier)
    if len(months) < least:
        raise HistoryTooShort(
            f"segment_steps of {force} hold {len(months)} months in a row up to {month}, and "
            f"GLDNet needs {least}: materialise those before {months[0]}, with `dagster asset "
            "materialize -m crime_assets.definitions --select segment_steps --partition-range "
            f"'{force}|{months_back(month, least)[0]}...{force}|{month}'`"
        )
    lake.view(connection, SEGMENT_STEPS.name, [{"month": m, "force": force} for m in months])
    _same_segments(connection, lake, months, force)
    features = (*crime_types_since(months[0]), ALL_CRIME)
    found = connection.execute(
        sql("gldnet/history"), {"months": months, "features": list(features)}
    ).fetchnumpy()
    column = found["segment_at"] * len(features) + found["feature_at"]
    counts = coo_array(
        (np.asarray(found["crimes"], dtype=np.float32), (found["step_at"], column)),
        shape=(len(months), len(network.ids) * len(features)),
    ).tocsr()
    return History(network, tuple(months), features, counts)


def _same_segments(
    connection: duckdb.DuckDBPyConnection, lake: Lake, months: list[str], force: str
) -> None:
    """Raise where a month was counted on other segments than the network has now."""
    now = lake.sha256(STREET_SEGMENTS.name, {"force": force})
    other = [
        month
        for month in months
        if lake.provenance(connection, SEGMENT_STEPS.name, {"month": month, "force": force}).get(
            "segments"
        )
        != now
    ]
    if other:
        raise DataError(
            f"segment_steps of {force} were made on other streets than street_segments holds now "
            f"({len(other)} of {len(months)} months, first {other[0]}): materialise "
            "segment_counts and segment_steps of these months again"
        )
