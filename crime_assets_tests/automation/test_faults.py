"""A website that fails, several runs at once, archives that mean harm: the lake ends the same.

Over real HTTP to a double of data.police.uk, through the assets; what a single answer or a single
member may be is in the tests of :mod:`crime_assets.sources`.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from crime_assets.partitions import months_back
from crime_assets.sources import client
from crime_assets.sources.client import Patience
from crime_assets.sources.double import FAULTS, PoliceUkDouble, Request
from crime_assets_tests.automation.conftest import Filled, remove_months, trees
from crime_assets_tests.conftest import CITY
from crime_assets_tests.deployment import finished, module
from crime_assets_tests.sources.archives import (
    checksums,
    failures,
    ingest,
    member_name,
    published,
    settings_of,
    street_csv,
    write_zip,
)
from crime_assets_tests.sources.test_bad_input import overwrite_entry, peak_memory

pytestmark = pytest.mark.slow

NEWEST = "2025-12"
MONTHS = months_back(NEWEST, 27)  # those of the City of London that the real archive holds
SEEDS = {1: 1, 40826: 7}
"""By seed, how many different faults the requests of a backfill meet at least.

A usual draw, and the worst of 60,000.
"""
FASTER = Patience(first_s=0.01, longest_s=0.05)


@pytest.fixture(scope="module")
def double(shared_data: Path) -> Iterator[PoliceUkDouble]:
    """The real archive of 2025-12 on a website that keeps to its limit."""
    archive = shared_data / "police_uk" / "archive"
    with PoliceUkDouble(archive, releases=[NEWEST], limited=True) as double:
        yield double


def read(double: PoliceUkDouble, data: Path, months: list[str]) -> dict[str, str]:
    """Backfill the City of London into ``data``; the checksums of all files there."""
    settings = settings_of(double.archive_url, data)
    result = ingest(settings, f"{CITY}|{months[0]}", f"{CITY}|{months[-1]}")
    assert result.success, failures(result)
    assert len(published(result, "street_crimes")) == len(months)
    return trees(data)


@pytest.fixture(scope="module")
def undisturbed(double: PoliceUkDouble, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The checksums of all files of an undisturbed backfill of 27 months."""
    found = read(double, tmp_path_factory.mktemp("undisturbed"), MONTHS)
    # not even the limit was met: the client keeps below it
    assert {(r.fault, r.status // 100) for r in double.requests} <= {(None, 2), (None, 3)}
    return found


@pytest.fixture
def requests(double: PoliceUkDouble) -> Iterator[list[Request]]:
    """The requests of one test."""
    double.requests.clear()
    yield double.requests
    double.disturb(0)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_strikes_again_and_again_leaves_no_trace(
    fault: str,
    double: PoliceUkDouble,
    undisturbed: dict[str, str],
    requests: list[Request],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(client, "PATIENCE", FASTER)
    double.order(fault, times=1, path="/latest.zip")
    double.order(fault, times=1, path=f"/{NEWEST}.zip")  # where that leads
    double.order(fault, times=2, path=f"/{NEWEST}.zip", after=2)  # the archive's directory
    double.order(fault, times=2, path=f"/{NEWEST}.zip", after=8)  # members
    assert read(double, tmp_path, MONTHS) == undisturbed
    struck = [request for request in requests if request.fault]
    assert len(struck) >= 6
    assert {r.path for r in struck} == {
        "/data/archive/latest.zip",
        f"/data/archive/{NEWEST}.zip",
    }
    assert {r.fault for r in struck} <= {fault, "server_error"}  # where it could not apply
    assert any(r.fault == fault for r in struck)


@pytest.mark.parametrize("seed", SEEDS)
def test_faults_at_one_request_in_twenty_leave_no_trace_of_a_backfill_of_27_months(
    seed: int,
    double: PoliceUkDouble,
    undisturbed: dict[str, str],
    requests: list[Request],
    tmp_path: Path,
) -> None:
    """With the waits of a real run."""
    double.disturb(0.05, seed)
    assert read(double, tmp_path, MONTHS) == undisturbed
    met = Counter(request.fault for request in requests if request.fault)
    print(f"{len(requests)} requests, of which met: {dict(met)}")
    assert len(met) >= SEEDS[seed]


# --- Several at once -----------------------------------------------------------------------------


def test_two_backfills_and_a_sensors_run_of_the_same_months_at_once_make_the_same_bytes(
    filled: Filled, tmp_path: Path
) -> None:
    """Of one lake, on one instance, as processes of their own."""
    website, last = filled.website, filled.website.releases[0]
    first = months_back(last, 2)[0]
    data, home = filled.copy(tmp_path)
    remove_months(data, {first, last})
    assert trees(data) != trees(filled.data)
    with PoliceUkDouble(website.archive, releases=[last]) as double:
        settings = website.settings(double, data)
        backfill = ("crime_assets.automation.backfill", first, last)
        of_a_sensor = json.dumps(
            {
                "dagster/asset_partition_range_start": f"sample-dogger|{first}",
                "dagster/asset_partition_range_end": f"sample-wellbank|{last}",
            }
        )
        ingest_run = ("dagster", "job", "execute", "-m", "crime_assets.definitions")
        ingest_run += ("-j", "ingest", "--tags", of_a_sensor)
        processes = [
            module(*arguments, home=home, settings=settings)
            for arguments in (backfill, backfill, ingest_run)
        ]
        for process in processes:
            finished(process)
    assert trees(data) == trees(filled.data)


# --- Archives that mean harm ---------------------------------------------------------------------

OUTSIDE = {
    "cleveland": "../../etc/{name}",
    "cumbria": "/etc/{name}",
    "derbyshire": r"..\..\etc\{backslashed}",
    "devon-and-cornwall": "C:/{name}",
    "dorset": r"C:\{backslashed}",
    "durham": "2025-12/../../../{name}",
    "dyfed-powys": "//elsewhere/share/{name}",
}


def test_a_member_that_would_leave_the_lakes_folder_is_named_and_nothing_is_written(
    tmp_path: Path,
) -> None:
    names = {}
    for force, pattern in OUTSIDE.items():
        name = member_name(NEWEST, force)
        names[force] = pattern.format(name=name, backslashed=name.replace("/", "\\"))
    members = {name: street_csv(NEWEST) for name in names.values()}
    members[member_name(NEWEST, "essex")] = street_csv(NEWEST)
    write_zip(tmp_path / "archive" / f"{NEWEST}.zip", members)
    data = tmp_path / "a" / "b" / "data"
    with PoliceUkDouble(tmp_path / "archive") as double:
        settings = settings_of(double.archive_url, data)
        result = ingest(settings, f"cleveland|{NEWEST}", f"essex|{NEWEST}")
    told = failures(result)["street_crimes_csv"]
    for force, name in names.items():
        (line,) = [line for line in told.splitlines() if line.startswith(f"{force}|{NEWEST}: ")]
        assert line.endswith(f"the archive holds {name!r} in its place")
    written = {path for path in checksums(tmp_path) if not path.startswith("archive/")}
    assert {path.split("/month=")[0] for path in written} == {
        "a/b/data/raw/street_crimes_csv",
        "a/b/data/lake/street_crimes",
        "a/b/data/lake/rejected_crimes",
        "a/b/data/lake/street_crime_issues",
    }
    assert not [path for path in written if any(f"/force={force}/" in path for force in OUTSIDE)]
    assert not Path("/etc", member_name(NEWEST, "cumbria")).exists()


BOMB_BYTES = 800 * 2**20


@pytest.fixture(scope="module")
def bomb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of one member: 800 MiB of commas in less than 1 MB."""
    path = tmp_path_factory.mktemp("bomb") / f"{NEWEST}.zip"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(member_name(NEWEST, "essex"), "w") as member,
    ):
        for _ in range(BOMB_BYTES // 2**24):
            member.write(b"," * 2**24)
    assert path.stat().st_size < 2**23
    return path


@pytest.mark.parametrize("claims", [BOMB_BYTES, 1000, 2**24])
def test_a_bomb_is_refused_without_unpacking_it_whole_whatever_it_claims(
    claims: int, bomb: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "archive" / bomb.name
    archive.parent.mkdir()
    shutil.copyfile(bomb, archive)
    overwrite_entry(archive, member_name(NEWEST, "essex"), 24, claims)
    with PoliceUkDouble(archive.parent) as double:
        settings = settings_of(double.archive_url, tmp_path / "data")
        with peak_memory() as growth:
            result = ingest(settings, f"essex|{NEWEST}")
        asked = [request.range for request in double.requests]
    (line,) = failures(result)["street_crimes_csv"].splitlines()[1:]
    assert f"member {member_name(NEWEST, 'essex')}: " in line
    if claims == BOMB_BYTES:
        assert f"it says that it unpacks to {BOMB_BYTES:,} bytes" in line
        assert not any(part and part.startswith("bytes=0-") for part in asked)  # not even fetched
    elif claims == 1000:
        assert "packed bytes of 1,000" in line
        assert not any(part and part.startswith("bytes=0-") for part in asked)
    else:
        assert "its end is not where the directory says" in line
    assert checksums(tmp_path / "data") == {}
    assert growth[0] < BOMB_BYTES / 4
