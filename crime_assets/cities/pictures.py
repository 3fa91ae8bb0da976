"""Pictures of a city's incidents for the UI: where they are on a grid, and on which days."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import numpy as np

from crime_assets.cities.grid import Grid
from crime_assets.hexes.pictures import INK, heat

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def cell_map(connection: duckdb.DuckDBPyConnection, grid: Grid, title: str) -> Figure:
    """The incidents of ``cell_counts``, of all steps together, in the cells of ``grid``."""
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    found = connection.execute(
        "select cell, sum(incidents)::bigint as incidents from cell_counts group by cell"
    ).fetchnumpy()
    counts = np.zeros(len(grid))
    counts[np.asarray(found["cell"], dtype=int)] = found["incidents"]
    box = grid.box
    width, height = grid.cell_m
    figure = Figure(figsize=(5.4, 5.4 * min(1.4, height / width) + 0.6), layout="constrained")
    axes = figure.subplots()
    drawn = axes.imshow(
        np.ma.masked_equal(counts.reshape(grid.p, grid.p), 0),
        origin="lower",
        extent=(box.west, box.east, box.south, box.north),
        aspect=(height * (box.east - box.west)) / (width * (box.north - box.south)),
        cmap=heat(),
        norm=LogNorm(1, max(2.0, counts.max())),
        interpolation="nearest",
    )
    axes.tick_params(labelsize=6.5, colors=INK)
    axes.ticklabel_format(useOffset=False)
    bar = figure.colorbar(drawn, ax=axes, fraction=0.04)
    bar.ax.tick_params(labelsize=7)
    bar.set_label("incidents in a cell", size=8, color=INK)
    axes.set_title(
        f"{title}\n{counts.sum():,.0f} incidents in {np.count_nonzero(counts):,} of "
        f"{len(grid):,} cells of {width:,.0f} x {height:,.0f} m",
        fontsize=9,
        color=INK,
    )
    return figure


def day_picture(connection: duckdb.DuckDBPyConnection, title: str) -> Figure:
    """The incidents of each day of ``incident_days``; those that were not observed in red."""
    from matplotlib.figure import Figure

    found = connection.execute("select * from incident_days order by day").fetchnumpy()
    days = np.asarray(found["day"], dtype="datetime64[D]")
    observed = np.asarray(found["observed"], dtype=bool)
    incidents = np.asarray(found["incidents"], dtype=float)
    figure = Figure(figsize=(8, 2.6), layout="constrained")
    axes = figure.subplots()
    axes.plot(days[observed], incidents[observed], ".", markersize=1.5, color=INK)
    axes.plot(days[~observed], incidents[~observed], "|", markersize=4, color="#d9523a")
    axes.set_ylim(bottom=-0.04 * incidents.max(initial=1))
    axes.set_ylabel("incidents a day", fontsize=8, color=INK)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(
        f"{title}: {len(days):,} days, of which {np.count_nonzero(~observed):,} were not observed",
        fontsize=9,
        color=INK,
    )
    return figure
