"""Maps of the classes of small areas, drawn with Matplotlib.

As on the maps of hotspots, land is drawn by asking each pixel in which area it lies: the same lines
draw a city and a nation, no seam opens between areas, and a pixel is of one class. A map has one
panel where the area is small, else two: the whole, and the part where the areas that matter most
lie closest together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from textwrap import fill
from typing import TYPE_CHECKING

import duckdb
import numpy as np
from numpy.typing import ArrayLike, NDArray

from crime_assets import DataError
from crime_assets.hexes.pictures import BORDER, INK, SMALL_M, ZOOM_M, Extent, draw_scale
from crime_assets.lake import sql
from crime_assets.lsoa.clusters import CLUSTERS
from crime_assets.lsoa.labels import CLASS_TITLES, LABELS
from crime_assets.lsoa.moran import NOT_SIGNIFICANT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NO_CLASS = "#c8c8c8"
"""An area without a class: its force published nothing, or its data are too few."""

TIER_COLOURS = ("#fbf0c9", "#f6b15f", "#d9523a", "#650b34")
"""From low to very high, in steps of lightness."""

LISA_COLOURS = {
    "high-high": "#b2182b",
    "high-low": "#f4a582",
    "low-high": "#92c5de",
    "low-low": "#2166ac",
    NOT_SIGNIFICANT: "#ebe6dc",
}

BIVARIATE_PALETTE = {
    "0_0": "#edebdf", "0_1": "#acb4d6", "0_2": "#5979c3",
    "1_0": "#eabe81", "1_1": "#95817b", "1_2": "#394a71",
    "2_0": "#d18a09", "2_1": "#745227", "2_2": "#1a2029",
}  # fmt: skip
"""More orange where the first type is higher, more blue where the second is, dark where both are.

Lies between four corners in CIELAB, which were searched for the nine colours that are furthest
apart to people who see all colours, no red, no green or no blue."""

STUDY_PALETTE = {
    "0_0": "#d0e1f9", "0_1": "#74a9cf", "0_2": "#0570b0",
    "1_0": "#fdae6b", "1_1": "#fd8d3c", "1_2": "#e6550d",
    "2_0": "#fcbba1", "2_1": "#fc9272", "2_2": "#de2d26",
}  # fmt: skip
"""That of the London study: blues, oranges and reds, one for each level of the first type."""

CLUSTER_COLOURS = ("#f6f1c8", "#b4de8f", "#44a89b", "#2b5b9c", "#231443")
"""From the cluster with the least crime to that with the most: see `clusters.in_order`."""

_DPI = 120


# --- Outlines -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outlines:
    """The outlines of areas (n,), in metres (EPSG:27700).

    ``corners`` (m, 2) hold the corners of all rings, one ring after the other, each closed;
    ``area`` (m,) is the position of the area of each, ascending; ``starts`` (m,) is true where a
    ring starts. Parts and holes are rings alike: what lies in two rings of an area is outside it.
    """

    codes: NDArray[np.str_]
    corners: NDArray[np.float64]
    area: NDArray[np.int64]
    starts: NDArray[np.bool_]

    @classmethod
    def read(cls, connection: duckdb.DuckDBPyConnection, codes: ArrayLike) -> Outlines:
        """The outlines of the LSOAs with these codes (n,), in their order.

        Needs ``lsoa_areas`` and the extension ``spatial``. Raises :class:`~crime_assets.DataError`
        for codes that are not there.
        """
        codes = np.asarray(codes).astype(str)
        found = connection.execute(sql("lsoa/outlines"), {"codes": codes.tolist()}).fetchnumpy()
        area = np.asarray(found["position"], dtype=np.int64)
        missing = codes[np.bincount(area, minlength=len(codes)) == 0]
        if len(missing) or not len(codes):
            raise DataError(
                f"{len(missing):,} of {len(codes):,} areas are not in lsoa_areas: "
                f"{', '.join(missing[:5])}; a map needs areas, by codes of 2021"
            )
        corners = np.stack([found["easting"], found["northing"]], axis=1).astype(float)
        starts = np.ones(len(area), dtype=bool)
        starts[1:] = (np.diff(area) != 0) | (np.diff(found["ring"]) != 0)
        return cls(codes, corners, area, starts)

    def __len__(self) -> int:
        return len(self.codes)

    @cached_property
    def bounds(self) -> NDArray[np.float64]:
        """West, east, south and north of each area: (n, 4)."""
        first = np.searchsorted(self.area, np.arange(len(self)))
        low = np.minimum.reduceat(self.corners, first)
        high = np.maximum.reduceat(self.corners, first)
        return np.stack([low[:, 0], high[:, 0], low[:, 1], high[:, 1]], axis=1)

    @property
    def extent(self) -> Extent:
        """What encloses all of them, and a hundredth of that around it."""
        west, _, south, _ = self.bounds.min(axis=0).tolist()
        _, east, _, north = self.bounds.max(axis=0).tolist()
        margin = 0.01 * max(east - west, north - south)
        return west - margin, east + margin, south - margin, north + margin

    def densest(self, areas: NDArray[np.bool_], side_m: float = ZOOM_M) -> Extent:
        """The square around one of some areas (n,) that holds the centres of most of them."""
        from scipy.spatial import KDTree

        west, east, south, north = self.bounds[areas].T
        centres = np.stack([west + east, south + north], axis=1) / 2
        tree = KDTree(centres)
        near = tree.query_ball_point(centres, side_m / 2, p=np.inf, return_length=True)
        held = (np.abs(centres - centres[near.argmax()]) <= side_m / 2).all(axis=1)
        # in the middle of what it holds, so that nothing hangs at the edge
        e, n = ((centres[held].min(axis=0) + centres[held].max(axis=0)) / 2).tolist()
        return e - side_m / 2, e + side_m / 2, n - side_m / 2, n + side_m / 2

    def raster(self, extent: Extent, step: float) -> NDArray[np.int64]:
        """The position of the area in which each pixel (rows, columns) has its centre; -1: in none.

        Pixels are ``step`` metres wide, the first row is the southernmost. Lines of pixels are cut
        by the edges of the outlines; from an odd cut of an area to the next, pixels are inside.
        """
        west, east, south, north = extent
        columns, rows = (int(np.ceil((b - a) / step)) for a, b in ((west, east), (south, north)))
        scaled = (self.corners - (west, south)) / step - 0.5  # centres of pixels are whole numbers
        line = np.clip(np.ceil(scaled[:, 1]), 0, rows).astype(np.int64)
        cut = (line[1:] != line[:-1]) & ~self.starts[1:] & self._near(extent)[self.area[1:]]
        low = np.flatnonzero(cut)
        # from the lower end: two areas cut a line at the very same place of their common edge
        down = line[low + 1] < line[low]
        low, high = low + down, low + ~down
        cuts = line[high] - line[low]
        slope = (scaled[high, 0] - scaled[low, 0]) / (scaled[high, 1] - scaled[low, 1])
        low, slope = np.repeat(low, cuts), np.repeat(slope, cuts)
        row = line[low] + _counted(cuts)
        column = np.ceil(scaled[low, 0] + (row - scaled[low, 1]) * slope)
        column = np.clip(column, 0, columns).astype(np.int64)
        area = self.area[low]
        order = np.lexsort((column, row, area))
        row, area = row[order[::2]], area[order[::2]]
        start, end = column[order].reshape(-1, 2).T
        pixel = np.repeat(np.arange(len(start)), end - start)
        image = np.full((rows, columns), -1, dtype=np.int64)
        image[row[pixel], start[pixel] + _counted(end - start)] = area[pixel]
        return image

    def _near(self, extent: Extent) -> NDArray[np.bool_]:
        """Which areas (n,) have bounds that meet those of an extent."""
        west, east, south, north = self.bounds.T
        return (
            (west <= extent[1]) & (east >= extent[0]) & (south <= extent[3]) & (north >= extent[2])
        )


def _counted(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """0, 1, ... up to each length, one run after the other."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - lengths, lengths)


# --- Maps -----------------------------------------------------------------------------------


def tier_map(outlines: Outlines, tiers: ArrayLike, title: str, note: str = "") -> Figure:
    """The tiers (n,) of areas: 0 (low) to 3 (very high); any other is no class, in grey.

    The part drawn large is where very high ones lie closest together.
    """
    at = _positions(outlines, tiers, LABELS["tier"])
    return _map(outlines, at, 3, CLASS_TITLES["tier"], TIER_COLOURS, title, note)


def lisa_map(outlines: Outlines, lisa: ArrayLike, title: str, note: str = "") -> Figure:
    """The LISA classes (n,) of areas; of those that were left out (""), none, in grey.

    See :class:`~crime_assets.lsoa.moran.LocalMoran`. The part drawn large is where high areas among
    high ones lie closest together.
    """
    names, colours = tuple(LISA_COLOURS), tuple(LISA_COLOURS.values())
    at = _positions(outlines, lisa, names)
    return _map(outlines, at, names.index("high-high"), names, colours, title, note)


def cluster_map(
    outlines: Outlines, clusters: ArrayLike | Mapping[str, ArrayLike], title: str, note: str = ""
) -> Figure:
    """The clusters (n,) of areas, numbered from 0: darker where higher; any other is no class.

    Of several years (clusters by the name of the year), one panel for each. Else the part drawn
    large is where areas of the highest cluster lie closest together.
    """
    names = tuple(map(str, range(CLUSTERS)))
    if not isinstance(clusters, Mapping):
        at = _positions(outlines, clusters, names)
        return _map(outlines, at, at.max(), names, CLUSTER_COLOURS, title, note)
    yearly = [_positions(outlines, of_year, names) for of_year in clusters.values()]
    extents = [outlines.extent] * len(yearly)
    figure, panels, _ = _panels(extents, title)
    for axes, year in zip(panels, clusters, strict=True):
        axes.set_title(year, fontsize=8, color=INK)
    shown = [(name, colour) for name, colour in zip(names, CLUSTER_COLOURS, strict=True)]
    _legend(figure, [*shown, *_none(np.concatenate(yearly))], note)
    _fill(figure, panels, outlines, extents, yearly, CLUSTER_COLOURS)
    return figure


def bivariate_map(
    outlines: Outlines,
    classes: ArrayLike,
    title: str,
    pair: tuple[str, str],
    note: str = "",
    palette: Mapping[str, str] = BIVARIATE_PALETTE,
) -> Figure:
    """The nine classes (n,) of two crime types, such as ``2_0``: the first high, the second low.

    Classes are words, or positions among those of :data:`~crime_assets.lsoa.labels.LABELS`; any
    other is no class, in grey. ``pair`` names the two types. The part drawn large is where areas
    with both high lie closest together.
    """
    names = LABELS["bivariate"]
    colours = [palette[name] for name in names]
    at = _positions(outlines, classes, names)
    extents = _extents(outlines, at == names.index("2_2"))
    figure, panels, aside = _panels(extents, title, aside=True)
    _square(aside, colours, pair)
    _legend(figure, _none(at), note)
    _fill(figure, panels, outlines, extents, [at] * len(extents), colours)
    return figure


def _map(
    outlines: Outlines,
    at: NDArray[np.int64],
    important: int,
    names: Sequence[str],
    colours: Sequence[str],
    title: str,
    note: str,
) -> Figure:
    """The classes ``at`` (n,) of areas, and a legend that counts them."""
    extents = _extents(outlines, at == important)
    figure, panels, _ = _panels(extents, title)
    shown = [
        (f"{name} ({(at == i).sum():,})", colour)
        for i, (name, colour) in enumerate(zip(names, colours, strict=True))
    ]
    _legend(figure, [*shown, *_none(at)], note)
    _fill(figure, panels, outlines, extents, [at] * len(extents), colours)
    return figure


# --- What maps are made of ------------------------------------------------------------------


def _positions(outlines: Outlines, classes: ArrayLike, names: Sequence[str]) -> NDArray[np.int64]:
    """The position of each class (n,) among the names, or as it is given; -1 for none."""
    given = np.asarray(classes)
    if given.shape != (len(outlines),):
        raise ValueError(f"classes of shape {given.shape} for {len(outlines)} areas")
    if given.dtype.kind in "iuf":
        at = np.nan_to_num(given.astype(float), nan=-1).astype(np.int64)
        return np.where((at >= 0) & (at < len(names)), at, -1)
    same = given[:, None] == np.array(names, dtype=object)
    return np.where(same.any(axis=1), same.argmax(axis=1), -1)


def _extents(outlines: Outlines, important: NDArray[np.bool_]) -> list[Extent]:
    """The whole and, where it is large, the part that holds most of the important areas."""
    whole = outlines.extent
    large = max(whole[1] - whole[0], whole[3] - whole[2]) > SMALL_M
    return [whole, outlines.densest(important)] if large and important.any() else [whole]


def _panels(
    extents: Sequence[Extent], title: str, aside: bool = False
) -> tuple[Figure, list[Axes], Axes]:
    """A figure with a panel for each extent, three in a row, and an axes for a legend beside."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import AbstractPathEffect, withStroke

    columns = min(len(extents), 3)
    rows = -(-len(extents) // columns)
    height = max((north - south) / (east - west) for west, east, south, north in extents)
    size = (3.6 * columns + 0.3 + 1.2 * aside, 3.6 * rows * min(max(height, 0.6), 1.3) + 0.9)
    figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
    figure.suptitle(fill(title, int(13 * size[0])), fontsize=10, color=INK)
    cells = figure.add_gridspec(
        rows, columns + aside, width_ratios=[1.0] * columns + [0.33] * aside
    )
    on_dark: list[AbstractPathEffect] = [withStroke(linewidth=3.5, foreground="white")]
    panels = []
    for i, extent in enumerate(extents):
        axes = figure.add_subplot(cells[divmod(i, columns)])
        draw_scale(axes, extent)
        axes.lines[0].set_path_effects(on_dark)
        axes.set(xlim=extent[:2], ylim=extent[2:], xticks=[], yticks=[], aspect="equal")
        axes.spines[:].set_visible(False)
        panels.append(axes)
    if len(extents) > 1 and extents[1] != extents[0]:
        west, east, south, north = extents[1]
        # in a nation the part itself would be a dot
        side = max(east - west, (extents[0][1] - extents[0][0]) / 30)
        corner = ((west + east - side) / 2, (south + north - side) / 2)
        mark = Rectangle(
            corner, side, side, fill=False, ec=INK, lw=0.9, zorder=3, path_effects=on_dark
        )
        panels[0].add_patch(mark)
        panels[1].spines[:].set(visible=True, color=INK, linewidth=0.9)
    return figure, panels, figure.add_subplot(cells[:, columns]) if aside else panels[0]


def _fill(
    figure: Figure,
    panels: Sequence[Axes],
    outlines: Outlines,
    extents: Sequence[Extent],
    classes: Sequence[NDArray[np.int64]],
    colours: Sequence[str],
) -> None:
    """Colour each panel by its classes, pixel by pixel; to be done when all else is in place."""
    from matplotlib.colors import to_rgba_array

    # by position, the last four being a line between areas (-4), a coast (-3), no class (-2) and
    # no area (-1)
    shades = to_rgba_array([*colours, "white", BORDER, NO_CLASS, "#ffffff00"])
    figure.draw_without_rendering()  # only then is known how large panels are
    drawn: dict[Extent, NDArray[np.int64]] = {}
    for axes, extent, at in zip(panels, extents, classes, strict=True):
        west, east, south, north = extent
        step = (east - west) / axes.get_window_extent().width
        if extent not in drawn:
            drawn[extent] = outlines.raster(extent, step)
        area = drawn[extent]
        rows, columns = area.shape
        shade = np.append(np.where(at >= 0, at, -2), -1)[area]
        if max(east - west, north - south) <= SMALL_M:
            shade[:, 1:][area[:, 1:] != area[:, :-1]] = -4
            shade[1:][area[1:] != area[:-1]] = -4
        else:
            land = np.pad(area >= 0, 1)
            beside = land[:-2, 1:-1] | land[2:, 1:-1] | land[1:-1, :-2] | land[1:-1, 2:]
            shade[beside & (area < 0)] = -3
        axes.imshow(
            shades[shade],
            origin="lower",
            extent=(west, west + step * columns, south, south + step * rows),
            interpolation="nearest",
        )
        axes.set(xlim=(west, east), ylim=(south, north))


def _none(at: NDArray[np.int64]) -> list[tuple[str, str]]:
    """What a legend shows of areas without a class, where there are any."""
    count = int((at < 0).sum())
    return [(f"no class ({count:,})", NO_CLASS)] if count else []


def _legend(figure: Figure, shown: Sequence[tuple[str, str]], note: str) -> None:
    """Patches with words and colours below the panels, under the note."""
    from matplotlib.patches import Patch

    width = figure.get_figwidth()
    legend = figure.legend(
        handles=[Patch(fc=colour, ec=INK, lw=0.4, label=label) for label, colour in shown],
        title=fill(note, int(17 * width)) or None,
        title_fontproperties={"size": 7},
        loc="outside lower center",
        ncols=len(shown) if width > 5 else 2,
        fontsize=8,
        labelcolor=INK,
        frameon=False,
        handlelength=1.0,
        handleheight=1.0,
        columnspacing=1.2,
    )
    legend.get_title().set_color(INK)


def _square(axes: Axes, colours: Sequence[str], pair: tuple[str, str]) -> None:
    """The nine colours as a square: the first type to the right, the second upwards."""
    from matplotlib.colors import to_rgba_array

    levels = ("low", "mid", "high")
    axes.imshow(to_rgba_array(colours).reshape(3, 3, 4).swapaxes(0, 1), origin="lower")
    axes.set_xticks(range(3), levels, fontsize=7, color=INK)
    axes.set_yticks(range(3), levels, fontsize=7, color=INK, rotation=90, va="center")
    axes.set_xlabel(fill(f"{pair[0]} →", 20), fontsize=8, color=INK)
    axes.set_ylabel(fill(f"{pair[1]} →", 20), fontsize=8, color=INK)
    axes.tick_params(length=0)
    axes.spines[:].set(color=INK, linewidth=0.4)
