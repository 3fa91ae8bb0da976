"""Maps of streets for the UI: a network, and where on it the crimes of a month are.

As on the maps of hotspots, there is one panel where the network is small, else two: all of it, and
the square in which most of the crimes lie.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import numpy as np
from numpy.typing import NDArray

from crime_assets.hexes.pictures import BORDER, INK, SMALL_M, ZOOM_M, Extent, draw_scale, heat

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

QUIET = "#cfc8bc"
"""A street without a crime."""


def network_map(connection: duckdb.DuckDBPyConnection, title: str) -> Figure:
    """The segments of ``street_segments`` (one network), and where they meet."""
    lines = _lines(connection, "select geometry from street_segments order by segment_id")
    figure, panels = _panels(lines, np.ones(len(lines)))
    for axes, extent in panels:
        _draw(axes, lines, extent, colors=INK, linewidths=_width(extent))
        ends = np.concatenate([[line[0], line[-1]] for line in lines])
        places, meeting = np.unique(ends, axis=0, return_counts=True)
        junctions = places[meeting > 2]
        if extent[1] - extent[0] <= SMALL_M:
            axes.scatter(
                junctions[:, 0],
                junctions[:, 1],
                s=9 * _width(extent) ** 2,
                color="#d9523a",
                linewidths=0,
                zorder=3,
            )
    length = sum(float(np.hypot(*np.diff(line, axis=0).T).sum()) for line in lines)
    figure.suptitle(f"{title}\n{len(lines):,} segments, {length / 1000:,.0f} km", **_WORDS)
    return figure


def crime_map(connection: duckdb.DuckDBPyConnection, title: str) -> Figure:
    """The crimes of ``segment_counts`` (one month) on ``street_segments`` (one network)."""
    from matplotlib.colors import LogNorm

    query = """
        with counted as (
            select force, segment_id, sum(crimes)::double as crimes
            from segment_counts
            group by all
        )
        select {} from street_segments as segment
        left join counted
            on segment.force = counted.force and segment.segment_id = counted.segment_id
        order by coalesce(crimes, 0), segment.segment_id
    """
    lines = _lines(connection, query.format("geometry"))
    found = connection.execute(query.format("coalesce(crimes, 0) as crimes")).fetchnumpy()
    crimes = np.asarray(found["crimes"], dtype=float)
    quiet = int(np.searchsorted(crimes, 0.5))  # the hottest come last, on top of the others
    figure, panels = _panels(lines, crimes)
    most = float(crimes.max(initial=2))
    scale = LogNorm(1, most)
    for axes, extent in panels:
        width = _width(extent)
        _draw(axes, lines[:quiet], extent, colors=QUIET, linewidths=0.7 * width)
        drawn = _draw(
            axes,
            lines[quiet:],
            extent,
            array=crimes[quiet:],
            cmap=heat(),
            norm=scale,
            linewidths=width * (1 + np.log2(crimes[quiet:])),
            capstyle="round",
            zorder=2,
        )
    bar = figure.colorbar(
        drawn,
        ax=[axes for axes, _ in panels],
        orientation="horizontal",
        fraction=0.045,
        aspect=38,
        ticks=[tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500) if tick <= most],
        format="{x:.0f}",
    )
    bar.ax.tick_params(labelsize=7)
    bar.ax.minorticks_off()
    bar.set_label("crimes on a segment", size=8, color=INK)
    figure.suptitle(
        f"{title}\n{crimes.sum():,.0f} crimes on {len(lines) - quiet:,} of {len(lines):,} segments",
        **_WORDS,
    )
    return figure


HOTTEST, HOT = "#7a0403", "#e66101"


def hottest_map(connection: duckdb.DuckDBPyConnection, title: str) -> Figure:
    """The segments that fill a tenth and a fifth of the street length, the hottest first.

    Needs ``segment_scores`` (``segment_id``, ``score``, one row a segment) and ``street_segments``
    of one network; equal scores stand in order of their ids.
    """
    from matplotlib.lines import Line2D

    query = """
        select {} from street_segments inner join segment_scores using (segment_id)
        order by score desc, segment_id
    """
    lines = _lines(connection, query.format("geometry"))
    length = np.asarray(connection.execute(query.format("length_m")).fetchnumpy()["length_m"])
    share = np.cumsum(length) / length.sum()
    tenth, fifth = (int(np.searchsorted(share, limit)) + 1 for limit in (0.1, 0.2))
    figure, panels = _panels(lines, np.linspace(1, 0, len(lines)))
    for axes, extent in panels:
        width = _width(extent)
        for part, colour, weight in (
            (lines[fifth:], QUIET, 0.7),
            (lines[tenth:fifth], HOT, 1.8),
            (lines[:tenth], HOTTEST, 2.6),
        ):
            _draw(axes, part, extent, colors=colour, linewidths=weight * width, capstyle="round")
    figure.legend(
        handles=[
            Line2D([], [], color=colour, linewidth=2.5, label=label)
            for colour, label in (
                (HOTTEST, f"a tenth of the length ({tenth:,} segments)"),
                (HOT, f"a fifth ({fifth:,})"),
            )
        ],
        loc="outside lower center",
        ncols=2,
        fontsize=7,
        frameon=False,
    )
    figure.suptitle(title, **_WORDS)
    return figure


_WORDS: dict[str, object] = {"fontsize": 9, "color": INK}


def _lines(connection: duckdb.DuckDBPyConnection, query: str) -> list[NDArray[np.float64]]:
    """The vertices (points, 2) of the lines that a query selects as ``geometry``."""
    found = connection.execute(f"select st_aswkb(geometry) as line from ({query})").fetchnumpy()
    # one byte for the order of bytes, four for the type, four for the count of vertices
    return [np.frombuffer(bytes(wkb)[9:], dtype="<f8").reshape(-1, 2) for wkb in found["line"]]


def _panels(
    lines: list[NDArray[np.float64]], weight: NDArray[np.float64]
) -> tuple[Figure, list[tuple[Axes, Extent]]]:
    """A figure with the whole network and, where that is large, the square with most weight."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    low = np.array([line.min(axis=0) for line in lines]).min(axis=0)
    high = np.array([line.max(axis=0) for line in lines]).max(axis=0)
    margin = 0.02 * (high - low).max()
    (west, south), (east, north) = (low - margin).tolist(), (high + margin).tolist()
    extents: list[Extent] = [(west, east, south, north)]
    if max(east - west, north - south) > SMALL_M:
        middles = np.array([line[len(line) // 2] for line in lines])
        extents.append(_heaviest(middles, weight))
    across = (east - west) / (north - south)
    width = min(6.4, max(4.2, 4.6 * across)) if len(extents) == 1 else 8.4
    height = min(5.6, width / across + 0.9) if len(extents) == 1 else 4.6
    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    panels = list(zip(figure.subplots(1, len(extents), squeeze=False)[0], extents, strict=True))
    for axes, (left, right, bottom, top) in panels:
        axes.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[], aspect="equal")
        for spine in axes.spines.values():
            spine.set_visible(False)
        draw_scale(axes, (left, right, bottom, top))
    if len(panels) > 1:
        left, right, bottom, top = extents[1]
        box = Rectangle((left, bottom), right - left, top - bottom, fill=False, ec=INK, lw=0.8)
        panels[0][0].add_patch(box).set_zorder(4)
        for spine in panels[1][0].spines.values():
            spine.set(visible=True, color=BORDER, linewidth=0.8)
    return figure, panels


def _heaviest(middles: NDArray[np.float64], weight: NDArray[np.float64]) -> Extent:
    """The square of ``ZOOM_M``, in steps of a quarter of it, that holds most weight."""
    step = ZOOM_M / 4
    at = np.floor((middles - middles.min(axis=0)) / step).astype(int)
    of_cell = np.zeros(at.max(axis=0) + 1)
    np.add.at(of_cell, tuple(at.T), weight)
    summed = np.pad(of_cell, ((1, 4), (1, 4))).cumsum(axis=0).cumsum(axis=1)
    squares = summed[4:, 4:] - summed[:-4, 4:] - summed[4:, :-4] + summed[:-4, :-4]
    i, j = np.unravel_index(squares.argmax(), squares.shape)
    west, south = (middles.min(axis=0) + step * np.array([i, j])).tolist()
    return west, west + ZOOM_M, south, south + ZOOM_M


def _width(extent: Extent) -> float:
    """Points that a street is wide on a map of this extent."""
    return float(np.clip(3_000 / (extent[1] - extent[0]), 0.4, 1.0))


def _draw(
    axes: Axes, lines: list[NDArray[np.float64]], extent: Extent, **style: object
) -> LineCollection:
    from matplotlib.collections import LineCollection

    drawn = LineCollection(lines, **style)  # type: ignore[arg-type]
    axes.add_collection(drawn, autolim=False)
    return drawn
