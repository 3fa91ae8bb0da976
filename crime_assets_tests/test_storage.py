"""A full disk: a clear error, nothing half written, and the same bytes once there is room."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from crime_assets import DataError
from crime_assets.definitions import build_definitions
from crime_assets.demo import sample_environment
from crime_assets.lake import Lake
from crime_assets.maps import site
from crime_assets.settings import Settings
from crime_assets.sources.sample import write_sample
from crime_assets.storage import DiskFull, atomic, explained
from crime_assets_tests.conftest import NO_COMPUTE_LOGS

MB = 2**20
FORCE, MONTH = "sample-wellbank", "2025-12"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=24m", "none", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        message = f"no small file system can be mounted here: {mounted.stderr.strip()}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def leave(folder: Path, room: int) -> None:
    """Fill the disk but for ``room`` bytes, in whole pages."""
    ballast = folder / "ballast"
    ballast.unlink(missing_ok=True)
    size = shutil.disk_usage(folder).free - room
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)


def checksums(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file below, hidden ones too, but for links that readers hold."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "ballast" and ".lake-in-use" not in path.parts
    }


def failures(settings: Settings, asset: str, partition: str) -> list[str]:
    """Materialise one asset; what its step says if it fails."""
    definition = build_definitions(settings).resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.local_temp(overrides={"compute_logs": NO_COMPUTE_LOGS}) as instance:
        result = definition.execute_in_process(
            instance=instance,
            partition_key=partition,
            asset_selection=[dg.AssetKey(asset)],
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
    return [
        f"{event.step_failure_data.user_failure_data} {event.step_failure_data.error}"
        for event in result.all_events
        if event.is_step_failure
    ]


@pytest.mark.slow
def test_on_a_full_disk_steps_say_so_and_with_room_they_go_on_to_the_same_bytes(
    small_disk: Path, tmp_path: Path
) -> None:
    sample = tmp_path / "sample"
    write_sample(sample)
    given = sample_environment(sample) | {"CRIME_FORCES": FORCE}
    undisturbed = Settings.from_environment(given | {"CRIME_DATA_DIR": str(tmp_path / "data")})
    settings = Settings.from_environment(given | {"CRIME_DATA_DIR": str(small_disk)})
    steps = {
        "street_crimes_csv": f"{FORCE}|{MONTH}",
        "street_crimes": f"{FORCE}|{MONTH}",
        "coverage": MONTH,
        "hex_counts": MONTH,
    }
    for asset, partition in steps.items():
        assert not failures(undisturbed, asset, partition)
    for asset, partition in steps.items():
        before = checksums(small_disk)
        leave(small_disk, room=0)
        (said,) = failures(settings, asset, partition)
        assert f"DiskFull: no room to write {small_disk}/" in said
        assert "Make room, then run it again" in said
        assert checksums(small_disk) == before
        leave(small_disk, room=8 * MB)
        assert not failures(settings, asset, partition)
    expected = checksums(tmp_path / "data")
    assert len(expected) > len(steps)
    assert checksums(small_disk) == expected
    leave(small_disk, room=0)
    assert failures(settings, "hex_counts", MONTH)  # the old partition stays
    assert checksums(small_disk) == expected


def test_a_file_that_finds_no_room_leaves_the_old_one_and_nothing_else(small_disk: Path) -> None:
    path = small_disk / "folder" / "data.csv.gz"
    with atomic(path) as temporary:
        temporary.write_bytes(b"old")
    leave(small_disk, room=MB)
    with pytest.raises(DiskFull) as caught, atomic(path) as temporary:
        temporary.write_bytes(bytes(2 * MB))
    assert str(caught.value).startswith(
        f"no room to write {path}: 1.0 MB are free in {path.parent}, and it needs more. What was "
        "there before stays, and nothing half written is left. Make room, then run it again ("
    )
    assert not isinstance(caught.value, DataError)  # those are not tried again
    assert checksums(small_disk) == {"folder/data.csv.gz": hashlib.sha256(b"old").hexdigest()}


def test_a_partition_that_finds_no_room_is_not_published(small_disk: Path) -> None:
    lake = Lake(small_disk / "lake")
    leave(small_disk, room=MB)
    with duckdb.connect() as connection:
        connection.execute(
            "create temp table made as select 'kent' as force, 'Drugs' as crime_type, "
            "(random() * 1e9)::integer as hex_id, (random() * 1e9)::integer as crimes "
            "from range(1000000)"
        )
        with pytest.raises(DiskFull, match=r"hex_counts/month=2025-01/data\.parquet: 1\.0 MB are"):
            lake.publish(connection, "made", "hex_counts", {"month": "2025-01"})
    assert checksums(small_disk) == {}


def test_a_map_that_finds_no_room_leaves_nothing_half_written(small_disk: Path) -> None:
    files = site.Files(small_disk / "maps" / MONTH)
    leave(small_disk, room=MB // 2)
    with pytest.raises(DiskFull, match=r"no room to write .*/rankings/nation\.json\.gz: "):
        files.add("rankings/nation", [os.urandom(512).hex() for _ in range(4096)])
    files.discard()
    assert checksums(small_disk) == {}


def test_where_there_is_no_room_to_spill_the_error_says_where_and_what_to_do(
    small_disk: Path,
) -> None:
    spill = small_disk / "tmp"
    leave(small_disk, room=2 * MB)
    config = {"memory_limit": "60MB", "threads": 1, "temp_directory": str(spill)}
    with duckdb.connect(config=config) as connection, pytest.raises(duckdb.Error) as caught:
        connection.execute(
            "create temp table sorted as select random()::varchar || range as word "
            "from range(3000000) order by word"
        )
    error = explained(caught.value, str(spill))
    assert isinstance(error, DiskFull)
    assert f"are free in {spill}" in str(error)
    assert "let CRIME_MEMORY_LIMIT be more" in str(error)
    assert "Stack Trace" not in str(error)


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    error = OSError(errno.EIO, "the disk is broken")
    with pytest.raises(OSError, match="the disk is broken") as caught, atomic(tmp_path / "file"):
        raise error
    assert caught.value is error
    assert explained(error, "") is error
    assert list(tmp_path.iterdir()) == []
