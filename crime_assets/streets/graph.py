"""Which segments meet, and how much the one says of the other: the graph that networks learn on.

A node is a segment; an edge joins two that have an end in common, by the distance d between their
middles along the streets: half of the one's length and half of the other's. Its weight is
exp(-d² / (2 · 750²)), from 1 to 0.

Source: CrimeGraph, part 3 (2024); its five printed edges are reproduced to six decimals.
"""

from __future__ import annotations

import duckdb

from crime_assets import DataError
from crime_assets.lake import Lake, create

SIGMA_M = 750.0
"""How far the one still says something of the other: at this distance, 0.61."""


def make_graph(connection: duckdb.DuckDBPyConnection, table: str = "street_graph") -> str:
    """Make the temporary table ``table`` of the pairs of ``street_segments`` that meet.

    Its columns are ``segment_id`` and ``neighbour_id``, the lesser id first, ``distance_m`` and
    ``weight``. Each pair stands once, also one that meets at both ends; a segment that ends where
    it begins is no neighbour of itself. ``street_segments`` is one network, with ``segment_id``,
    ``length_m`` and ``geometry``. Returns the table's name.
    """
    return create(connection, "streets/street_graph", table, sigma_m=SIGMA_M)


def view_network(connection: duckdb.DuckDBPyConnection, lake: Lake, force: str) -> None:
    """Let ``street_segments`` and ``street_graph`` be views of one force's network.

    Raises :class:`~crime_assets.lake.MissingPartition` where it is not in the lake, and
    :class:`~crime_assets.DataError` where the graph is of other segments than are there now.
    """
    place = {"force": force}
    for table in ("street_segments", "street_graph"):
        lake.view(connection, table, [place])
    made_from = lake.provenance(connection, "street_graph", place).get("segments")
    if made_from != lake.sha256("street_segments", place):
        raise DataError(
            f"street_graph of {force} was made before its street_segments changed: materialise it "
            "again, with `dagster asset materialize -m crime_assets.definitions --select "
            f"street_graph --partition {force}`"
        )
