"""What follows what, as Dagster's own evaluation of the real definitions says.

A lake is played: materialisations are reported without runs, with data versions that say whether
something changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache

import dagster as dg
import pytest

from crime_assets.automation.conditions import FOLLOWERS
from crime_assets.definitions import build_definitions
from crime_assets.partitions import months_after, months_back
from crime_assets.settings import Settings

FORCES = ("essex", "kent")
STUDY_AREA = ("hex_cells", "scopes", "scope_cells", "lsoa_areas")
COUNTS = ("coverage", "hex_counts", "snap_counts", "reconciliation", "lsoa_counts")
RANKINGS = ("hotspots", "hotspot_summary")
SPANS = ("hotspot_frequency", "hotspot_map")
MONTHS = ("2025-01", "2025-02", "2025-03")
NEXT = "2025-04"
EMPTY = "the hash of nothing"


@cache
def definitions() -> dg.Definitions:
    return build_definitions(Settings.from_environment({"CRIME_FORCES": ",".join(FORCES)}))


class Watched:
    """A lake as Dagster knows it, and the sensor that watches it."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self._cursor: dg.AssetDaemonCursor | None = None  # type: ignore[name-defined]

    def made(self, table: str, *months: str, version: str = "1") -> None:
        """A table, or months of it, was made."""
        for month in months or (None,):
            self._report(table, month, version)

    def read(self, force: str, *months: str, version: str = "1") -> None:
        """Months of a force were read."""
        for month in months:
            key = dg.MultiPartitionKey({"force": force, "month": month})
            self._report("street_crimes", key, version)

    def full(self, months: Sequence[str], forces: Sequence[str] = FORCES) -> None:
        """All there is of these months."""
        for table in STUDY_AREA:
            self.made(table)
        for force in forces:
            self.read(force, *months)
        for table in (*COUNTS, *RANKINGS, *SPANS):
            self.made(table, *months)

    def _report(self, table: str, partition: str | None, version: str) -> None:
        self.instance.report_runless_asset_event(
            dg.AssetMaterialization(
                table, partition=partition, tags={"dagster/data_version": version}
            )
        )

    def begun(self, job: str, first: str, last: str) -> dg.DagsterRun:
        """A run of a range is on its way."""
        return self.instance.create_run_for_job(
            definitions().resolve_job_def(job),
            status=dg.DagsterRunStatus.STARTED,
            tags={
                "dagster/asset_partition_range_start": first,
                "dagster/asset_partition_range_end": last,
            },
        )

    def ended(self, run: dg.DagsterRun) -> None:
        self.instance.report_run_canceled(run)

    def tick(self, days: int = 0) -> dict[str, list[str]]:
        """What the sensor asks for now, or some days from now: partitions by table."""
        result = dg.evaluate_automation_conditions(
            defs=definitions(),
            instance=self.instance,
            cursor=self._cursor,
            evaluation_time=datetime.now(UTC) + timedelta(days=days),
        )
        self._cursor = result.cursor
        asked = {
            evaluation.key.to_user_string(): sorted(
                result.get_requested_partitions(evaluation.key)  # type: ignore[arg-type]
            )
            for evaluation in result.results
        }
        return {table: partitions for table, partitions in asked.items() if partitions}


@pytest.fixture
def lake() -> Iterator[Watched]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Watched(instance)


@pytest.fixture
def watched(lake: Watched) -> Watched:
    """A full lake of ``MONTHS`` at which the sensor has looked."""
    lake.full(MONTHS)
    assert lake.tick() == {}
    return lake


def of(tables: Sequence[str], *months: str) -> dict[str, list[str]]:
    return {table: list(months) for table in tables}


def test_each_follower_has_a_condition_that_names_what_it_follows() -> None:
    graph = definitions().resolve_asset_graph()
    conditions = {
        key.to_user_string(): graph.get(key).automation_condition
        for key in graph.get_all_asset_keys()
        if graph.get(key).automation_condition
    }
    assert set(conditions) == set(FOLLOWERS)
    for table, condition in conditions.items():
        assert condition.get_label() == f"follows {' and '.join(FOLLOWERS[table].after)}"


# --- on deployment ---------------------------------------------------------------------------


def test_nothing_fires_where_an_empty_lake_is_deployed(lake: Watched) -> None:
    assert lake.tick() == {}
    assert lake.tick() == {}


def test_nothing_fires_where_a_full_lake_is_deployed(watched: Watched) -> None:
    assert watched.tick() == {}


def test_what_was_half_done_before_the_deployment_is_left_alone(lake: Watched) -> None:
    lake.full(MONTHS[:1])
    lake.read("essex", *MONTHS[1:])
    lake.read("kent", MONTHS[1])
    lake.made("hex_counts", MONTHS[1])
    assert lake.tick() == {}
    assert lake.tick() == {}


# --- what did not come ------------------------------------------------------------------------


def test_what_did_not_come_is_asked_for_again_once_a_day_until_it_is_there(
    watched: Watched,
) -> None:
    for force in FORCES:
        watched.read(force, NEXT)
    counts = of(COUNTS, NEXT)
    assert watched.tick() == counts  # its run fails
    assert watched.tick() == {}
    assert watched.tick(days=1) == counts  # it is cancelled
    assert watched.tick(days=1) == {}
    for table in COUNTS:
        watched.made(table, NEXT)
    rankings = watched.tick(days=1)
    assert set(rankings) == {*RANKINGS}
    watched.made("hotspots", NEXT)
    watched.made("hotspot_summary", NEXT)
    later = watched.tick(days=2)  # the spans follow, as does a ranking that was not made
    assert set(later) == {*SPANS}
    for table in SPANS:
        watched.made(table, *later[table])
    assert watched.tick(days=3) == {}
    assert watched.tick(days=4) == {}


def test_a_ranking_that_failed_is_asked_for_again(watched: Watched) -> None:
    watched.made("hex_counts", MONTHS[-1], version="2")
    asked = watched.tick()
    assert asked["hotspots"] == [MONTHS[-1]]
    run = watched.begun("rank_hotspots", MONTHS[-1], MONTHS[-1])
    assert watched.tick() == {}
    watched.instance.report_run_failed(run)
    assert watched.tick() == {}
    assert watched.tick(days=1)["hotspots"] == [MONTHS[-1]]
    watched.made("hotspots", MONTHS[-1])
    assert "hotspots" not in watched.tick(days=2)


# --- counts ----------------------------------------------------------------------------------


def test_a_months_counts_follow_once_when_the_last_expected_force_is_there(
    watched: Watched,
) -> None:
    watched.read("kent", NEXT)
    assert watched.tick() == {}
    watched.read("essex", NEXT)
    assert watched.tick() == of(COUNTS, NEXT)
    assert watched.tick() == {}


def test_a_force_that_never_publishes_blocks_nothing(lake: Watched) -> None:
    lake.full(MONTHS, forces=("kent",))
    lake.read("essex", *MONTHS, version=EMPTY)
    assert lake.tick() == {}
    lake.read("kent", NEXT)
    assert lake.tick() == {}
    lake.read("essex", NEXT, version=EMPTY)  # the archive holds the month, and no file of essex
    assert lake.tick() == of(COUNTS, NEXT)


def test_a_force_that_is_not_expected_completes_no_month(watched: Watched) -> None:
    watched.read("kent", NEXT)
    watched.read("surrey", NEXT)
    assert watched.tick() == {}


def test_nobody_waits_for_a_force_that_is_not_expected(watched: Watched) -> None:
    watched.read("surrey", *MONTHS)
    watched.tick()
    watched.read("kent", NEXT)
    watched.read("essex", NEXT)
    assert watched.tick()["coverage"] == [NEXT]


def test_a_month_whose_force_is_being_read_waits(watched: Watched) -> None:
    watched.read("kent", NEXT)
    run = watched.begun("ingest", f"essex|{NEXT}", f"kent|{NEXT}")
    watched.read("essex", NEXT)
    assert watched.tick() == {}
    watched.ended(run)
    assert watched.tick() == of(COUNTS, NEXT)


def test_a_month_that_is_being_counted_is_not_asked_for_again(watched: Watched) -> None:
    run = watched.begun("rank_hotspots", MONTHS[0], MONTHS[0])
    watched.read("kent", MONTHS[0], version="2")
    assert "coverage" not in watched.tick()
    watched.ended(run)
    assert watched.tick()["coverage"] == [MONTHS[0]]


# --- from a new month to its map ---------------------------------------------------------------


def test_a_new_month_flows_to_the_map_in_three_stages(watched: Watched) -> None:
    for force in FORCES:
        watched.read(force, NEXT)
    assert watched.tick() == of(COUNTS, NEXT)
    for table in COUNTS:
        watched.made(table, NEXT)
    assert watched.tick() == of(RANKINGS, NEXT)
    for table in RANKINGS:
        watched.made(table, NEXT)
    assert watched.tick() == of(SPANS, NEXT)
    for table in SPANS:
        watched.made(table, NEXT)
    assert watched.tick() == {}


def test_a_lake_without_a_grid_counts_and_ranks_nothing_and_says_nothing_of_it(
    lake: Watched,
) -> None:
    assert lake.tick() == {}
    for force in FORCES:
        lake.read(force, NEXT)
    places = ("coverage", "hex_counts", "snap_counts")
    assert lake.tick() == of(places, NEXT)
    for table in places:
        lake.made(table, NEXT)
    assert lake.tick() == {}
    for table in STUDY_AREA:
        lake.made(table)
    assert set(lake.tick()) >= {"hotspots"}


# --- an old month ------------------------------------------------------------------------------


def test_an_old_month_flows_as_far_as_its_windows_reach(lake: Watched) -> None:
    months = months_back("2025-04", 40)  # 2022-01 to 2025-04
    lake.full(months)
    assert lake.tick() == {}
    lake.read("kent", "2022-01", version="2")
    assert lake.tick() == of(COUNTS, "2022-01")
    for table in COUNTS:
        lake.made(table, "2022-01", version="2")
    windows = ["2022-01", *months_after("2022-01", 11)]
    assert lake.tick() == {
        "hotspots": windows,
        "hotspot_summary": [*windows, "2023-01"],  # it compares with the window before
    }
    for month in windows:  # a single ranking came out otherwise
        lake.made("hotspots", month, version="2" if month == "2022-03" else "1")
        lake.made("hotspot_summary", month, version="2")
    spans = ["2022-03", *months_after("2022-03", 35)]
    assert lake.tick() == of(SPANS, *spans)
    assert spans[-1] == "2025-02"  # the two months after it are left alone
    for table in SPANS:
        lake.made(table, *spans, version="2")
    assert lake.tick() == {}


def test_windows_end_where_the_months_do(watched: Watched) -> None:
    watched.made("hex_counts", MONTHS[1], version="2")
    assert watched.tick() == {
        "reconciliation": [MONTHS[1]], **of(RANKINGS, *MONTHS[1:])
    }  # fmt: skip


def test_a_revision_that_changes_no_count_ends_there(watched: Watched) -> None:
    watched.read("kent", MONTHS[0], version="2")
    assert watched.tick() == of(COUNTS, MONTHS[0])
    watched.made("coverage", MONTHS[0], version="2")  # it names another file
    for table in COUNTS[1:]:
        watched.made(table, MONTHS[0])
    assert watched.tick() == {}
    assert watched.tick() == {}


def test_rankings_that_come_out_the_same_end_there(watched: Watched) -> None:
    watched.made("hex_counts", MONTHS[0], version="2")
    assert watched.tick()["hotspots"] == list(MONTHS)
    watched.made("hotspots", *MONTHS)
    watched.made("reconciliation", MONTHS[0], version="2")
    watched.made("hotspot_summary", *MONTHS, version="2")
    assert watched.tick() == {}


def test_the_same_file_read_again_asks_for_nothing(watched: Watched) -> None:
    watched.read("kent", *MONTHS)
    assert watched.tick() == {}


# --- waiting -----------------------------------------------------------------------------------


def test_what_is_queued_holds_up_the_rankings_of_its_windows_and_no_others(
    lake: Watched,
) -> None:
    months = months_back("2025-12", 40)
    lake.full(months)
    assert lake.tick() == {}
    run = lake.begun("rank_hotspots", "2025-06", "2025-06")
    lake.made("hex_counts", "2025-03", version="2")
    assert lake.tick()["hotspots"] == ["2025-03", "2025-04", "2025-05"]
    lake.made("hotspots", "2025-03", "2025-04", "2025-05")
    lake.ended(run)
    assert lake.tick()["hotspots"] == months_after("2025-05", 7)


def test_what_was_queued_before_a_range_of_forces_ended_holds_rankings_up(
    watched: Watched,
) -> None:
    run = watched.begun("ingest", f"essex|{MONTHS[0]}", f"kent|{MONTHS[0]}")
    watched.made("snap_counts", MONTHS[1], version="2")
    assert watched.tick() == {}
    watched.ended(run)
    assert watched.tick() == of(RANKINGS, *MONTHS[1:])


def test_rankings_that_are_being_made_hold_up_what_looks_back_on_them(watched: Watched) -> None:
    run = watched.begun("rank_hotspots", MONTHS[1], MONTHS[1])
    watched.made("hotspots", MONTHS[0], version="2")
    assert watched.tick() == {
        "hotspot_summary": [MONTHS[0]], **of(SPANS, MONTHS[0])
    }  # fmt: skip
    watched.ended(run)
    assert watched.tick()["hotspot_frequency"] == list(MONTHS[1:])


@pytest.mark.slow
def test_36_revised_months_are_ranked_once_when_the_last_is_counted(lake: Watched) -> None:
    months = months_back("2025-12", 36)
    lake.full(months)
    assert lake.tick() == {}
    runs = {month: lake.begun("ingest", f"essex|{month}", f"kent|{month}") for month in months}
    asked: dict[str, list[str]] = {}

    def tick() -> dict[str, list[str]]:
        now = lake.tick()
        for table, partitions in now.items():
            asked.setdefault(table, []).extend(partitions)
        for table in COUNTS:  # each is counted before the next tick
            lake.made(table, *now.get(table, []), version="2") if table in now else None
        return now

    # the latest month first, and the counts of some while others are read
    for group in (months[24:], months[12:24], months[1:12], months[:1]):
        for month in group:
            for force in FORCES:
                lake.read(force, month, version="2")
            lake.ended(runs[month])
        assert set(tick()) == set(COUNTS)
    assert tick() == of(RANKINGS, *months)
    for table in RANKINGS:
        lake.made(table, *months, version="2")
    assert tick() == of(SPANS, *months)
    assert {table: sorted(partitions) for table, partitions in asked.items()} == of(
        (*COUNTS, *RANKINGS, *SPANS), *months
    )


# --- what a release changed --------------------------------------------------------------------


def test_what_a_release_changed_is_said_once_its_months_are_counted(watched: Watched) -> None:
    watched.made("archive_index", NEXT)
    assert watched.tick() == {}
    for force in FORCES:
        watched.read(force, NEXT)
    watched.read("kent", MONTHS[0], version="2")
    assert watched.tick() == of(COUNTS, MONTHS[0], NEXT)
    watched.made("coverage", MONTHS[0], NEXT, version="2")
    assert watched.tick()["release_changes"] == [NEXT]
    watched.made("release_changes", NEXT)
    assert "release_changes" not in watched.tick()


def test_no_release_without_an_index_is_said_to_have_changed_anything(watched: Watched) -> None:
    watched.made("coverage", MONTHS[0], version="2")
    assert "release_changes" not in watched.tick()


def test_what_earlier_releases_changed_is_not_told_again(watched: Watched) -> None:
    watched.made("archive_index", *MONTHS[1:], NEXT)
    watched.tick()
    watched.made("coverage", MONTHS[0], version="2")
    assert watched.tick()["release_changes"] == [NEXT]
