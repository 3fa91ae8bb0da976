"""Streets that can be driven on, fetched from OpenStreetMap with OSMnx (the extra ``osm``).

Source: https://www.openstreetmap.org/copyright (Open Database License 1.0), by way of Overpass;
Boeing 2025, Modeling and analyzing urban networks and amenities with OSMnx, Geographical Analysis.
"""

from __future__ import annotations

from pathlib import Path

from crime_assets.streets.network import StreetError

OPENSTREETMAP = "openstreetmap"
"""The value of CRIME_STREETS that has streets fetched."""


def fetch_streets(area: bytes, path: Path) -> Path:
    """Write the streets in an area as a GeoPackage of lines to ``path``; returns it.

    ``area`` is a polygon in degrees (WGS84) as well-known binary. Ways are fetched whole, each with
    its id, name and ``highway``; :mod:`crime_assets.streets.network` splits them. Raises
    :class:`StreetError` where OSMnx is not installed, or OpenStreetMap's server (Overpass) gives no
    answer or no street.
    """
    try:
        import osmnx
        from shapely import from_wkb  # type: ignore[import-untyped]
    except ImportError as error:
        raise StreetError(
            "CRIME_STREETS is openstreetmap, and OSMnx is not installed: install it with "
            "`pip install 'crime-assets[osm]'`, or let CRIME_STREETS name a file of streets"
        ) from error
    osmnx.settings.cache_folder = path.parent / "overpass"
    try:
        network = osmnx.graph_from_polygon(
            from_wkb(area),
            network_type="drive",
            simplify=False,
            retain_all=True,
            truncate_by_edge=True,
        )
    except Exception as error:  # of requests, of OSMnx, and of whatever they are made of
        reason = str(error).splitlines()[0] if str(error) else "no reason given"
        raise StreetError(
            "CRIME_STREETS is openstreetmap, and its streets cannot be fetched "
            f"({type(error).__name__}: {reason}); try later, or let CRIME_STREETS name a file of "
            "streets"
        ) from error
    streets = osmnx.graph_to_gdfs(network, nodes=False).reset_index(drop=True)
    words = [column for column in ("osmid", "name", "highway") if column in streets]
    for column in words:
        streets[column] = streets[column].map(str, na_action="ignore")
    streets[[*words, "geometry"]].to_file(path, driver="GPKG", layer="streets")
    return path
