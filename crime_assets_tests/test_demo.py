"""The README's first command, on a machine without a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest


@pytest.mark.slow
def test_the_demo_ends_with_a_table_a_map_and_where_they_are(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("CRIME_", "DAGSTER"))}
    finished = subprocess.run(
        [sys.executable, "-m", "crime_assets.demo", str(tmp_path / "sample")],
        capture_output=True,
        text=True,
        timeout=400,
        env=environment | {"COLUMNS": "120"},
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert "synthetic" in finished.stdout
    assert "persistent" in finished.stdout
    assert "emerging" in finished.stdout
    assert str(tmp_path / "sample" / "lake") in finished.stdout
    assert (tmp_path / "sample" / "hotspots.png").read_bytes()[:4] == b"\x89PNG"
    with duckdb.connect(str(tmp_path / "sample" / "crime.duckdb"), read_only=True) as connection:
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
