"""The README's first command, on a machine without a terminal."""

from __future__ import annotations

import json

import duckdb

from crime_assets_tests.conftest import Demo


def test_the_demo_ends_with_a_table_a_map_and_where_they_are(demo: Demo) -> None:
    assert "synthetic" in demo.printed
    assert "persistent" in demo.printed
    assert "emerging" in demo.printed
    assert str(demo.folder / "lake") in demo.printed
    assert str(demo.folder / "maps" / "2025-12") in demo.printed
    assert (demo.folder / "hotspots.png").read_bytes()[:4] == b"\x89PNG"
    index = json.loads((demo.folder / "maps" / "2025-12" / "map.json").read_text())
    assert len(index["rankings"]["study-area"]) == 45
    assert "Made-up" in index["note"]
    with duckdb.connect(str(demo.folder / "crime.duckdb"), read_only=True) as connection:
        scopes = connection.execute(
            "select distinct scope from hotspot_frequency where month = '2025-12' order by 1"
        ).fetchall()
        statuses = connection.execute(
            "select force, status from coverage where month = '2025-10' order by force"
        ).fetchall()
        persistence = connection.execute(
            "select count(distinct persistence) from hotspot_frequency where month = '2025-12'"
        ).fetchone()
    assert scopes == [
        ("sample-dogger",),
        ("sample-silverpit",),
        ("sample-wellbank",),
        ("study-area",),
    ]
    assert statuses == [
        ("sample-dogger", "published"),
        ("sample-silverpit", "published"),
        ("sample-wellbank", "not_published"),
    ]
    assert persistence == (4,)
