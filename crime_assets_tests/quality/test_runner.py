"""Great Expectations as the judge of a profile: what it says, when it raises, what it costs."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from crime_assets.lake import DuckDB, Lake
from crime_assets.partitions import months_back
from crime_assets.quality import runner

ROWS = [
    {"month": "2025-07", "rows": 100, "share": None, "share_of": None},
    {"month": "2025-08", "rows": 3, "share": 0.26294, "share_of": "kent"},
]


def suite(**kwargs: Any) -> runner.Suite:
    options = {"type": "expect_column_values_to_be_between", "severity": "warning"}
    options |= {key: kwargs.pop(key) for key in ("type", "severity") if key in kwargs}
    return runner.Suite("coverage", (runner.Expectation(kwargs=kwargs, sentence="..", **options),))


def test_each_row_is_judged_by_itself() -> None:
    (first,), (second,) = runner.judge(suite(column="rows", min_value=50), ROWS)
    assert (first.passed, second.passed) == (True, False)
    assert second.observed == "rows 3"


def test_what_cannot_be_compared_is_not_judged_and_what_is_observed_has_a_name() -> None:
    (first,), (second,) = runner.judge(suite(column="share", min_value=0.5), ROWS)
    assert (first.passed, second.passed) == (True, False)
    assert second.observed == "share 0.2629 (kent)"


def test_outcomes_stand_in_the_order_of_the_suite() -> None:
    both = runner.Suite(
        "coverage",
        suite(type="expect_column_values_to_be_null", column="share").expectations
        + suite(column="rows", max_value=50).expectations,
    )
    judged = [[outcome.passed for outcome in row] for row in runner.judge(both, ROWS)]
    assert judged == [[True, False], [False, True]]


def test_an_expectation_that_raises_is_an_error_not_failed_data() -> None:
    with pytest.raises(runner.SuiteError, match='column "colour" in BatchData does not exist'):
        runner.judge(suite(column="colour", min_value=0), ROWS)


def test_a_value_that_cannot_be_compared_is_an_error_not_failed_data() -> None:
    with pytest.raises(runner.SuiteError, match="coverage, expect_column_values_to_be_between"):
        runner.judge(suite(column="month", min_value=5), ROWS)


def test_an_expectation_of_the_frame_as_a_whole_is_refused() -> None:
    whole = suite(type="expect_column_max_to_be_between", column="rows", max_value=1000)
    with pytest.raises(runner.SuiteError, match="does not judge row by row"):
        runner.judge(whole, ROWS)


def test_an_expectation_or_a_severity_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(runner.SuiteError, match=r"expect_wonders of .* is no expectation"):
        runner.judge(suite(type="expect_wonders", column="rows"), ROWS)
    with pytest.raises(runner.SuiteError, match="dreadful"):
        runner.judge(suite(severity="dreadful", column="rows", min_value=1), ROWS)


@pytest.mark.parametrize("text", ["expectations: [{type: x}]", "rows: 3", "a: b: c", ""])
def test_a_file_that_is_no_suite_is_named(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kent.yaml").write_text(text)
    monkeypatch.setattr(runner, "_SUITES", tmp_path)
    with pytest.raises(runner.SuiteError, match=r"kent\.yaml is no suite"):
        runner.read_suite("kent")


def test_thirty_six_rows_are_judged_in_less_than_a_second() -> None:
    street_crimes = runner.read_suite("street_crimes")
    columns = {e.kwargs["column"]: 1 for e in street_crimes.expectations}
    runner.judge(street_crimes, [columns])  # imports
    start = time.perf_counter()
    runner.judge(street_crimes, [columns] * 36)
    assert time.perf_counter() - start < 1


@pytest.mark.slow
def test_judging_is_silent_and_asks_no_network() -> None:
    script = """
import socket
def refuse(*_, **__):
    raise OSError("a connection was asked for")
socket.socket.connect = socket.getaddrinfo = refuse
from crime_assets.quality import runner
between = {"column": "rows", "min_value": 5}
e = runner.Expectation("expect_column_values_to_be_between", between, "warning", ".")
((outcome,),) = runner.judge(runner.Suite("coverage", (e,)), [{"rows": 3}])
assert not outcome.passed
try:
    runner.judge(runner.Suite("coverage", (e,)), [{"crimes": 3}])
except runner.SuiteError:
    pass
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")


def publish_forecast(lake: Lake, month: str, model: str, unit: str) -> dict[str, str]:
    place = {"month": month, "model": model, "unit": unit}
    with DuckDB().get_connection() as connection:
        connection.execute(
            "create temp table made as select 'kent' as scope, '1000' as unit_id, 'Drugs' as "
            "crime_type, 'month' as step, 1 as horizon_steps, 1 as rank, 0.5 as score, "
            "0.5 as expected_crimes"
        )
        lake.publish(connection, "made", "forecasts", place)
    return place


def test_a_month_of_a_model_lies_in_the_lake_where_any_kind_of_unit_does(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    publish_forecast(lake, "2025-08", "chance", "hex")
    publish_forecast(lake, "2025-09", "chance", "segment")
    months = ("2025-07", "2025-08", "2025-09")
    there = [runner.lies_in(lake, "forecasts", {"month": m}, "chance") for m in months]
    assert there == [False, True, True]
    assert not runner.lies_in(lake, "forecasts", {"month": "2025-09"}, "last_month")
    assert not runner.lies_in(lake, "evaluations", {"month": "2025-09"}, "chance")


def test_a_partition_lies_in_the_lake_where_its_file_does(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    assert not runner.lies_in(lake, "coverage", {"month": "2025-09"})
    with DuckDB().get_connection() as connection:
        lake.view(connection, "coverage", [{"month": "2025-09"}], skip_missing=True)
        connection.execute("create temp table made as select * exclude (month) from coverage")
        lake.publish(connection, "made", "coverage", {"month": "2025-09"})
    assert runner.lies_in(lake, "coverage", {"month": "2025-09"})


def test_a_profile_of_a_model_is_of_all_its_units_and_of_no_other_model(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    for model, unit in (("chance", "hex"), ("chance", "lsoa"), ("last_month", "hex"),
                        ("rolling_mean_12", "square")):  # fmt: skip
        publish_forecast(lake, "2025-09", model, unit)
    suite = runner.read_suite("forecasts")
    with DuckDB().get_connection() as connection:
        for model, rankings in (("chance", 2), ("last_month", 1), ("rolling_mean_12", 1)):
            (row,) = runner.profile(connection, lake, suite, [{"month": "2025-09"}], model)
            assert row["rankings"] == rankings


def test_a_profile_is_the_same_alone_in_a_range_and_with_more_in_the_lake(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    coverage = runner.read_suite("coverage")
    months = months_back("2025-09", 16)
    with DuckDB().get_connection() as connection:

        def publish(month: str, rows: int) -> None:
            connection.execute(
                "create or replace temp table made as select 'kent' as force, 'published' as "
                "status, '2025-12' as release, '2025-12' as newest_release, 'ce' as sha256, "
                "$rows as rows, $rows as located, 0 as rejected",
                {"rows": rows},
            )
            lake.publish(connection, "made", "coverage", {"month": month})

        def profile(*chosen: str) -> runner.Profile:
            return runner.profile(connection, lake, coverage, [{"month": m} for m in chosen])

        for rows, month in enumerate(months[:-2], 1000):
            publish(month, rows)
        alone = profile(months[-3])
        # the median of the twelve months before, 1,001 to 1,012, of which the 1,000 is none
        assert alone[0]["least_volume"] == 1013 / 1006.5
        for month in months[-2:]:
            publish(month, 5)
        assert profile(months[-3]) == alone
        assert [profile(*months)[-3]] == alone
