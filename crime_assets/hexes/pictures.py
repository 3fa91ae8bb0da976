"""Small maps of hotspots for the UI, the demo and the documentation, drawn with Matplotlib.

A map has one panel where the area is small enough to see its hexagons, else two: the whole area,
and the part of it where hotspots lie closest together. Land is drawn by asking each pixel in which
cell it lies, so the same lines draw a city and a nation.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

import duckdb
import numpy as np
from numpy.typing import NDArray

from crime_assets.hexes import grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

LAND = "#e9e5dd"
BORDER = "#b3aca0"
INK = "#33302c"
PERSISTENCE_COLOURS = {
    "persistent": "#7a0403",
    "emerging": "#e66101",
    "intermittent": "#8073ac",
    "former": "#4393c3",
}
"""Told apart by people who do not see red or green."""

ZOOM_M = 8_000.0
"""The side of the part that is drawn large: twenty cells, each big enough to be seen."""

SMALL_M = 14_000.0
"""An area no wider or higher than this is drawn in one panel."""

_DENSEST_OF = 2000
_PIXELS = 420
_COLOURS = 96
"""In a PNG: a map needs few, and with a palette it takes a third of the bytes."""

Extent = tuple[float, float, float, float]
"""West, east, south and north in metres (EPSG:27700)."""


# --- Maps -----------------------------------------------------------------------------------


def hotspot_map(
    connection: duckdb.DuckDBPyConnection, scope: str, crime_type: str, window_months: int
) -> Figure:
    """The hotspots of one ranking on the land of their scope, darker where hotter.

    Needs ``hotspots``, ``scopes`` and ``scope_cells``.
    """
    hot = connection.execute(
        "select hex_id, crimes from hotspots where scope = $scope and crime_type = $crime_type "
        "and window_months = $window order by rank",
        {"scope": scope, "crime_type": crime_type, "window": window_months},
    ).fetchnumpy()
    ids, crimes = np.asarray(hot["hex_id"]), np.asarray(hot["crimes"])
    what = "the hottest cell" if len(ids) == 1 else f"the {len(ids):,} hottest cells"
    label = f"crimes in {_months(window_months)}" if len(ids) else None
    if len(ids) and crimes.min() == crimes.max():
        what += f", {crimes[0]:,} in {_months(window_months)}"
        label = None
    figure = _shaded_cells(connection, scope, ids, crimes, label)
    figure.suptitle(f"{crime_type}: {what}", fontsize=9, color=INK)
    return figure


def frequency_map(
    connection: duckdb.DuckDBPyConnection, scope: str, crime_type: str, window_months: int
) -> Figure:
    """Cells that were hotspots in the last 36 months, darker where they were more often.

    Needs ``hotspot_frequency``, ``scopes`` and ``scope_cells``.
    """
    found = connection.execute(
        "select hex_id, 100 * frequency as percent from hotspot_frequency where scope = $scope and "
        "crime_type = $crime_type and window_months = $window order by rank",
        {"scope": scope, "crime_type": crime_type, "window": window_months},
    ).fetchnumpy()
    ids, percent = np.asarray(found["hex_id"]), np.asarray(found["percent"])
    label = f"% of the windows of {_months(window_months)} in which it was a hotspot"
    figure = _shaded_cells(connection, scope, ids, percent, label, limits=(0, 100))
    figure.suptitle(f"{crime_type}: {len(ids):,} cells were hotspots", fontsize=9, color=INK)
    return figure


def persistence_map(
    connection: duckdb.DuckDBPyConnection, scope: str, crime_type: str, window_months: int = 3
) -> Figure:
    """Cells that were hotspots in the last 36 months, coloured by how lasting they were.

    Needs ``hotspot_frequency``, ``scopes`` and ``scope_cells``.
    """
    from matplotlib.lines import Line2D

    found = connection.execute(
        "select hex_id, persistence from hotspot_frequency where scope = $scope and "
        "crime_type = $crime_type and window_months = $window order by rank",
        {"scope": scope, "crime_type": crime_type, "window": window_months},
    ).fetchnumpy()
    ids, classes = np.asarray(found["hex_id"]), np.asarray(found["persistence"], dtype=object)
    figure, panels = _panels(connection, scope, ids)
    for axes, extent in panels:
        for persistence, colour in reversed(PERSISTENCE_COLOURS.items()):
            _draw_visibly(axes, extent, ids[classes == persistence], facecolors=colour)
    figure.legend(
        handles=[
            Line2D([], [], marker="h", linestyle="", color=colour, markersize=6, label=label)
            for colour, label in (
                (colour, f"{persistence} ({(classes == persistence).sum():,})")
                for persistence, colour in PERSISTENCE_COLOURS.items()
            )
        ],
        loc="outside lower center",
        ncols=2 * len(panels),
        fontsize=8,
        frameon=False,
        handletextpad=0.1,
    )
    figure.suptitle(
        f"{crime_type}: how lasting hotspots of {_months(window_months)} are",
        fontsize=9,
        color=INK,
    )
    return figure


def _shaded_cells(
    connection: duckdb.DuckDBPyConnection,
    scope: str,
    ids: NDArray[np.integer],
    values: NDArray,
    label: str | None,
    limits: tuple[float | None, float | None] = (None, None),
) -> Figure:
    """Cells on the land of their scope, shaded by ``values``, of which the highest come first.

    Without a ``label`` there is no scale of the shades.
    """
    figure, panels = _panels(connection, scope, ids)
    for axes, extent in panels:
        # the hottest last, on top of the others
        shaded = _draw_visibly(axes, extent, ids[::-1], cmap=heat())
        shaded.set_array(values[::-1])
        shaded.set_clim(*limits)
    if label:
        figure.colorbar(
            shaded,
            ax=[axes for axes, _ in panels],
            orientation="horizontal",
            fraction=0.05,
            aspect=35,
            label=label,
        )
    return figure


def _months(count: int) -> str:
    return "1 month" if count == 1 else f"{count} months"


def _panels(
    connection: duckdb.DuckDBPyConnection, scope: str, hot: NDArray[np.integer]
) -> tuple[Figure, list[tuple[Axes, Extent]]]:
    """A figure with the land of the scope, whole and, where that is large, a part of it."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    part_of = areas(connection, scope)
    whole = extent_of(np.flatnonzero(part_of))
    small = max(whole[1] - whole[0], whole[3] - whole[2]) <= SMALL_M
    extents = [whole]
    if not small and len(hot):
        extents.append(densest(hot))
    figure = Figure(figsize=(3.8 if len(extents) == 1 else 6.6, 3.9), dpi=90, layout="constrained")
    panels = list(zip(figure.subplots(1, len(extents), squeeze=False)[0], extents, strict=True))
    for axes, extent in panels:
        draw_land(axes, part_of, extent)
        draw_scale(axes, extent)
    if len(panels) > 1:
        west, east, south, north = extents[1]
        # in a nation the part itself would be a dot
        side = max(east - west, (whole[1] - whole[0]) / 30)
        corner = ((west + east - side) / 2, (south + north - side) / 2)
        panels[0][0].add_patch(Rectangle(corner, side, side, fill=False, ec=INK, lw=0.8, zorder=3))
        for spine in panels[1][0].spines.values():
            spine.set(visible=True, color=INK, linewidth=0.8)
    return figure, panels


# --- What maps are made of ------------------------------------------------------------------


def heat() -> Colormap:
    """From yellow to black, told apart in grey as well, and never as pale as land."""
    import matplotlib as mpl
    from matplotlib.colors import ListedColormap

    return ListedColormap(mpl.colormaps["inferno_r"](np.linspace(0.14, 1, 256)), "heat")


def areas(connection: duckdb.DuckDBPyConnection, scope: str) -> NDArray[np.uint8]:
    """For every id of the grid: 0 outside the scope, 1 in it, 2 and more in one of its forces.

    Needs ``scopes`` and ``scope_cells``. Only the nation shows its forces.
    """
    part_of = np.zeros(grid.CELLS, dtype=np.uint8)
    cells = connection.execute(
        """
        with area as (
            select scope, 1 + row_number() over (order by scope) as number
            from scopes
            where kind = 'force' and $scope in (select scope from scopes where kind = 'nation')
            union all
            select $scope, 1
        )
        select cell.hex_id, area.number::utinyint as number
        from scope_cells as cell
        inner join area on cell.scope = area.scope
        """,
        {"scope": scope},
    ).fetchnumpy()
    np.maximum.at(part_of, np.asarray(cells["hex_id"]), np.asarray(cells["number"]))
    return part_of


def extent_of(hex_ids: NDArray[np.integer], margin_m: float = 300.0) -> Extent:
    """What encloses the centres of the cells, and ``margin_m`` around them."""
    easting, northing = grid.centres(hex_ids)
    if not len(hex_ids):
        return (0.0, 1.0, 0.0, 1.0)
    return (
        float(easting.min() - margin_m),
        float(easting.max() + margin_m),
        float(northing.min() - margin_m),
        float(northing.max() + margin_m),
    )


def densest(hex_ids: NDArray[np.integer], side_m: float = ZOOM_M) -> Extent:
    """The square around one of the cells that holds most of them; the first of equal ones.

    Of very many cells only the first are looked at.
    """
    easting, northing = grid.centres(hex_ids[:_DENSEST_OF])
    near = (np.abs(easting[:, None] - easting) <= side_m / 2) & (
        np.abs(northing[:, None] - northing) <= side_m / 2
    )
    middle = near.sum(axis=1).argmax()
    # in the middle of what it holds, so that no cluster hangs at the edge
    held = near[middle]
    e = (easting[held].min() + easting[held].max()) / 2
    n = (northing[held].min() + northing[held].max()) / 2
    return (e - side_m / 2, e + side_m / 2, n - side_m / 2, n + side_m / 2)


def draw_land(axes: Axes, part_of: NDArray[np.uint8], extent: Extent) -> None:
    """Fill the land in grey, with the borders of its forces; ``part_of`` is from :func:`areas`."""
    from matplotlib.colors import to_rgba

    west, east, south, north = extent
    step = max(east - west, north - south) / _PIXELS
    eastings = np.arange(west + step / 2, east, step)
    northings = np.arange(south + step / 2, north, step)
    ids = grid.hex_ids(*np.meshgrid(eastings, northings))
    part = np.where(ids >= 0, part_of[ids], 0)
    border = np.zeros(part.shape, dtype=bool)
    border[:, 1:] |= part[:, 1:] != part[:, :-1]
    border[1:, :] |= part[1:, :] != part[:-1, :]
    border[:, :-1] |= part[:, 1:] == 0  # the coast on all its sides
    border[:-1, :] |= part[1:, :] == 0
    image = np.zeros((*part.shape, 4))
    image[part > 0] = to_rgba(LAND)
    image[border & (part > 0)] = to_rgba(BORDER)
    axes.imshow(
        image,
        origin="lower",
        extent=(west, west + step * len(eastings), south, south + step * len(northings)),
        interpolation="nearest" if part.max() else "none",
    )
    axes.set(xlim=(west, east), ylim=(south, north), xticks=[], yticks=[], aspect="equal")
    for spine in axes.spines.values():
        spine.set_visible(False)


def draw_cells(
    axes: Axes, hex_ids: NDArray[np.integer], least_m: float = 0.0, **style: object
) -> PolyCollection:
    """Draw cells as hexagons, at their true size or, where that is larger, ``least_m`` wide.

    ``style`` is that of Matplotlib's ``PolyCollection``, whose array is what shades the cells.
    """
    from matplotlib.collections import PolyCollection

    corners = grid.corners(hex_ids)
    centre = corners.mean(axis=-2, keepdims=True)
    scale = max(1.0, least_m / (2 * grid.SIDE_M))
    cells = PolyCollection(centre + scale * (corners - centre), **style)  # type: ignore[arg-type]
    axes.add_collection(cells, autolim=False)
    return cells


def _draw_visibly(
    axes: Axes, extent: Extent, hex_ids: NDArray[np.integer], **style: object
) -> PolyCollection:
    """Cells as hexagons, with an outline where they are large, and never too small to be seen."""
    width = max(extent[1] - extent[0], extent[3] - extent[2])
    large = width <= SMALL_M
    outline: Mapping[str, object] = {
        "edgecolors": "white" if large else "none",
        "linewidths": 0.5 if large else 0,
    }
    return draw_cells(axes, hex_ids, least_m=width / 75, **outline, **style)


def draw_scale(axes: Axes, extent: Extent) -> None:
    """A bar of a round length, about a fifth of the width, at the lower left."""
    west, east, south, north = extent
    length = next(
        m for m in (100_000, 50_000, 20_000, 10_000, 5_000, 2_000, 1_000, 500, 200, 100, 0)
        if m <= 0.3 * (east - west)
    )  # fmt: skip
    e, n = west + 0.03 * (east - west), south + 0.03 * (north - south)
    axes.plot([e, e + length], [n, n], color=INK, linewidth=1.5, solid_capstyle="butt")
    text = f"{length // 1000} km" if length >= 1000 else f"{length} m"
    on_cells = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1.0}
    above = n + 0.02 * (north - south)
    axes.text(e, above, text, fontsize=7, color=INK, va="bottom", bbox=on_cells)


# --- Files ----------------------------------------------------------------------------------


def png(figure: Figure, dpi: float | None = None, colours: int = _COLOURS) -> bytes:
    """A figure as a PNG with a palette; the same figure gives the same bytes."""
    from PIL import Image

    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=dpi or figure.dpi)
    packed = io.BytesIO()
    image = Image.open(drawn).convert("RGB")
    image.quantize(colours, dither=Image.Dither.NONE).save(packed, format="png", optimize=True)
    return packed.getvalue()


def as_markdown(figure: Figure) -> str:
    """A figure as an image in Markdown, as the UI shows it: a PNG of some 20 kilobytes."""
    return png_as_markdown(png(figure))


def png_as_markdown(drawn: bytes) -> str:
    """The same of a PNG that is drawn already."""
    return f"![map](data:image/png;base64,{base64.b64encode(drawn).decode()})"
