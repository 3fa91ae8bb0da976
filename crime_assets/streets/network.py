"""Streets as lines, split at their junctions: the segments that crimes are counted on.

One concept: an edge joins two consecutive vertices of a line, and vertices at one place are one
node. A node where exactly two edges of one street's name meet is passed through; any other is a
junction or an end. A segment is a chain of edges between two of those. So a long line is split
where others meet it, and lines are joined where a street merely goes on. Lines that cross without
a vertex in common (a bridge, a tunnel) do not meet.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import ArrayLike, NDArray

from crime_assets import DataError
from crime_assets.lake import create
from crime_assets.sources.boundaries import (
    BoundaryError,
    crs_of,
    geometry_column,
    layers_of,
    local_files,
    quoted,
)

BNG = "EPSG:27700"
"""British National Grid."""

ID_COLUMNS = ("osm_id", "osmid", "toid", "identifier", "id", "objectid", "gml_id", "fid")
NAME_COLUMNS = ("name", "name1", "name_1", "road_name", "roadname", "street_name", "full_name")
KIND_COLUMNS = (
    "highway",
    "road_function",
    "roadfunction",
    "function",
    "road_classification",
    "roadclassification",
    "fclass",
    "class",
)
"""What the columns are called by those who publish streets; the first that a file has is taken."""

NOT_STREETS = (
    "bridleway",
    "construction",
    "corridor",
    "cycleway",
    "elevator",
    "escalator",
    "footway",
    "path",
    "planned",
    "platform",
    "proposed",
    "raceway",
    "steps",
    "via_ferrata",
)
"""Kinds of OpenStreetMap that are no street: not built yet, inside a house, or beside a street, of
which they would take half the crimes. A street for people on foot (`pedestrian`) is one."""

DEGREES, METRES = 1e-7, 1e-3
"""Vertices nearer than this are at one place: a centimetre, as fine as OpenStreetMap is; a
millimetre."""

MARGIN_M = 1_000.0
"""How far around an area lines are read, so that streets that leave it are split as elsewhere."""


_WORDS = ("source_id", "name", "kind")


class StreetError(DataError):
    """Streets cannot be used. The message names the source, what was found, and what to do."""


@dataclass(frozen=True)
class Lines:
    """n lines, and the k places at which their m vertices lie.

    ``source_id``, ``name`` and ``kind`` (n,) are words, empty where there are none. ``line`` (m,),
    ascending, is the line of each vertex and ``node`` (m,) its place; ``xy`` (k, 2) are the places,
    in the unit of their reference system.
    """

    source_id: NDArray[np.str_]
    name: NDArray[np.str_]
    kind: NDArray[np.str_]
    line: NDArray[np.int64]
    node: NDArray[np.int64]
    xy: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        vertices: Sequence[ArrayLike],
        source_id: ArrayLike | None = None,
        name: ArrayLike | None = None,
        kind: ArrayLike | None = None,
        step: float = METRES,
    ) -> Lines:
        """Lines of these vertices, each (points, 2); those within ``step`` are at one place.

        Without ids, a line is known by its position, 1 the first.
        """
        count = len(vertices)
        arrays = [np.asarray(v, dtype=float).reshape(-1, 2) for v in vertices]
        line = np.repeat(np.arange(count), [len(a) for a in arrays])
        nothing = np.full(count, "")
        return cls._at_places(
            np.arange(1, count + 1).astype(str) if source_id is None else np.asarray(source_id),
            nothing if name is None else np.asarray(name),
            nothing if kind is None else np.asarray(kind),
            line,
            np.concatenate([*arrays, np.empty((0, 2))]),
            step,
        )

    @classmethod
    def _at_places(
        cls,
        source_id: NDArray[np.str_],
        name: NDArray[np.str_],
        kind: NDArray[np.str_],
        line: NDArray[np.int64],
        xy: NDArray[np.float64],
        step: float,
    ) -> Lines:
        """The lines whose vertices (m, 2) are rounded to whole steps."""
        whole = np.rint(xy / step)
        # a complex number sorts by its real part, then by its imaginary one, and many times faster
        # than a row of two
        places, node = np.unique(whole[:, 0] + 1j * whole[:, 1], return_inverse=True)
        at = np.stack([places.real, places.imag], axis=1) * step
        return cls(source_id, name, kind, line, node.astype(np.int64), at)


@dataclass(frozen=True)
class Segments:
    """s segments, in the order of their ids, and the v vertices of their lines.

    ``segment_id``, ``name`` and ``kind`` (s,) are words, empty where there are none; ``length``
    (s,) is in the unit of ``xy`` (v, 2), the vertices of one segment after those of the other;
    ``start`` (s + 1,) is where those of each begin.
    """

    segment_id: NDArray[np.str_]
    name: NDArray[np.str_]
    kind: NDArray[np.str_]
    length: NDArray[np.float64]
    xy: NDArray[np.float64]
    start: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.segment_id)

    def line_of(self, segment: int) -> NDArray[np.float64]:
        """The vertices (points, 2) of one segment."""
        return self.xy[self.start[segment] : self.start[segment + 1]]


# --- Reading --------------------------------------------------------------------------------


def load_segments(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    table: str = "segments",
    *,
    crs: str = BNG,
    around: tuple[float, float, float, float] | None = None,
) -> int:
    """Make the temporary table ``table`` of the segments of a file's streets; return how many.

    Its columns are ``segment_id``, ``name`` and ``kind`` (null where there is none), ``length_m``
    and ``geometry``, in ``crs``, which must be in metres; ``around`` (west, south, east, north in
    ``crs``) leaves out the lines that do not come near. ``connection`` has the ``spatial``
    extension. A segment's id is that of its first line with the number of the piece among those of
    the line; its kind is that line's.

    Raises :class:`StreetError` as :func:`read_lines` does.
    """
    segments = split_at_junctions(read_lines(connection, source, crs=crs, around=around))
    make_table(connection, segments, table)
    return len(segments)


def make_table(connection: duckdb.DuckDBPyConnection, segments: Segments, table: str) -> None:
    """Make the temporary table ``table`` of segments, as :func:`load_segments` does."""
    rows: dict[str, Any] = {
        "segment_id": segments.segment_id,
        "name": segments.name,
        "kind": segments.kind,
        "length_m": segments.length,
        "line": np.array([*_wkb(segments), None], dtype=object)[:-1],  # bytes, not one array
    }
    connection.register("split_lines", rows)
    connection.execute(
        f"create or replace temp table {table} as select segment_id, nullif(name, '') as name, "
        "nullif(kind, '') as kind, length_m, st_geomfromwkb(line) as geometry from split_lines"
    )
    connection.unregister("split_lines")


def read_lines(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    *,
    crs: str = BNG,
    around: tuple[float, float, float, float] | None = None,
) -> Lines:
    """The streets of a GeoPackage, GeoParquet or GeoJSON file (a path or a URL), in ``crs``.

    Every layer is read; what is no line is left out, as are kinds that are no street
    (``NOT_STREETS``). A line in parts is as many lines, and heights are dropped. Columns are found
    by their names, in any case: ``ID_COLUMNS``, ``NAME_COLUMNS``, ``KIND_COLUMNS``; none of them
    need be there. Where OSMnx has merged ways, so that a cell holds a list, the least id, all names
    and the first kind are taken. Lines come in the order of their ids: that of the file's rows does
    not matter. Vertices are rounded before they are transformed, so that those at one place stay
    so: to ``DEGREES`` or to ``METRES``.

    Raises :class:`StreetError` where there is no such file, it cannot be read, holds no street
    (``around`` there), or states no coordinate reference system.
    """
    stated: set[str] = set()
    connection.execute(
        "create or replace temp table street_rows "
        "(row bigint, id varchar, name varchar, kind varchar, geometry geometry)"
    )
    try:
        with tempfile.TemporaryDirectory(prefix="streets-") as folder:
            for path in local_files(source, Path(folder), "|".join(ID_COLUMNS)):
                for reader, parameters in layers_of(source, path):
                    stated.add(_insert(connection, source, reader, parameters, crs, around))
    except (BoundaryError, duckdb.Error) as error:
        raise StreetError(
            f"CRIME_STREETS: {str(error).splitlines()[0]}"
            + ("" if isinstance(error, BoundaryError) else f"; {source} cannot be read")
        ) from error
    if len(stated) > 1:
        raise StreetError(
            f"CRIME_STREETS: layers of {source} are in {' and '.join(sorted(stated))}"
        )
    create(connection, "streets/street_lines", not_streets=list(NOT_STREETS))
    found = connection.execute("select * from street_lines order by position").fetchnumpy()
    connection.execute("drop table street_rows")
    connection.execute("drop table street_lines")
    wkb = found["line"]
    if not len(wkb):
        raise StreetError(
            f"CRIME_STREETS: {source} holds no street"
            + (f" around {', '.join(f'{c:.0f}' for c in around)} ({crs})" if around else "")
            + "; give lines that cover the area"
        )
    # one byte for the order of bytes, four for the type, four for the count of vertices
    xy = np.frombuffer(b"".join(bytes(w)[9:] for w in wkb), dtype="<f8").reshape(-1, 2)
    line = np.repeat(np.arange(len(wkb)), [(len(w) - 9) // 16 for w in wkb])
    degrees = bool((np.abs(xy) <= (180, 90)).all())
    source_id, name, kind = (np.asarray(found[c]).astype(str) for c in _WORDS)
    step = DEGREES if degrees else METRES
    lines = Lines._at_places(source_id, name, kind, line, xy, step)
    return replace(lines, xy=_transformed(connection, source, lines.xy, stated.pop(), crs))


def _insert(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    reader: str,
    parameters: dict[str, str],
    crs: str,
    around: tuple[float, float, float, float] | None,
) -> str:
    """Add a layer's lines to ``street_rows``; returns their coordinate reference system."""
    described = connection.execute(f"describe select * from {reader}", parameters).fetchall()
    types = {row[0]: row[1] for row in described}
    geometry, geometry_type = geometry_column(source, types)
    own = crs_of(geometry_type)
    if own is None:
        raise BoundaryError(
            f"{source}: its geometries have no coordinate reference system; write it with one, "
            f"such as {BNG}"
        )
    lowered = {column.lower(): column for column in types}

    def column_of(candidates: Iterable[str]) -> str:
        found = next((lowered[c] for c in candidates if c in lowered), None)
        return "null" if found is None else f"{quoted(found)}::varchar"

    shape = quoted(geometry)
    near = "true"
    if around:
        (west, south), (east, north) = _extent(connection, source, around, crs, own)
        near = (
            f"st_xmax({shape}) >= {west!r} and st_xmin({shape}) <= {east!r} "
            f"and st_ymax({shape}) >= {south!r} and st_ymin({shape}) <= {north!r}"
        )
    connection.execute(
        f"insert into street_rows select row_number() over (), {column_of(ID_COLUMNS)}, "
        f"{column_of(NAME_COLUMNS)}, {column_of(KIND_COLUMNS)}, {shape}::geometry "
        f"from {reader} where {near}",
        parameters,
    )
    return own


def _extent(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    around: tuple[float, float, float, float],
    crs: str,
    own: str,
) -> list[list[float]]:
    """The least and the greatest coordinates, in ``own``, of a box in ``crs``."""
    west, south, east, north = around
    sides = np.meshgrid(np.linspace(west, east, 21), np.linspace(south, north, 21))
    box = _transformed(connection, source, np.stack([s.ravel() for s in sides], axis=1), crs, own)
    return [box.min(axis=0).tolist(), box.max(axis=0).tolist()]


def _transformed(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    xy: NDArray[np.float64],
    own: str,
    crs: str,
) -> NDArray[np.float64]:
    """Points (k, 2) of one coordinate reference system in another, in their order."""
    if own == crs:
        return xy
    connection.register("points", {"x": xy[:, 0].copy(), "y": xy[:, 1].copy()})
    found = connection.execute(
        "select st_x(place) as x, st_y(place) as y from (select st_transform(st_point(x, y), "
        "$own, $crs, always_xy := true) as place from points)",
        {"own": own, "crs": crs},
    ).fetchnumpy()
    connection.unregister("points")
    there = np.stack([np.asarray(found["x"]), np.asarray(found["y"])], axis=1)
    if not np.isfinite(there).all():
        raise StreetError(
            f"CRIME_STREETS: {source} has places that {crs} cannot show; does it state the right "
            "coordinate reference system?"
        )
    return there


def _wkb(segments: Segments) -> list[bytes]:
    """Each segment's line as well-known binary."""
    drawn = segments.xy.astype("<f8").tobytes()
    bounds = segments.start.tolist()
    return [
        struct.pack("<BII", 1, 2, end - start) + drawn[16 * start : 16 * end]
        for start, end in pairwise(bounds)
    ]


# --- Splitting ------------------------------------------------------------------------------


def split_at_junctions(lines: Lines) -> Segments:
    """The segments of a network of lines: its chains of edges between junctions and ends.

    An edge that stands twice (a way that is drawn in both directions) counts once: the first. A
    ring without a junction begins and ends where its first edge begins. A segment runs as its first
    edge does, whose line gives it its id, name and kind. Raises :class:`StreetError` where no line
    has a length.
    """
    tail, head, line = _edges(lines)
    edges = len(tail)
    if not edges:
        raise StreetError("CRIME_STREETS: no line has a length; give lines of streets")
    _, street = np.unique(lines.name, return_inverse=True)
    through = _passed_through(tail, head, street[line], len(lines.xy))
    chain, first, is_ring = _chains(tail, head, through)
    through[tail[first[is_ring]]] = False
    last, steps = _to_the_end(tail, head, through)
    along = last[:edges] == last[first][chain]
    half = np.where(along, np.arange(edges), np.arange(edges) + edges)
    order = np.lexsort((-steps[half], chain))

    begins, ends = np.where(along, tail, head)[order], np.where(along, head, tail)[order]
    start = np.flatnonzero(np.diff(chain[order], prepend=-1))
    hop = lines.xy[ends] - lines.xy[begins]
    of_line = line[first]
    segments = Segments(
        _numbered(lines.source_id[of_line]),
        lines.name[of_line],
        lines.kind[of_line],
        np.add.reduceat(np.hypot(hop[:, 0], hop[:, 1]), start),
        lines.xy[np.insert(ends, start, begins[start])],
        np.append(start, edges) + np.arange(len(start) + 1),
    )
    return _in_order(segments)


def _edges(
    lines: Lines,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Where each edge begins and ends, and its line; those of no length left out, doubles too."""
    same = lines.line[1:] == lines.line[:-1]
    tail, head, line = lines.node[:-1][same], lines.node[1:][same], lines.line[1:][same]
    real = tail != head
    tail, head, line = tail[real], head[real], line[real]
    pair = np.minimum(tail, head) * len(lines.xy) + np.maximum(tail, head)
    once = np.sort(np.unique(pair, return_index=True)[1])
    return tail[once], head[once], line[once]


def _passed_through(
    tail: NDArray[np.int64], head: NDArray[np.int64], street: NDArray[np.int64], nodes: int
) -> NDArray[np.bool_]:
    """The nodes where exactly two edges of one street meet."""
    at = np.concatenate([tail, head])
    least = np.full(nodes, np.iinfo(np.int64).max)
    most = np.full(nodes, -1)
    np.minimum.at(least, at, np.tile(street, 2))
    np.maximum.at(most, at, np.tile(street, 2))
    return (np.bincount(at, minlength=nodes) == 2) & (least == most)


def _arriving(
    tail: NDArray[np.int64], head: NDArray[np.int64], through: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The two half-edges that arrive at each node that is passed through.

    Half-edge ``e`` runs along edge ``e``, half-edge ``e + edges`` against it.
    """
    at = np.concatenate([head, tail])
    order = np.argsort(at, kind="stable")
    arriving = order[through[at[order]]]
    return arriving[::2], arriving[1::2]


def _chains(
    tail: NDArray[np.int64], head: NDArray[np.int64], through: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """The chain of each edge, the first edge of each chain, ascending, and which are rings."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = len(head)
    one, other = (half % edges for half in _arriving(tail, head, through))
    joined = coo_array((np.ones(len(one), dtype=np.int8), (one, other)), shape=(edges, edges))
    count, label = connected_components(joined.tocsr(), directed=False)
    first = np.unique(label, return_index=True)[1]
    rank = np.argsort(np.argsort(first))
    chain = rank[label]
    size, links = (np.bincount(chain[e], minlength=count) for e in (np.arange(edges), one))
    return chain, np.sort(first), size == links


def _to_the_end(
    tail: NDArray[np.int64], head: NDArray[np.int64], through: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The half-edge at which each half-edge's chain ends, and how many steps there are to it.

    By doubling: after k rounds each knows what lies 2^k steps ahead. Rings must be cut before.
    """
    edges = len(head)
    ahead = np.arange(2 * edges)
    one, other = _arriving(tail, head, through)
    ahead[one], ahead[other] = (other + edges) % (2 * edges), (one + edges) % (2 * edges)
    steps = (ahead != np.arange(2 * edges)).astype(np.int64)
    while (further := steps[ahead]).any():
        steps += further
        ahead = ahead[ahead]
    return ahead, steps


def _numbered(source_id: NDArray[np.str_]) -> NDArray[np.str_]:
    """Each id with its number among those that are equal, in their order."""
    _, code, count = np.unique(source_id, return_inverse=True, return_counts=True)
    order = np.argsort(code, kind="stable")
    number = np.empty(len(code), dtype=np.int64)
    number[order] = np.arange(len(code)) - np.repeat(np.cumsum(count) - count, count) + 1
    return np.char.add(np.char.add(source_id.astype(str), "-"), number.astype(str))


def _in_order(segments: Segments) -> Segments:
    """The same segments in the order of their ids."""
    order = np.argsort(segments.segment_id)
    counts = np.diff(segments.start)[order]
    start = np.concatenate([[0], np.cumsum(counts)])
    taken = np.repeat(segments.start[:-1][order] - start[:-1], counts) + np.arange(start[-1])
    return Segments(
        segments.segment_id[order],
        segments.name[order],
        segments.kind[order],
        segments.length[order],
        segments.xy[taken],
        start,
    )
