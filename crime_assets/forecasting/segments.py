"""Street segments as units of forecasts: each force's network, its crimes, what GLDNet said of it.

Study areas are the forces whose network is in the lake; there is none of the nation, whose networks
need not meet. A segment belongs to the force whose network it is, whichever force recorded the
crime.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb
import numpy as np
from numpy.typing import NDArray

from crime_assets import DataError
from crime_assets.forecasting.cells import Presence, Series
from crime_assets.forecasting.counts import Counts, Units
from crime_assets.forecasting.forecaster import NoForecast
from crime_assets.lake import Lake, sql
from crime_assets.lsoa.neighbours import link
from crime_assets.register import force_slugs
from crime_assets.streets.graph import view_network
from crime_assets.tables import (
    GLDNET_FORECASTS,
    SEGMENT_COUNTS,
    STREET_GRAPH,
    STREET_SEGMENTS,
)

LEAST_SEGMENTS = 50
"""A network of fewer is no study area: a tenth of it would be five segments."""

STATEMENTS = ("forecasting/segment_crimes", "streets/edges")


def forces_with_streets(lake: Lake) -> tuple[str, ...]:
    """The forces whose segments and graph are in the lake, in the register's order."""
    tables = (STREET_SEGMENTS.name, STREET_GRAPH.name)
    return tuple(f for f in force_slugs() if all(lake.has(t, {"force": f}) for t in tables))


def segment_units(connection: duckdb.DuckDBPyConnection, lake: Lake, force: str) -> Units:
    """The segments of a force by their ids, sizes in metres; the views of its tables stay.

    Neighbours share a junction. Raises as :func:`~crime_assets.streets.graph.view_network` does.
    """
    view_network(connection, lake, force)
    return units_of_network(connection)


def units_of_network(connection: duckdb.DuckDBPyConnection) -> Units:
    """The segments of the network in the views ``street_segments`` and ``street_graph``."""
    found = connection.execute(
        "select segment_id, length_m from street_segments order by segment_id"
    ).fetchnumpy()
    ids = np.asarray(found["segment_id"]).astype(str)
    pairs = connection.execute(sql("streets/edges")).fetchnumpy()
    neighbours = link(len(ids), pairs["one"], pairs["other"])
    return Units("segment", ids, np.asarray(found["length_m"], dtype=float), neighbours)


def segment_presence(
    connection: duckdb.DuckDBPyConnection, lake: Lake, months: Sequence[str], forces: Sequence[str]
) -> Presence:
    """Who published the ``segment_counts`` of each of ``months``, as the counts themselves say.

    A force whose network the counts did not know is not there in that month, whatever it published.
    """
    published = {}
    for month in months:
        told = lake.provenance(connection, SEGMENT_COUNTS.name, {"month": month})
        if not {"forces", "networks"} <= told.keys():
            raise DataError(
                f"segment_counts {month} does not say which forces it counts: materialise it again"
            )
        published[month] = {*told["forces"]} & {*told["networks"]}
    return Presence(published, frozenset(forces))


def stale_counts(
    connection: duckdb.DuckDBPyConnection, lake: Lake, months: Sequence[str], force: str
) -> str:
    """Why the ``segment_counts`` of ``months`` say nothing of a force's streets; empty if they do.

    They do not where one of them was counted on other segments than the lake now has.
    """
    now = lake.sha256(STREET_SEGMENTS.name, {"force": force})
    stale = [
        month
        for month in months
        if lake.provenance(connection, SEGMENT_COUNTS.name, {"month": month})["networks"].get(force)
        != now
    ]
    if not stale:
        return ""
    return (
        f"segment_counts of {len(stale)} months ({stale[0]} to {stale[-1]}) were counted on other "
        f"streets of {force} than street_segments holds now: materialise them again"
    )


def segment_series(
    connection: duckdb.DuckDBPyConnection, months: Sequence[str], units: Units
) -> Counts:
    """The crimes on a force's segments over ``months``.

    Needs the views ``street_segments`` of that force, as :func:`segment_units` leaves it, and
    ``segment_counts`` of the months, none of them among :func:`stale_counts`.
    """
    series = Series.read(connection, months, sql("forecasting/segment_crimes"))
    return series.counts(units, months[0], months[-1], np.arange(len(units)))


def gldnet_scores(
    connection: duckdb.DuckDBPyConnection, lake: Lake, month: str, force: str, units: Units
) -> Mapping[tuple[str, str], NDArray[np.float64]]:
    """What ``gldnet_forecasts`` of a cut-off says of a force: scores (n,) by type and cut-off.

    Raises :class:`~crime_assets.forecasting.forecaster.NoForecast` where it is not in the lake, or
    was made for other segments than ``units``.
    """
    place = {"month": month, "force": force}
    if not lake.view(connection, GLDNET_FORECASTS.name, [place], skip_missing=True):
        raise NoForecast(
            f"gldnet_forecasts {force}|{month} is not in the lake: materialise it first"
        )
    found = connection.execute(
        "select crime_type, segment_id, score from gldnet_forecasts order by all"
    ).fetchnumpy()
    of_type = np.asarray(found["crime_type"]).astype(str)
    ids = np.asarray(found["segment_id"]).astype(str)
    scores = {}
    for crime_type in np.unique(of_type):
        these = of_type == crime_type
        if not np.array_equal(ids[these], units.ids):
            raise NoForecast(
                f"gldnet_forecasts {force}|{month} was made for other streets than street_segments "
                "holds now: materialise segment_counts, segment_steps and gldnet_forecasts again"
            )
        scores[str(crime_type), month] = np.asarray(found["score"], dtype=float)[these]
    return scores
