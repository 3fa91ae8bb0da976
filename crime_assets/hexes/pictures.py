"""Small maps of hotspots for the UI and the documentation, drawn with Matplotlib."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import duckdb
import numpy as np

from crime_assets.hexes import grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LAND = "#e6e2da"
SEQUENTIAL = "inferno_r"
PERSISTENCE_COLOURS = {
    "persistent": "#7a0403",
    "emerging": "#e66101",
    "intermittent": "#5e3c99",
    "former": "#4393c3",
}
"""Told apart by people who do not see red or green."""


def draw_land(axes: Axes, hex_ids: np.ndarray, pixels: int = 420) -> None:
    """Fill the area of the cells ``hex_ids`` in grey, at about ``pixels`` pixels a side."""
    easting, northing = grid.centres(hex_ids)
    west, east = easting.min() - 300, easting.max() + 300
    south, north = northing.min() - 300, northing.max() + 300
    step = max((east - west) / pixels, (north - south) / pixels, 600.0)
    columns, rows = int((east - west) / step) + 1, int((north - south) / step) + 1
    flat = ((northing - south) // step).astype(int) * columns + ((easting - west) // step).astype(
        int
    )
    land = np.bincount(flat, minlength=columns * rows).reshape(rows, columns) > 0
    image = np.zeros((rows, columns, 4))
    image[land] = [*(int(LAND[i : i + 2], 16) / 255 for i in (1, 3, 5)), 1]
    extent = (west, west + columns * step, south, south + rows * step)
    axes.imshow(image, origin="lower", extent=extent, interpolation="nearest")
    axes.set_axis_off()
    axes.set_aspect("equal")


def hotspot_map(
    connection: duckdb.DuckDBPyConnection, scope: str, crime_type: str, window_months: int
) -> Figure:
    """The hotspots of one ranking on the land of their scope, darker where hotter.

    Needs ``hotspots`` and ``scope_cells``.
    """
    from matplotlib.figure import Figure

    land = connection.execute(
        "select hex_id from scope_cells where scope = $scope", {"scope": scope}
    ).fetchnumpy()["hex_id"]
    hot = connection.execute(
        "select hex_id, crimes from hotspots where scope = $scope and crime_type = $crime_type "
        "and window_months = $window order by rank desc",
        {"scope": scope, "crime_type": crime_type, "window": window_months},
    ).fetchnumpy()
    figure = Figure(figsize=(4.4, 4.4), dpi=90, layout="constrained")
    axes = figure.subplots()
    draw_land(axes, np.asarray(land))
    easting, northing = grid.centres(np.asarray(hot["hex_id"]))
    points = axes.scatter(
        easting, northing, c=np.asarray(hot["crimes"]), s=7, cmap=SEQUENTIAL, linewidths=0
    )
    if len(easting):
        figure.colorbar(points, ax=axes, shrink=0.5, label=f"crimes in {window_months} months")
    axes.set_title(f"{crime_type}: the {len(easting)} hottest cells", fontsize=9)
    return figure


def persistence_map(connection: duckdb.DuckDBPyConnection, scope: str, crime_type: str) -> Figure:
    """Cells that were hotspots in windows of three months, coloured by persistence class.

    Needs ``hotspot_frequency`` and ``scope_cells``.
    """
    from matplotlib.figure import Figure

    land = connection.execute(
        "select hex_id from scope_cells where scope = $scope", {"scope": scope}
    ).fetchnumpy()["hex_id"]
    figure = Figure(figsize=(4.4, 4.4), dpi=90, layout="constrained")
    axes = figure.subplots()
    draw_land(axes, np.asarray(land))
    for persistence, colour in reversed(PERSISTENCE_COLOURS.items()):
        cells = connection.execute(
            "select hex_id from hotspot_frequency where scope = $scope and "
            "crime_type = $crime_type and window_months = 3 and persistence = $persistence",
            {"scope": scope, "crime_type": crime_type, "persistence": persistence},
        ).fetchnumpy()["hex_id"]
        axes.scatter(
            *grid.centres(np.asarray(cells)),
            c=colour,
            s=7,
            linewidths=0,
            label=f"{persistence} ({len(cells)})",
        )
    axes.legend(fontsize=7, loc="upper left", frameon=False)
    axes.set_title(f"{crime_type}: how lasting hotspots of 3 months are", fontsize=9)
    return figure


def as_markdown(figure: Figure) -> str:
    """A figure as an image in Markdown, as the UI shows it: a PNG of a few kilobytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return f"![map](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})"
