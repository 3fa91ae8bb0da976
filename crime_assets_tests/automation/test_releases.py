"""The sensors and schedules that follow police.uk, against its double and against a folder."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from crime_assets.automation import releases
from crime_assets.definitions import build_definitions
from crime_assets.lake import DuckDB, Lake, create
from crime_assets.settings import Settings
from crime_assets.sources.double import PoliceUkDouble
from crime_assets.sources.police_uk import PoliceUkArchive
from crime_assets.sources.releases import as_json
from crime_assets_tests.sources.archives import (
    ingest,
    member_name,
    settings_of,
    street_csv,
    write_zip,
)

FORCES = ("essex", "kent", "lancashire")
"""Of which Kent and Lancashire are neighbours in the register."""

DAGSTER_RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


def members(*months: str, **lines: int) -> dict[str, bytes]:
    """Small files of the ``FORCES``; ``lines`` says how many crimes of a force, if not 20."""
    return {
        member_name(month, force): street_csv(month, lines.get(force, 20))
        for month in months
        for force in FORCES
    }


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A folder of two releases."""
    write_zip(tmp_path / "archive" / "2025-01.zip", members("2025-01"))
    write_zip(tmp_path / "archive" / "2025-02.zip", members("2025-01", "2025-02"))
    return tmp_path / "archive"


@pytest.fixture
def double(archive: Path) -> Iterator[PoliceUkDouble]:
    """police.uk before its second release."""
    with PoliceUkDouble(archive, releases=["2025-01"]) as double:
        yield double


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def deployment(data: Path, archive_url: str, **more: str) -> Settings:
    return settings_of(archive_url, data, CRIME_FORCES=",".join(FORCES), **more)


def at(double: PoliceUkDouble, data: Path) -> Settings:
    return deployment(data, double.archive_url, CRIME_API_URL=double.api_url)


def tick(
    sensor: str,
    settings: Settings,
    instance: dg.DagsterInstance,
    cursor: str | None = None,
) -> tuple[list[dg.RunRequest], str | None, str]:
    """What a sensor asks for, its cursor, and why it skips."""
    definitions = build_definitions(settings)
    definition = definitions.resolve_sensor_def(sensor)
    with dg.build_sensor_context(
        instance=instance,
        cursor=cursor,
        definitions=definitions,
        resources={
            "settings": settings,
            "archive": PoliceUkArchive(url=settings.archive_url),
            "lake": Lake(settings.data_dir / "lake"),
            "engine": DuckDB(threads=2),
        },
    ) as context:
        found = definition.evaluate_tick(context)
    return list(found.run_requests or ()), found.cursor, found.skip_message or ""


def asked(double: PoliceUkDouble) -> list[str]:
    """What the double was asked since the last time."""
    said = [f"{request.method} {request.path}" for request in double.requests]
    double.requests.clear()
    return said


# --- police_uk_releases ----------------------------------------------------------------------


def test_a_new_release_is_indexed_once(
    double: PoliceUkDouble, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    settings = at(double, tmp_path / "data")
    requests, cursor, _ = tick("police_uk_releases", settings, instance)
    (request,) = requests
    assert request.partition_key == "2025-01"
    assert request.tags["crime_assets/why"] == "is out"
    requests, again, why = tick("police_uk_releases", settings, instance, cursor)
    assert (requests, again) == ([], cursor)
    assert why == "2025-01 is still the newest release"
    double.publish("2025-02")
    requests, cursor, _ = tick("police_uk_releases", settings, instance, cursor)
    assert [request.partition_key for request in requests] == ["2025-02"]
    assert requests[0].run_key != request.run_key


def test_a_release_that_is_issued_anew_is_indexed_again(
    double: PoliceUkDouble, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    settings = at(double, tmp_path / "data")
    (first,), cursor, _ = tick("police_uk_releases", settings, instance)
    double.publish("2025-01", write_zip(tmp_path / "anew.zip", members("2025-01", kent=19)))
    (second,), after, _ = tick("police_uk_releases", settings, instance, cursor)
    assert second.partition_key == first.partition_key == "2025-01"
    assert second.tags["crime_assets/why"] == "was issued anew"
    assert second.run_key != first.run_key
    assert after != cursor


def test_a_tick_costs_police_uk_three_small_answers_and_no_download(
    double: PoliceUkDouble, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    settings = at(double, tmp_path / "data")
    _, cursor, _ = tick("police_uk_releases", settings, instance)
    zips = ["HEAD /data/archive/latest.zip", "HEAD /data/archive/2025-01.zip"]
    assert asked(double) == zips
    tick("police_uk_releases", settings, instance, cursor)
    assert asked(double) == [*zips, "GET /api/crime-last-updated"]


def test_the_cursor_is_small_and_a_person_can_read_it(
    double: PoliceUkDouble, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    _, cursor, _ = tick("police_uk_releases", at(double, tmp_path / "data"), instance)
    assert cursor is not None
    assert set(json.loads(cursor)) == {"release", "etag", "asked"}
    assert json.loads(cursor)["release"] == "2025-01"
    assert len(cursor) < 200


def test_a_release_that_could_not_be_indexed_is_asked_for_again_on_another_day(
    double: PoliceUkDouble, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    settings = at(double, tmp_path / "data")
    (first,), cursor, _ = tick("police_uk_releases", settings, instance)
    assert cursor is not None
    yesterday = json.dumps(json.loads(cursor) | {"asked": "2025-03-31"})
    (again,), _, _ = tick("police_uk_releases", settings, instance, yesterday)
    assert again.partition_key == first.partition_key
    assert again.run_key != first.run_key
    index(settings, instance, "2025-01")
    assert tick("police_uk_releases", settings, instance, yesterday)[0] == []


def test_where_the_api_is_ahead_of_the_archive_the_sensor_says_so_and_waits(
    double: PoliceUkDouble, archive: Path, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    with PoliceUkDouble(archive) as ahead:
        settings = deployment(tmp_path / "data", double.archive_url, CRIME_API_URL=ahead.api_url)
        _, cursor, _ = tick("police_uk_releases", settings, instance)
        requests, again, why = tick("police_uk_releases", settings, instance, cursor)
    assert (requests, again) == ([], cursor)
    assert why == "2025-01 is still the newest release; the API has 2025-02 already"


def test_an_api_that_does_not_answer_hides_no_release(
    double: PoliceUkDouble, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    settings = at(double, tmp_path / "data")
    double.order("html", times=50, path="/api/")
    (request,), cursor, _ = tick("police_uk_releases", settings, instance)
    assert request.partition_key == "2025-01"
    requests, again, why = tick("police_uk_releases", settings, instance, cursor)
    assert (requests, again) == ([], cursor)
    assert "the API does not say what it has" in why


def test_where_police_uk_is_away_the_sensor_says_why_and_asks_again(
    double: PoliceUkDouble, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    settings = at(double, tmp_path / "data")
    _, cursor, _ = tick("police_uk_releases", settings, instance)
    double.publish("2025-02")
    double.order("unavailable", times=50)
    requests, again, why = tick("police_uk_releases", settings, instance, cursor)
    assert (requests, again) == ([], cursor)
    assert "does not answer now" in why
    assert "503" in why


def test_where_nobody_listens_the_sensor_says_why_and_asks_again(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    settings = deployment(tmp_path, f"{url}/data/archive", CRIME_API_URL=f"{url}/api")
    requests, cursor, why = tick("police_uk_releases", settings, instance, "{}")
    assert (requests, cursor) == ([], "{}")
    assert "does not answer now" in why


@pytest.mark.slow
def test_a_website_that_is_silent_is_given_up_before_dagster_gives_up_the_sensor(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:  # nobody accepts
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        settings = deployment(tmp_path, f"{url}/data/archive", CRIME_API_URL=f"{url}/api")
        requests, cursor, why = tick("police_uk_releases", settings, instance, "{}")
    assert (requests, cursor) == ([], "{}")
    assert "does not answer now" in why


def test_a_folder_is_watched_like_the_website_and_no_api_is_asked(
    double: PoliceUkDouble, archive: Path, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    settings = deployment(tmp_path / "data", str(archive), CRIME_API_URL=double.api_url)
    (archive / "2025-02.zip").rename(tmp_path / "2025-02.zip")
    (first,), cursor, _ = tick("police_uk_releases", settings, instance)
    assert first.partition_key == "2025-01"
    assert tick("police_uk_releases", settings, instance, cursor)[0] == []
    (tmp_path / "2025-02.zip").rename(archive / "2025-02.zip")
    (second,), cursor, _ = tick("police_uk_releases", settings, instance, cursor)
    assert second.partition_key == "2025-02"
    write_zip(archive / "2025-02.zip", members("2025-02", kent=19))
    (third,), _, _ = tick("police_uk_releases", settings, instance, cursor)
    assert third.run_key != second.run_key
    assert asked(double) == []


# --- changed_files -----------------------------------------------------------------------------


def index(settings: Settings, instance: dg.DagsterInstance, release: str) -> None:
    """Publish the index of a release, and tell Dagster, as the asset does."""
    found = PoliceUkArchive(url=settings.archive_url).index(release)
    lake = Lake(settings.data_dir / "lake")
    with DuckDB(threads=2).get_connection() as connection:
        create(connection, "sources/archive_index", members=as_json(found.members))
        place = {"month": release}
        lake.publish(connection, "archive_index", "archive_index", place, {"etag": found.etag})
    instance.report_runless_asset_event(dg.AssetMaterialization("archive_index", partition=release))


def ranges(requests: list[dg.RunRequest]) -> list[tuple[str, str]]:
    return [(r.tags[DAGSTER_RANGE[0]], r.tags[DAGSTER_RANGE[1]]) for r in requests]


def test_what_a_release_changes_is_read_and_nothing_else(
    archive: Path, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    settings = deployment(tmp_path / "data", str(archive))
    requests, cursor, why = tick("changed_files", settings, instance)
    assert (requests, cursor) == ([], None)
    assert why == "no archive was indexed since"

    # nothing is read yet: the latest month first, and forces between which others lie apart
    index(settings, instance, "2025-02")
    requests, cursor, _ = tick("changed_files", settings, instance)
    assert ranges(requests) == [
        ("essex|2025-02", "essex|2025-02"),
        ("kent|2025-02", "lancashire|2025-02"),
        ("essex|2025-01", "essex|2025-01"),
        ("kent|2025-01", "lancashire|2025-01"),
    ]
    assert requests[1].job_name == "ingest"
    assert requests[1].tags["crime_assets/release"] == "2025-02"
    assert requests[1].tags["crime_assets/why"] == "2025-02: 2 not read yet"
    assert len({request.run_key for request in requests}) == 4
    assert cursor is not None
    assert set(json.loads(cursor)) == {"event", "compared", "begins"}
    assert tick("changed_files", settings, instance, cursor)[0] == []

    # what could not be read is asked for again on another day, under another key; not while files
    # are on their way, and also where the latest months alone were read
    assert json.loads(cursor)["begins"] == ""
    yesterday = json.dumps(json.loads(cursor) | {"compared": "2025-03-31"})
    run = instance.create_run_for_job(
        build_definitions(settings).resolve_job_def("ingest"), status=dg.DagsterRunStatus.STARTED
    )
    assert tick("changed_files", settings, instance, yesterday)[0] == []
    instance.report_run_canceled(run)
    assert ingest(settings, "essex|2025-02", "lancashire|2025-02").success
    assert ranges(tick("changed_files", settings, instance, yesterday)[0]) == [
        ("essex|2025-01", "essex|2025-01"),
        ("kent|2025-01", "lancashire|2025-01"),
    ]
    shutil.rmtree(settings.data_dir / "lake" / "street_crimes")
    once_more, today, _ = tick("changed_files", settings, instance, yesterday)
    assert ranges(once_more) == ranges(requests)
    assert not {r.run_key for r in once_more} & {r.run_key for r in requests}
    assert today == cursor

    # all of it is read: the same edition asks for nothing more
    assert ingest(settings, "essex|2025-01", "lancashire|2025-02").success
    index(settings, instance, "2025-02")
    again, cursor, why = tick("changed_files", settings, instance, cursor)
    assert again == []
    assert why == "the lake holds what the archive does"

    # issued anew with one file that differs
    write_zip(archive / "2025-02.zip", members("2025-02") | members("2025-01", kent=19))
    index(settings, instance, "2025-02")
    (revised,), _, _ = tick("changed_files", settings, instance, cursor)
    assert ranges([revised]) == [("kent|2025-01", "kent|2025-01")]
    assert revised.tags["crime_assets/why"] == "2025-01: 1 differs"
    of_before = next(r for r in requests if ranges([r]) == [("kent|2025-01", "lancashire|2025-01")])
    editions = [str(r.run_key).split()[1] for r in (of_before, revised)]
    assert editions[0] != editions[1]


def test_an_index_that_was_made_twice_between_two_ticks_is_compared_once(
    archive: Path, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    settings = deployment(tmp_path / "data", str(archive))
    index(settings, instance, "2025-01")
    first, cursor, _ = tick("changed_files", settings, instance)
    index(settings, instance, "2025-02")
    index(settings, instance, "2025-02")
    requests, _, _ = tick("changed_files", settings, instance, cursor)
    assert len(first) == 2
    assert len(requests) == 4


# --- schedules and defaults --------------------------------------------------------------------


def look(name: str, settings: Settings, instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    """What a schedule asks for on 12 March 2025."""
    definitions = build_definitions(settings)
    with dg.build_schedule_context(
        instance=instance,
        scheduled_execution_time=datetime(2025, 3, 12, 6, tzinfo=UTC),
        repository_def=definitions.get_repository_def(),
        resources={
            "settings": settings,
            "archive": PoliceUkArchive(url=settings.archive_url),
            "lake": Lake(settings.data_dir / "lake"),
            "engine": DuckDB(threads=2),
        },
    ) as context:
        return list(definitions.resolve_schedule_def(name).evaluate_tick(context).run_requests)


def test_the_monthly_schedule_asks_for_the_index_that_the_sensor_asks_for(
    double: PoliceUkDouble, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    settings = at(double, tmp_path / "data")
    (by_sensor,), _, _ = tick("police_uk_releases", settings, instance)
    double.requests.clear()
    (by_schedule,) = look("monthly_release", settings, instance)
    assert by_schedule.run_key == by_sensor.run_key
    assert by_schedule.partition_key == "2025-01"
    assert all(line.startswith("HEAD ") for line in asked(double))
    index(settings, instance, "2025-01")
    assert look("monthly_release", settings, instance) == []


def test_the_yearly_rereading_asks_once_for_what_the_lake_has_of_the_newest_archive(
    archive: Path, tmp_path: Path
) -> None:
    settings = deployment(tmp_path / "data", str(archive))
    (tmp_path / "home").mkdir()
    instance = dg.DagsterInstance.local_temp(str(tmp_path / "home"))  # a schedule opens its own
    assert look("yearly_rereading", settings, instance) == []
    assert ingest(settings, "essex|2025-01", "lancashire|2025-02").success
    shutil.rmtree(settings.data_dir / "lake" / "street_crimes" / "month=2025-01" / "force=kent")
    requests = look("yearly_rereading", settings, instance)
    assert ranges(requests) == [
        ("essex|2025-02", "essex|2025-02"),
        ("kent|2025-02", "lancashire|2025-02"),
        ("essex|2025-01", "essex|2025-01"),
        ("lancashire|2025-01", "lancashire|2025-01"),
    ]
    assert len({request.run_key for request in requests}) == len(requests)
    assert all("2025-02 yearly 2025 " in str(request.run_key) for request in requests)
    instance.create_run_for_job(
        build_definitions(settings).resolve_job_def("ingest"), tags=requests[0].tags
    )
    assert look("yearly_rereading", settings, instance) == []


RUNNING: Mapping[str, set[str]] = {
    "off": set(),
    "sensors": {
        "police_uk_releases",
        "changed_files",
        "followers",
        "yearly_rereading",
        "nightly_inventory",
        "weekly_clean_up",
    },
    "schedules": {
        "monthly_release",
        "changed_files",
        "followers",
        "yearly_rereading",
        "nightly_inventory",
        "weekly_clean_up",
    },
}


@pytest.mark.parametrize("automation", RUNNING)
def test_what_runs_by_itself_is_said_by_one_setting(automation: str) -> None:
    definitions = build_definitions(Settings.from_environment({"CRIME_AUTOMATION": automation}))
    found = [*(definitions.sensors or ()), *(definitions.schedules or ())]
    assert {s.name for s in found if s.default_status.value == "RUNNING"} == RUNNING[automation]
    assert {s.name for s in found} == RUNNING["sensors"] | RUNNING["schedules"]
    assert {s.name for s in definitions.sensors or ()} == {
        "police_uk_releases", "changed_files", "followers",
    }  # fmt: skip


def test_nothing_runs_by_itself_unless_it_is_asked_for() -> None:
    assert Settings.from_environment({}).automation == "off"


def test_sensors_look_as_often_as_the_setting_says() -> None:
    often = Settings.from_environment({"CRIME_RELEASE_INTERVAL_S": "5"})
    assert {s.minimum_interval_seconds for s in releases.sensors(often)} == {5}
    seldom = Settings.from_environment({"CRIME_RELEASE_INTERVAL_S": "7200"})
    assert [s.minimum_interval_seconds for s in releases.sensors(seldom)] == [7200, 30, 30]
