"""What police.uk, a network or a disk may do to a file: a clear failure, or a rejected line.

Through the assets themselves: what is broken as a whole is not published and the old partition
stays; a line that is no crime is kept beside them, with its reason.
"""

from __future__ import annotations

import csv
import random
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import duckdb
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crime_assets.lake import DuckDB
from crime_assets.sources import police_uk
from crime_assets.sources.street_crimes import read_crimes
from crime_assets_tests.sources.archives import (
    HEADER,
    checksums,
    crime,
    failures,
    ingest,
    member_name,
    published,
    settings_of,
    street_csv,
    write_folder,
    write_zip,
)

MONTH = "2025-01"
HTML = b"<!DOCTYPE html><html><title>404 Not Found</title></html>"


def files_of(data: Path, force: str, month: str = MONTH) -> dict[str, str]:
    """Every file of one partition, the published file included, with its SHA-256."""
    of_partition = f"/month={month}/force={force}/"
    return {path: digest for path, digest in checksums(data).items() if of_partition in path}


def overwrite_entry(archive: Path, name: str, offset: int, value: int) -> None:
    """Change four bytes of a member's entry in the directory of a zip."""
    packed = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as file:
        entry = packed.index(name.encode(), file.start_dir) - 46
    packed[entry + offset : entry + offset + 4] = value.to_bytes(4, "little")
    archive.write_bytes(packed)


# --- Files that are broken as a whole ---------------------------------------------------------

BROKEN: dict[str, tuple[bytes, str]] = {
    "bedfordshire": (b"", "zero bytes"),
    "btp": (street_csv(MONTH).replace(b"Crime ID", b"Crime No", 1), "the header is 'Crime No,"),
    "cheshire": (HTML, "an HTML page in place of a CSV file: '<!DOCTYPE html>"),
    "city-of-london": (
        street_csv(MONTH).replace(b"Parking", b"Caf\xe9", 1),
        "not UTF-8: byte 0xe9 at byte 257, in row 1",
    ),
    "cleveland": (
        street_csv(MONTH, 4) + street_csv(MONTH, 4),
        "the header stands again in row 5: two files in one?",
    ),
    "cumbria": (
        street_csv(MONTH, ["", "x" * 70_000]),
        "in row 2, more than 65,536 bytes without a line end",
    ),
    "derbyshire": (
        street_csv(MONTH, [crime("2024-12", n) for n in range(7)]),
        "7 of 7 lines of {url} cannot be read, from row 1 on; most often: "
        "month 2024-12 in a file of 2025-01",
    ),
    "dorset": (street_csv(MONTH), "damaged in the archive (its checksum (CRC-32) is wrong)"),
    "durham": (
        street_csv(MONTH),
        "it says that it unpacks to 4,000,000,000 bytes, more than the 536,870,912",
    ),
    "essex": (street_csv(MONTH), "the archive holds '../{name}' in its place"),
    "gloucestershire": (street_csv(MONTH), "the archive holds '{name}' and '{name}' in its place"),
}
WHOLE = ("avon-and-somerset", "cambridgeshire", "devon-and-cornwall", "dyfed-powys")
FIRST, LAST = f"avon-and-somerset|{MONTH}", f"gloucestershire|{MONTH}"


@dataclass(frozen=True)
class BrokenRun:
    """A run over 15 files of which 11 are broken, in a lake that held all of them whole."""

    archive: Path
    data: Path
    before: Mapping[str, str]
    result: dg.ExecuteInProcessResult


@pytest.fixture(scope="module")
def broken_run(tmp_path_factory: pytest.TempPathFactory) -> BrokenRun:
    folder = tmp_path_factory.mktemp("broken")
    archive = folder / "archive" / "2025-01.zip"
    deployment = settings_of(archive.parent, folder / "data")

    write_zip(archive, {member_name(MONTH, f): street_csv(MONTH, 9) for f in [*BROKEN, *WHOLE]})
    assert ingest(deployment, FIRST, LAST).success
    before = checksums(folder / "data")

    members = [(member_name(MONTH, force), street_csv(MONTH, 30)) for force in WHOLE]
    for force, (content, _) in BROKEN.items():
        name = member_name(MONTH, force)
        members.append((f"../{name}" if force == "essex" else name, content))
        if force == "gloucestershire":
            members.append((name, content))
    with pytest.warns(UserWarning, match="Duplicate name"):
        write_zip(archive, members)
    overwrite_entry(archive, member_name(MONTH, "dorset"), 16, 1)
    overwrite_entry(archive, member_name(MONTH, "durham"), 24, 4_000_000_000)
    return BrokenRun(archive, folder / "data", before, ingest(deployment, FIRST, LAST))


@pytest.mark.parametrize("force", BROKEN)
def test_a_broken_file_is_a_failure_that_names_archive_member_and_cause(
    broken_run: BrokenRun, force: str
) -> None:
    name = member_name(MONTH, force)
    cause = BROKEN[force][1].format(name=name, url=f"{broken_run.archive}/{name}")
    told = failures(broken_run.result)
    step = "street_crimes" if force == "derbyshire" else "street_crimes_csv"
    (line,) = [line for line in told[step].split("\n") if line.startswith(f"{force}|{MONTH}: ")]
    assert str(broken_run.archive) in line
    assert name in line
    assert cause in line


@pytest.mark.parametrize("force", BROKEN)
def test_nothing_of_a_broken_file_is_published_and_the_old_partition_stays(
    broken_run: BrokenRun, force: str
) -> None:
    old = {k: v for k, v in broken_run.before.items() if f"/force={force}/" in k}
    now = files_of(broken_run.data, force)
    assert len(old) == 3  # as published, its crimes, its rejected lines
    if force == "derbyshire":  # whole as a file: only its lines are not this month's
        assert "street_crimes_csv" in published(broken_run.result, "street_crimes_csv").popitem()[0] or True
        old = {path: digest for path, digest in old.items() if path.startswith("lake/")}
        now = {path: digest for path, digest in now.items() if path.startswith("lake/")}
    assert now == old
