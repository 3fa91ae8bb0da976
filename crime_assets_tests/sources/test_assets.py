"""The assets of the source side: what they publish, record and refuse, partition by partition."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from crime_assets.lake import Lake
from crime_assets_tests.conftest import NO_COMPUTE_LOGS
from crime_assets_tests.sources.archives import (
    checksums,
    crime,
    failures,
    ingest,
    member_name,
    published,
    run_assets,
    settings_of,
    street_csv,
    write_folder,
    write_zip,
)

MONTH = "2025-01"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(overrides={"compute_logs": NO_COMPUTE_LOGS}) as instance:
        yield instance


# --- What is recorded ---------------------------------------------------------------------------


def versions(instance: dg.DagsterInstance, asset: str) -> dict[str, list[str]]:
    """The data versions of an asset's materialisations by partition, the earliest first."""
    found: dict[str, list[str]] = {}
    records = instance.fetch_materializations(dg.AssetKey(asset), limit=100, ascending=True).records
    for record in records:
        event = record.asset_materialization
        assert event is not None
        version = (event.tags or {})["dagster/data_version"]
        found.setdefault(str(event.partition), []).append(version)
    return found


def verdicts(instance: dg.DagsterInstance, asset: str, check: str) -> dict[str, list[bool]]:
    """The verdicts of a check by partition, the earliest first; those only planned left out."""
    history = instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(dg.AssetKey(asset), check), limit=100
    )
    found: dict[str, list[bool]] = {}
    for record in reversed(history):
        evaluation = record.event and record.event.dagster_event.event_specific_data
        if isinstance(evaluation, dg.AssetCheckEvaluation):
            found.setdefault(str(evaluation.partition), []).append(evaluation.passed)
    return found


@pytest.mark.slow
def test_a_run_over_a_range_records_each_partition_by_itself(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    """Two months of two forces, then again: one is not published, one breaks, one is revised."""
    content = {"essex": street_csv(MONTH, 3), "kent": street_csv(MONTH, 4)}
    december = street_csv("2024-12", 5)
    archive = write_zip(
        tmp_path / "archive" / "2025-01.zip",
        {
            member_name("2024-12", "essex"): december,
            member_name(MONTH, "essex"): content["essex"],
            member_name(MONTH, "kent"): content["kent"],
        },
    )
    deployment = settings_of(archive.parent, tmp_path / "data", CRIME_FORCES="essex,kent")
    assert ingest(deployment, "essex|2024-12", f"essex|{MONTH}", instance).success
    assert ingest(deployment, "kent|2024-12", f"kent|{MONTH}", instance).success

    digest = {
        "essex|2024-12": hashlib.sha256(december).hexdigest(),
        "essex|2025-01": hashlib.sha256(content["essex"]).hexdigest(),
        "kent|2024-12": hashlib.sha256(b"").hexdigest(),  # not published
        "kent|2025-01": hashlib.sha256(content["kent"]).hexdigest(),
    }
    assert versions(instance, "street_crimes_csv") == {key: [d] for key, d in digest.items()}
    of_crimes = versions(instance, "street_crimes")
    assert of_crimes.keys() == digest.keys()
    assert all(version.startswith(digest[key][:16]) for key, (version,) in of_crimes.items())
    once = {key: [True] for key in digest}
    assert verdicts(instance, "street_crimes_csv", "file_is_whole") == once
    assert verdicts(instance, "street_crimes", "rows_add_up") == once
    assert verdicts(instance, "street_crimes", "file_is_readable") == once

    # The same bytes again, but for one file that is revised and one that is broken.
    revised = street_csv(MONTH, 9)
    write_zip(
        archive,
        {
            member_name("2024-12", "essex"): december,
            member_name(MONTH, "essex"): revised,
            member_name(MONTH, "kent"): content["kent"][:-300] + b"\xff" * 300,
        },
    )
    assert ingest(deployment, "essex|2024-12", f"essex|{MONTH}", instance).success
    assert not ingest(deployment, "kent|2024-12", f"kent|{MONTH}", instance).success
    now = versions(instance, "street_crimes_csv")
    assert now["essex|2024-12"] == [digest["essex|2024-12"]] * 2
    assert now["essex|2025-01"] == [digest["essex|2025-01"], hashlib.sha256(revised).hexdigest()]
    assert now["kent|2025-01"] == [digest["kent|2025-01"]]
    assert verdicts(instance, "street_crimes_csv", "file_is_whole") == {
        "essex|2024-12": [True, True],
        "essex|2025-01": [True, True],
        "kent|2024-12": [True, True],
        "kent|2025-01": [True, False],
    }
    crimes = versions(instance, "street_crimes")
    assert crimes["essex|2024-12"][0] == crimes["essex|2024-12"][1]
    assert crimes["essex|2025-01"][0] != crimes["essex|2025-01"][1]
    assert crimes["kent|2025-01"][0] == crimes["kent|2025-01"][1]  # of the file that was kept
    assert set(now) == set(digest)  # and nothing was recorded for no partition


def test_the_metadata_of_a_file_say_what_it_is_and_where_it_came_from(tmp_path: Path) -> None:
    content = street_csv(MONTH, 40)
    archive = write_zip(tmp_path / "archive" / "2025-02.zip", {member_name(MONTH, "kent"): content})
    result = ingest(settings_of(archive.parent, tmp_path / "data"), f"kent|{MONTH}")
    (event,) = published(result, "street_crimes_csv").values()
    told = {name: value.value for name, value in event.metadata.items()}
    kept = tmp_path / "data" / "raw" / "street_crimes_csv" / f"month={MONTH}" / "force=kent"
    assert told["status"] == "published"
    assert told["release"] == told["newest_release"] == "2025-02"
    assert told["url"] == f"{archive}/{member_name(MONTH, 'kent')}"
    assert told["sha256"] == hashlib.sha256(content).hexdigest()
    assert told["bytes"] == len(content)
    assert told["bytes_compressed"] == (kept / "data.csv.gz").stat().st_size
    assert told["file"] == str(kept / "data.csv.gz")
    assert told["downloaded"] > 1_700_000_000
    assert "Crime ID,Month" in told["preview"]
    (event,) = published(result, "street_crimes").values()
    told = {name: value.value for name, value in event.metadata.items()}
    assert told["dagster/partition_row_count"] == told["located"] == 40
    assert told["rejected"] == told["outside_grid"] == told["types_outside_their_months"] == 0
    assert told["release"] == "2025-02"


def test_a_file_has_the_same_version_from_a_zip_and_from_a_folder(tmp_path: Path) -> None:
    members = {member_name(MONTH, "kent"): street_csv(MONTH, 40, line_end="\r\n")}
    write_zip(tmp_path / "zips" / "2025-01.zip", members)
    write_folder(tmp_path / "csv", members)
    found = set()
    for kind in ("zips", "csv"):
        result = ingest(settings_of(tmp_path / kind, tmp_path / f"data-{kind}"), f"kent|{MONTH}")
        (event,) = published(result, "street_crimes_csv").values()
        found.add(event.tags["dagster/data_version"])
    assert found == {hashlib.sha256(members[member_name(MONTH, "kent")]).hexdigest()}


def test_a_file_read_again_from_a_newer_archive_has_the_version_that_it_had(
    tmp_path: Path,
) -> None:
    members = {member_name(MONTH, "kent"): street_csv(MONTH, 40)}
    write_zip(tmp_path / "archive" / "2025-01.zip", members)
    settings = settings_of(tmp_path / "archive", tmp_path / "data")
    with dg.DagsterInstance.ephemeral() as instance:
        assert ingest(settings, f"kent|{MONTH}", instance=instance).success
        members[member_name("2025-02", "kent")] = street_csv("2025-02", 30)
        write_zip(tmp_path / "archive" / "2025-02.zip", members)
        assert ingest(settings, f"kent|{MONTH}", instance=instance).success
        for asset in ("street_crimes_csv", "street_crimes"):
            first, second = versions(instance, asset)[f"kent|{MONTH}"]
            assert first == second
        members[member_name(MONTH, "kent")] = street_csv(MONTH, 41)
        write_zip(tmp_path / "archive" / "2025-02.zip", members)
        assert ingest(settings, f"kent|{MONTH}", instance=instance).success
        assert len(set(versions(instance, "street_crimes")[f"kent|{MONTH}"])) == 2


def test_a_force_that_did_not_publish_is_an_empty_partition_that_says_so(tmp_path: Path) -> None:
    archive = write_zip(
        tmp_path / "archive" / "2025-01.zip", {member_name(MONTH, "essex"): street_csv(MONTH)}
    )
    result = ingest(settings_of(archive.parent, tmp_path / "data"), f"kent|{MONTH}")
    assert result.success
    (event,) = published(result, "street_crimes_csv").values()
    assert event.metadata["status"].value == "not_published"
    assert event.metadata["url"].value == str(archive)
    (event,) = published(result, "street_crimes").values()
    assert event.metadata["dagster/partition_row_count"].value == 0


def test_a_month_that_police_uk_has_not_published_yet_is_a_failure_and_no_empty_partition(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    archive = write_zip(
        tmp_path / "archive" / "2025-01.zip", {member_name(MONTH, "kent"): street_csv(MONTH)}
    )
    deployment = settings_of(archive.parent, tmp_path / "data")
    result = ingest(deployment, "kent|2025-01", "kent|2025-03", instance)
    assert failures(result)["street_crimes_csv"].split("\n")[1:] == [
        f"kent|{month}: no archive in {archive.parent} holds {month}; the newest is 2025-01"
        for month in ("2025-02", "2025-03")
    ]
    assert list(published(result, "street_crimes_csv")) == ["kent|2025-01"]
    assert list(published(result, "street_crimes")) == ["kent|2025-01"]
    # whether a file that is not there is whole, nobody judged
    assert verdicts(instance, "street_crimes_csv", "file_is_whole") == {"kent|2025-01": [True]}


# --- Coverage -----------------------------------------------------------------------------------

COVERAGE = ["coverage"]


def coverage_of(data: Path, month: str = MONTH) -> dict[str, dict[str, object]]:
    with duckdb.connect() as connection:
        Lake(data / "lake").view(connection, "coverage", [{"month": month}])
        found = connection.execute("select * from coverage").fetch_df().astype(object)
    return {row["force"]: row for row in found.to_dict("records")}


@pytest.mark.slow
def test_coverage_says_of_every_force_what_became_of_its_month(tmp_path: Path) -> None:
    """City of London usually has 900 crimes a month: below a quarter of them it is partial."""
    enough, few = street_csv(MONTH, 225), street_csv("2024-12", 224)
    one_bad = [crime(MONTH, n) for n in range(8_000)]
    one_bad[5] = "torn"
    one_bad[6] = crime(MONTH, 6, longitude="", latitude="")
    write_zip(
        tmp_path / "archive" / "2025-01.zip",
        {
            member_name("2024-12", "city-of-london"): few,
            member_name(MONTH, "city-of-london"): enough,
            member_name(MONTH, "essex"): street_csv(MONTH, one_bad),
        },
    )
    # A newer release without essex: essex's file is then from the older one.
    write_zip(tmp_path / "archive" / "2025-02.zip", {member_name(MONTH, "city-of-london"): enough})
    deployment = settings_of(
        tmp_path / "archive",
        tmp_path / "data",
        CRIME_FORCES="city-of-london,essex,surrey",
    )
    for force in deployment.forces:
        assert ingest(deployment, f"{force}|2024-12", f"{force}|{MONTH}").success
    result = run_assets(deployment, COVERAGE, "2024-12", MONTH, job="rank_hotspots")
    assert result.success, failures(result)

    now = coverage_of(tmp_path / "data")
    statuses = {force: row["status"] for force, row in now.items()}
    assert statuses.pop("city-of-london") == "published"
    assert statuses.pop("essex") == "published"
    assert statuses.pop("surrey") == "not_published"
    assert len(statuses) == 41  # the other territorial forces and btp, none of the sample
    assert set(statuses.values()) == {"not_loaded"}
    assert "sample-dogger" not in statuses

    columns = ("release", "newest_release", "sha256", "rows", "located", "rejected")
    read = {force: [now[force][column] for column in columns] for force in deployment.forces}
    assert read["city-of-london"] == [
        "2025-02", "2025-02", hashlib.sha256(enough).hexdigest(), 225, 225, 0
    ]  # fmt: skip
    essex = hashlib.sha256(street_csv(MONTH, one_bad)).hexdigest()
    assert read["essex"] == ["2025-01", "2025-02", essex, 8_000, 7_998, 1]
    assert read["surrey"][:2] == ["2025-02", "2025-02"]
    assert all(value is None or value != value for value in read["surrey"][2:])
    assert coverage_of(tmp_path / "data", "2024-12")["city-of-london"]["status"] == "partial"

    (december, january) = published(result, "coverage").values()
    assert january.metadata["crimes"].value == 8_224
    assert january.metadata["forces_published"].value == 2
    assert january.metadata["forces_not_published"].value == 1
    assert january.metadata["forces_not_loaded"].value == 41
    assert december.metadata["forces_partial"].value == 1


@pytest.mark.slow
def test_a_month_waits_until_each_expected_force_is_there_or_explicitly_not(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    write_zip(
        tmp_path / "archive" / "2025-01.zip",
        {
            member_name(month, force): street_csv(month, 9)
            for month in ("2024-12", MONTH)
            for force in ("essex", "kent")
        },
    )
    deployment = settings_of(
        tmp_path / "archive", tmp_path / "data", CRIME_FORCES="essex,kent,surrey"
    )
    assert ingest(deployment, f"kent|{MONTH}").success

    def run() -> dg.JobExecutionResult:
        return run_assets(deployment, COVERAGE, MONTH, job="rank_hotspots", instance=instance)

    result = run()
    (line,) = failures(result)["coverage"].split("\n")[1:]
    assert line == (
        "2025-01: 2025-01 waits for 2 of 3 expected forces: essex, surrey. Materialise "
        "street_crimes_csv and street_crimes of them, or name in CRIME_FORCES only those that you "
        "want"
    )
    assert not Lake(tmp_path / "data" / "lake").has("coverage", {"month": MONTH})
    assert ingest(deployment, f"essex|{MONTH}").success
    assert "1 of 3 expected forces: surrey" in failures(run())["coverage"]
    assert ingest(deployment, f"surrey|{MONTH}").success  # surrey did not publish
    assert run().success
    told = verdicts(instance, "coverage", "every_force_accounted_for")
    assert told == {MONTH: [False, False, True]}


# --- One road or another ------------------------------------------------------------------------


def materialize(environment: dict[str, str], home: Path, *partition: str) -> None:
    """Run `dagster asset materialize` as a user does, in a process of its own."""
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "dagster", "asset", "materialize", "-m", "crime_assets.definitions",
         "--select", "street_crimes_csv,street_crimes", *partition],
        env={**os.environ, **environment, "DAGSTER_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
def test_the_command_line_for_one_and_for_a_range_and_a_job_give_the_same_bytes(
    tmp_path: Path,
) -> None:
    lines = {month: [crime(month, n) for n in range(3_000)] for month in ("2024-12", MONTH)}
    lines[MONTH][7] = "torn"
    write_zip(
        tmp_path / "archive" / "2025-01.zip",
        {member_name(month, "kent"): street_csv(month, lines[month]) for month in lines},
    )

    def environment(data: str, threads: int) -> dict[str, str]:
        return {
            "CRIME_ARCHIVE_URL": str(tmp_path / "archive"),
            "CRIME_DATA_DIR": str(tmp_path / data),
            "CRIME_THREADS": str(threads),
            "CRIME_FORCES": "kent",
            "CRIME_MEMORY_LIMIT": "1GB",
        }

    first, last = "kent|2024-12", f"kent|{MONTH}"
    materialize(environment("one", 1), tmp_path / "home-one", "--partition", last)
    materialize(
        environment("range", 2), tmp_path / "home-range", "--partition-range", f"{first}...{last}"
    )
    assert ingest(settings_of(tmp_path / "archive", tmp_path / "job"), first, last).success

    by_job = checksums(tmp_path / "job")
    assert len(by_job) == 8
    assert checksums(tmp_path / "range") == by_job
    assert checksums(tmp_path / "one") == {
        path: digest for path, digest in by_job.items() if f"month={MONTH}" in path
    }


def test_another_folder_with_the_same_archive_gives_the_same_lake(tmp_path: Path) -> None:
    content = street_csv(MONTH, 40)
    digests = []
    for folder in ("one", "another"):
        archive = tmp_path / folder / "archive" / "2025-02.zip"
        write_zip(archive, {member_name(MONTH, "kent"): content})
        data = tmp_path / folder / "data"
        ingest(settings_of(archive.parent, data), f"kent|{MONTH}")
        files = sorted(path for path in data.rglob("data.*") if path.is_file())
        assert len(files) == 4  # as published, its crimes, its rejected lines, its issue
        digests.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in files])
    assert digests[0] == digests[1]
