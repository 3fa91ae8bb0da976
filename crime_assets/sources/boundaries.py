"""Boundaries: LSOAs, police force areas and named polygons, from files or from the ONS service.

Read GeoParquet, GeoPackage and GeoJSON, and the GeoJSON pages of an ArcGIS feature service, into a
DuckDB table in British National Grid; refuse what would put a cell into the wrong area. What is
done with the areas is not known here.

Source: https://geoportal.statistics.gov.uk (Open Government Licence v3.0, contains OS data)
"""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import duckdb
import fsspec

from crime_assets import DataError
from crime_assets.register import FORCES
from crime_assets.sources.client import (
    PASSING_STATUS,
    Client,
    Passing,
    SourceError,
    SourceUnreachable,
)

LSOA_CODE = r"lsoa21cd"
LSOA_NAME = r"lsoa21nm"
FORCE_CODE = r"pfa\d\dcd"
FORCE_NAME = r"pfa\d\dnm"
POLYGON_NAME = r"name"

PAGE_FEATURES = 2000
"""What the ONS layers give in one answer; a service that gives fewer is asked more often."""

READ_TIMEOUT_S = 120.0
"""A service may think for long before it sends a page of large polygons."""

_FEATURE_LAYER = re.compile(r".*/(?:(?:Feature|Map)Server/\d+(?:/query)?|query)/?", re.IGNORECASE)
_NAMED = 5
"""How many codes an error lists."""

# England and Wales lie within eastings 82,000 .. 656,000 and northings 5,000 .. 658,000, all of
# Great Britain below 1,220,000. Nearer to the origin than 1 km lie only degrees taken for metres.
_BNG_WINDOW = (1_000.0, 1_000.0, 700_000.0, 1_300_000.0)


class BoundaryError(DataError):
    """Boundaries cannot be used. The message names the source, what was found, and what to do."""


def load_boundaries(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    table: str,
    code: str,
    name: str | None = None,
) -> int:
    """Make the temporary table ``table`` of the areas in ``source``; return how many there are.

    Its columns are ``code`` and ``name`` (text; the name is null without a pattern for it) and
    ``geometry``: valid polygons in EPSG:27700, metres. It is ordered by code. ``source`` is the
    path or URL of a GeoParquet, GeoPackage or GeoJSON file, told apart by content, or the address
    of a feature service's layer (``.../FeatureServer/0/query``). ``code`` and ``name`` are regular
    expressions for the whole of a column's name, in any case. ``connection`` has the ``spatial``
    extension.

    Raises :class:`BoundaryError` where there is no such file or service, it has no such column,
    it is empty, has no coordinate reference system, a row has no code or no polygon, two rows
    have the same code (a file that holds an area in pieces must be dissolved by its owner: a
    repeated code is as often a page read twice), or the places are not in Great Britain.
    """
    loaded = f"{table}_as_read"
    connection.execute(
        f"create or replace temp table {loaded} (code varchar, name varchar, geometry geometry)"
    )
    try:
        with tempfile.TemporaryDirectory(prefix="boundaries-") as folder:
            for path in local_files(source, Path(folder), code):
                _read(connection, _Layer.find(connection, source, path, code, name), loaded)
        _check_rows(connection, source, loaded)
        connection.execute(
            f"""
            create or replace temp table {table} as
            select
                code,
                name,
                st_collectionextract(
                    case when st_isvalid(geometry) then geometry else st_makevalid(geometry) end,
                    3
                ) as geometry
            from {loaded}
            order by code
            """
        )
        _refuse(
            source,
            connection.execute(
                f"select code from {table} where st_isempty(geometry) order by code"
            ),
            "that have a geometry that holds no polygon",
            "an area needs one: give boundaries, not centroids",
        )
        found = connection.execute(f"select count(*) from {table}").fetchone()
    finally:
        connection.execute(f"drop table {loaded}")
    assert found is not None
    return int(found[0])


def load_lsoas(
    connection: duckdb.DuckDBPyConnection, source: str, table: str = "lsoa_areas"
) -> int:
    """The LSOAs of 2021: :func:`load_boundaries` by ``LSOA21CD``; returns how many there are."""
    return load_boundaries(connection, source, table, LSOA_CODE, LSOA_NAME)


def load_force_areas(
    connection: duckdb.DuckDBPyConnection, source: str, table: str = "force_areas"
) -> int:
    """The police force areas, with a column ``force``: police.uk's slug; returns how many.

    :func:`load_boundaries` by ``PFA23CD`` (or that of another year), then :func:`name_forces`.
    """
    areas = load_boundaries(connection, source, table, FORCE_CODE, FORCE_NAME)
    name_forces(connection, source, table)
    return areas


def load_scope_polygons(
    connection: duckdb.DuckDBPyConnection, source: str, table: str = "scope_polygons"
) -> int:
    """Named polygons, whose ``code`` is their ``name``; returns how many there are."""
    return load_boundaries(connection, source, table, POLYGON_NAME, POLYGON_NAME)


def name_forces(connection: duckdb.DuckDBPyConnection, source: str, table: str) -> None:
    """Add to ``table`` the column ``force``, police.uk's slug of the force of each area.

    An area is known by its code, or else by its name, as they stand in ``forces.csv``. Raises
    :class:`BoundaryError` that lists the areas that are not known, or that are one force's twice.
    """
    by_code = {f.area_code: slug for slug, f in FORCES.items() if f.area_code}
    by_name = {f.area_name.casefold(): slug for slug, f in FORCES.items() if f.area_name}
    areas = connection.execute(f"select code, name from {table} order by code").fetchall()
    force_of = {c: by_code.get(c) or by_name.get((n or "").strip().casefold()) for c, n in areas}
    unknown = [f"{c} ({n})" for c, n in areas if force_of[c] is None]
    if unknown:
        raise BoundaryError(
            f"{source}: no police force is known for {', '.join(unknown)}; add the code or the "
            "name of the area to crime_assets/forces.csv"
        )
    slugs = [slug for slug in force_of.values() if slug is not None]
    repeated = sorted({slug for slug in slugs if slugs.count(slug) > 1})
    if repeated:
        pairs = ", ".join(f"{c} is {slug}" for c, slug in force_of.items() if slug in repeated)
        raise BoundaryError(f"{source}: {pairs}; a force has one area: dissolve them into one row")
    connection.execute(
        f"""
        create or replace temp table {table} as
        select
            area.*,
            known.force
        from {table} as area
        inner join (select unnest($codes) as code, unnest($slugs) as force) as known
            on area.code = known.code
        order by area.code
        """,
        {"codes": list(force_of), "slugs": slugs},
    )


# --- Files ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Layer:
    """One file's layer of areas: how DuckDB reads it, and which columns hold what."""

    source: str
    reader: str
    parameters: Mapping[str, str]
    code: str
    name: str | None
    geometry: str
    crs_known: bool

    @classmethod
    def find(
        cls,
        connection: duckdb.DuckDBPyConnection,
        source: str,
        path: Path,
        code: str,
        name: str | None,
    ) -> _Layer:
        """The layer of ``path`` that has a code column; raises :class:`BoundaryError`."""
        try:
            tables = list(layers_of(source, path))
            columns = [
                connection.execute(f"describe select * from {reader}", parameters).fetchall()
                for reader, parameters in tables
            ]
        except duckdb.Error as error:
            raise BoundaryError(
                f"{source}: cannot be read ({str(error).splitlines()[0]}); is the file whole?"
            ) from error
        found = [
            (table, types)
            for table, types in zip(tables, columns, strict=True)
            if _column((row[0] for row in types), code, source) is not None
        ]
        if len(found) != 1:
            held = "; ".join(", ".join(row[0] for row in types) for types in columns)
            raise BoundaryError(
                f"{source}: {'no' if not found else 'more than one'} layer has a column "
                f"{_spelled(code)}; its columns are {held or 'none'}. Rename the column, or give "
                "a file that has one such layer"
            )
        (reader, parameters), types = found[0]
        names = [row[0] for row in types]
        geometry, geometry_type = geometry_column(source, {row[0]: row[1] for row in types})
        named = None if name is None else _column(names, name, source)
        code_column = _column(names, code, source)
        assert code_column is not None
        known = crs_of(geometry_type) is not None
        return cls(source, reader, parameters, code_column, named, geometry, known)


def layers_of(source: str, path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The table functions, with their parameters, that read the layers of a file."""
    with path.open("rb") as file:
        start = file.read(64)
    given = {"path": str(path)}
    if start.startswith(b"PAR1"):
        yield "read_parquet($path)", given
    elif start.startswith(b"SQLite format 3\0"):
        for layer in _geopackage_layers(source, path):
            yield "st_read($path, layer := $layer)", {**given, "layer": layer}
    elif start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
        yield "st_read($path, allowed_drivers := ['GeoJSON'])", given
    else:
        raise BoundaryError(
            f"{source}: neither GeoParquet, GeoPackage nor GeoJSON; it starts with {start[:40]!r}"
        )


def _geopackage_layers(source: str, path: Path) -> list[str]:
    """The names of a GeoPackage's layers; raises :class:`BoundaryError` where it is damaged.

    Asked of SQLite, which says what is wrong: DuckDB's GDAL takes the process down with it when a
    GeoPackage is cut short.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            (state,) = database.execute("pragma quick_check(1)").fetchone()
            if state != "ok":
                raise sqlite3.DatabaseError(state)
            return [
                layer
                for (layer,) in database.execute(
                    "select table_name from gpkg_contents where data_type = 'features' order by 1"
                )
            ]
    except sqlite3.Error as error:
        raise BoundaryError(f"{source}: cannot be read ({error}); is the file whole?") from error


def _column(columns: Iterable[str], pattern: str, source: str) -> str | None:
    """The column whose whole name matches; ``None`` where there is none."""
    found = [c for c in columns if re.fullmatch(pattern, c, re.IGNORECASE)]
    if len(found) > 1:
        raise BoundaryError(
            f"{source}: the columns {', '.join(found)} all match {_spelled(pattern)}; keep one"
        )
    return found[0] if found else None


def _spelled(pattern: str) -> str:
    """A pattern as a person would write the column: ``PFA..CD``."""
    return pattern.replace(r"\d", ".").upper()


def geometry_column(source: str, types: Mapping[str, str]) -> tuple[str, str]:
    """The geometry column and its DuckDB type, which tells the coordinate reference system."""
    found = {c: t for c, t in types.items() if t.startswith("GEOMETRY")}
    if len(found) > 1:
        found = {c: t for c, t in found.items() if c.lower() in ("geometry", "geom")} or found
    if len(found) != 1:
        columns = ", ".join(f"{c} {t.split('(')[0]}" for c, t in types.items())
        raise BoundaryError(
            f"{source}: {'no' if not found else 'more than one'} geometry column among {columns}; "
            "a Parquet file must be GeoParquet"
        )
    return next(iter(found.items()))


def crs_of(geometry_type: str) -> str | None:
    """The coordinate reference system in a DuckDB type; ``None`` where the file states none.

    A GeoPackage without one is read as one that PROJ calls undefined.
    """
    stated = re.fullmatch(r"GEOMETRY\('(.*)'\)", geometry_type, re.DOTALL)
    return stated[1].replace("''", "'") if stated and "Undefined" not in stated[1] else None


def _read(connection: duckdb.DuckDBPyConnection, layer: _Layer, table: str) -> None:
    """Add the layer's areas, in British National Grid, to ``table``."""
    if not layer.crs_known:
        raise BoundaryError(
            f"{layer.source}: its geometries have no coordinate reference system; write it with "
            "one, such as EPSG:27700"
        )
    name = "null" if layer.name is None else quoted(layer.name)
    try:
        connection.execute(
            f"""
            insert into {table}
            select
                {quoted(layer.code)}::varchar,
                {name}::varchar,
                st_force2d(
                    st_transform({quoted(layer.geometry)}, 'EPSG:27700', always_xy := true)
                )
            from {layer.reader}
            """,
            layer.parameters,
        )
    except duckdb.Error as error:
        raise BoundaryError(
            f"{layer.source}: its geometries cannot be read or brought to British National Grid "
            f"({str(error).splitlines()[0]})"
        ) from error


def quoted(identifier: str) -> str:
    """A column's name as SQL spells it."""
    return '"' + identifier.replace('"', '""') + '"'


def _check_rows(connection: duckdb.DuckDBPyConnection, source: str, table: str) -> None:
    """Raise :class:`BoundaryError` for what would put cells into the wrong area or none."""
    counted = connection.execute(
        f"select count(*), count(*) - count(nullif(trim(code), '')) from {table}"
    ).fetchone()
    assert counted is not None
    rows, without_code = counted
    if not rows:
        raise BoundaryError(f"{source}: holds no area; give boundaries that cover the forces")
    if without_code:
        raise BoundaryError(
            f"{source}: {without_code} of {rows} rows have no code; fill or drop it"
        )
    _refuse(
        source,
        connection.execute(
            f"select code from {table} group by code having count(*) > 1 order by code"
        ),
        "that stand in more than one row",
        "an area is one row: dissolve its parts, or drop what is repeated",
    )
    _refuse(
        source,
        connection.execute(
            f"select code from {table} where geometry is null or st_isempty(geometry) order by code"
        ),
        "that have no geometry",
        "complete them, or drop them from the file",
    )
    west, south, east, north = _BNG_WINDOW
    _refuse(
        source,
        connection.execute(
            f"""
            select
                format(
                    '{{}} (eastings {{:.0f}} .. {{:.0f}}, northings {{:.0f}} .. {{:.0f}})',
                    code,
                    st_xmin(geometry),
                    st_xmax(geometry),
                    st_ymin(geometry),
                    st_ymax(geometry)
                )
            from {table}
            where
                not (
                    st_xmin(geometry) >= $west
                    and st_ymin(geometry) >= $south
                    and st_xmax(geometry) <= $east
                    and st_ymax(geometry) <= $north
                )
            order by code
            """,
            {"west": west, "south": south, "east": east, "north": north},
        ),
        "that do not lie in Great Britain",
        "does the file state the right coordinate reference system, and longitude before latitude?",
    )


def _refuse(source: str, refused: duckdb.DuckDBPyConnection, what: str, remedy: str) -> None:
    """Raise :class:`BoundaryError` where the query gave codes of areas."""
    codes = [row[0] for row in refused.fetchall()]
    if codes:
        named = ", ".join(codes[:_NAMED]) + (", ..." if len(codes) > _NAMED else "")
        raise BoundaryError(f"{source}: areas {what} ({len(codes)} of them): {named}; {remedy}")


# --- Where they come from -------------------------------------------------------------------


def local_files(source: str, folder: Path, code: str) -> Iterator[Path]:
    """The local files that hold ``source``, fetched into ``folder`` where it is a URL."""
    address = urlsplit(source)
    if address.scheme in ("http", "https"):
        with Client(read_timeout_s=READ_TIMEOUT_S) as client:
            if _FEATURE_LAYER.fullmatch(address.path):
                yield from _pages(client, source, folder, code)
            else:
                path = folder / "download"
                _fetched(source, lambda: client.fetch(source, path))
                yield path
    elif "://" in source:
        path = folder / "download"
        try:
            with fsspec.open(source, "rb") as remote, path.open("wb") as file:
                shutil.copyfileobj(remote, file)
        except (OSError, ImportError, ValueError) as error:
            raise BoundaryError(f"{source}: cannot be fetched ({error})") from error
        yield path
    else:
        path = Path(source).expanduser()
        if not path.is_file():
            raise BoundaryError(
                f"{source}: there is no such file (looked for {path.absolute()}); give the path or "
                "URL of a GeoParquet, GeoPackage or GeoJSON file, or of an ONS feature service"
            )
        yield path


def _fetched(source: str, fetch: Callable[[], Any]) -> Any:
    """What ``fetch`` returns; raises :class:`BoundaryError` for what the client gave up."""
    try:
        return fetch()
    except SourceUnreachable as error:
        raise BoundaryError(
            f"{source}: {error}; try later, or give a file that you downloaded"
        ) from error
    except (SourceError, FileNotFoundError) as error:
        raise BoundaryError(
            f"{source}: cannot be fetched ({error}); is the address right?"
        ) from error


def _pages(client: Client, source: str, folder: Path, code: str) -> Iterator[Path]:
    """The pages of a feature service's layer as GeoJSON files, one at a time.

    Ordered by code, since a service without an order may give a row on two pages and another on
    none; the name of that column is asked for first, with a page of one feature. A page that is
    not the last says ``exceededTransferLimit``.
    """
    address = urlsplit(source)
    layer = address.path.rstrip("/").removesuffix("/query")
    url = urlunsplit(address._replace(path=f"{layer}/query", query=""))
    query = {
        "where": "1=1",
        **dict(parse_qsl(address.query)),
        "outFields": "*",
        "outSR": "4326",
        "f": "geojson",
    }

    def page(offset: int, count: int, order: Mapping[str, str], path: Path) -> dict[str, Any]:
        paging = {"resultOffset": str(offset), "resultRecordCount": str(count), **order}

        def fetch() -> dict[str, Any]:
            return client.fetch(
                url, path, {**query, **paging}, lambda fetched: _feature_collection(source, fetched)
            )

        return _fetched(source, fetch)

    first = page(0, 1, {}, folder / "first.geojson")["features"]
    properties = list(first[0]["properties"] or ()) if first else []
    column = _column(properties, code, source)
    if first and column is None:
        raise BoundaryError(
            f"{source}: the layer has no field {_spelled(code)}; its fields are "
            f"{', '.join(properties)}"
        )
    if not first:
        raise BoundaryError(f"{source}: the layer holds no area; is it the right layer?")
    seen: set[Any] = set()
    more = True
    while more:
        path = folder / f"{len(seen)}.geojson"
        answer = page(len(seen), PAGE_FEATURES, {"orderByFields": str(column)}, path)
        codes = [feature["properties"][column] for feature in answer["features"]]
        limited = answer.get("exceededTransferLimit")
        if limited is None:
            limited = (answer.get("properties") or {}).get("exceededTransferLimit")
        # Without the flag, a full page may or may not be the last one.
        more = bool(limited) or (limited is None and len(codes) == PAGE_FEATURES)
        repeated = sorted(str(c) for c in seen.intersection(codes))
        if repeated or len(set(codes)) < len(codes) or (limited and not codes):
            raise BoundaryError(
                f"{source}: the page at offset {len(seen)} repeats areas or is empty before the "
                f"end ({len(codes)} areas, {len(repeated)} seen before); the service does not "
                "page, or the layer changed meanwhile: try again, or give a file"
            )
        seen.update(codes)
        if codes:
            yield path
            path.unlink()


def _feature_collection(source: str, path: Path) -> dict[str, Any]:
    """The GeoJSON in ``path``; raises for an error object, which comes with the status 200."""
    text = path.read_bytes()
    try:
        answer = json.loads(text)
    except ValueError as error:
        raise Passing(f"no JSON, it starts with {text[:60]!r}") from error
    if isinstance(answer, dict) and "error" in answer:
        fault = answer["error"] if isinstance(answer["error"], dict) else {}
        said = f"{fault.get('code')} {fault.get('message')} {fault.get('details') or ''}".strip()
        if fault.get("code") in PASSING_STATUS:
            raise Passing(f"error {said}")
        raise BoundaryError(f"{source}: the service answered with the error {said}")
    if not isinstance(answer, dict) or not isinstance(answer.get("features"), list):
        raise BoundaryError(
            f"{source}: answered with JSON that is no GeoJSON feature collection "
            f"({text[:60]!r}); is it the address of a layer's query?"
        )
    return answer
