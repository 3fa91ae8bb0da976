"""Each audit passes on tables that forecasters and the judge made, and fails on a single fault."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from crime_assets.forecasting.backtest import COLUMNS, Ask, compare_lists, forecast, judge_cut_off
from crime_assets.forecasting.experiment import Experiment, run
from crime_assets.forecasting.forecasters import FORECASTERS
from crime_assets.forecasting.leaderboard import rank_models
from crime_assets.lake import DuckDB, create
from crime_assets.publication import AuditFailed, audit
from crime_assets_tests.forecasting.test_experiment import small_counts

SQL = Path(__file__).parents[2] / "sql" / "forecasting" / "audits"

ASK = Ask(horizons=(1, 3), least_months=12, resamplings=20)


@pytest.fixture(scope="module")
def tables() -> Iterator[duckdb.DuckDBPyConnection]:
    """What the mean of three months said of a small town, how it did, and a leaderboard."""
    counts = small_counts(months=24)
    model = {"rolling_mean_3": FORECASTERS["rolling_mean_3"]}
    before, now = (
        judge_cut_off(model, counts, cut_off, counts.crime_types, ASK)["rolling_mean_3"]
        for cut_off in (counts.steps[17], counts.steps[18])
    )
    compare_lists(now, before.lists)
    said = forecast(
        model["rolling_mean_3"], counts.until(counts.steps[18]), counts.crime_types, ASK
    )
    models = ("last_month", "rolling_mean_3", "chance", "perfect_foresight")
    compared = run(
        Experiment("A small town", {}, forecasters=models, ask=ASK), counts, {}, scope="town"
    )
    rows = {
        "forecast_rows": pd.DataFrame(said).assign(scope="town"),
        "evaluation_rows": pd.DataFrame(now.rows, columns=list(COLUMNS)).assign(scope="town"),
        "leaderboard_rows": compared.leaderboard,
    }
    with DuckDB(threads=1).get_connection() as opened:
        for name, frame in rows.items():
            opened.register(name, frame)
        for table in ("forecasts", "evaluations", "leaderboard"):
            create(opened, f"forecasting/{table}")
        yield opened


@pytest.fixture
def connection(tables: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """The tables as they were made; what a test does to them is undone."""
    tables.begin()
    yield tables
    tables.rollback()


ONE = "crime_type = 'Drugs' and horizon_steps = 3"

BREAKAGES = {
    "rankings_are_whole": [
        f"delete from forecasts where {ONE} and rank = 1",
        f"delete from forecasts where {ONE} and rank = 2",
        f"update forecasts set rank = null where {ONE} and rank = 2",
        f"update forecasts set rank = 1 where {ONE} and rank = 2",
        f"update forecasts set unit_id = (select unit_id from forecasts where {ONE} and rank = 1) "
        f"where {ONE} and rank = 2",
        f"insert into forecasts from forecasts where {ONE}",
        f"update forecasts set score = 'nan' where {ONE} and rank = 64",
        f"update forecasts set score = 'inf' where {ONE} and rank = 1",
        f"update forecasts set score = null where {ONE} and rank = 64",
        f"update forecasts set score = 99 where {ONE} and rank = 2",
        f"update forecasts set expected_crimes = -0.1 where {ONE} and rank = 64",
        f"update forecasts set expected_crimes = 'nan' where {ONE} and rank = 64",
    ],
    "figures_fit": [
        f"update evaluations set value = 'nan' where {ONE} and metric = 'modified_gini'",
        f"update evaluations set value = 'inf' where {ONE} and metric = 'poisson_deviance'",
        f"update evaluations set value = null where {ONE} and metric = 'spearman'",
        f"insert into evaluations from evaluations where {ONE} and metric = 'auroc'",
        f"insert into evaluations from evaluations where {ONE} and metric = 'pai' limit 1",
        *(
            f"update evaluations set value = 1.01, tie_best = 1.01 where {ONE} "
            f"and metric = '{metric}' and coalesce(coverage, 0.2) = 0.2"
            for metric in (
                "hit_rate", "pei_star", "f1", "auroc", "aucpr", "hit_rate_area", "brier", "gini",
                "jaccard", "rank_biased_overlap",
            )
        ),
        f"update evaluations set value = -0.01, tie_worst = -0.01 where {ONE} and metric = 'brier'",
        f"update evaluations set tie_best = value - 1e-6 where {ONE} and metric = 'pai'",
        f"update evaluations set tie_worst = value + 1e-6 where {ONE} and metric = 'pei_star'",
        f"update evaluations set low = high + 1e-6 where {ONE} and metric = 'auroc'",
        f"update evaluations set value = 0, tie_worst = 0 where {ONE} and metric = 'hit_rate' "
        "and coverage = 0.2",
        f"update evaluations set value = 0 where {ONE} and metric = 'crimes' and coverage = 0.5",
        f"update evaluations set value = 0 where {ONE} and metric = 'expected_crimes' "
        "and coverage = 0.5",
    ],
    "ranks_fit": [
        f"update leaderboard set value = 'nan' where {ONE} and metric = 'pai' and rank = 2",
        f"update leaderboard set value = null where {ONE} and metric = 'pai' and rank = 2",
        f"update leaderboard set low = 9, high = 8 where {ONE} and metric = 'pai' and rank = 2",
        f"update leaderboard set difference_low = 9, difference_high = 8 where {ONE} "
        "and metric = 'pai' and rank = 2",
        f"update leaderboard set p_value = 1.01 where {ONE} and metric = 'pai' and rank = 2",
        f"update leaderboard set p_value = -0.01 where {ONE} and metric = 'pai' and rank = 2",
        f"update leaderboard set rank = 3 where {ONE} and metric = 'pai' and role = 'floor'",
        f"update leaderboard set rank = 1 where {ONE} and metric = 'pai' and role = 'ceiling'",
        f"update leaderboard set verdict = 'equal' where {ONE} and metric = 'pai' and rank = 2",
        f"insert into leaderboard from leaderboard where {ONE} and metric = 'auroc' and rank = 2",
        f"update leaderboard set model = 'last_month' where {ONE} and metric = 'auroc' "
        "and rank is not null",
    ],
}  # fmt: skip


def test_every_audit_has_a_case_that_breaks_it() -> None:
    assert set(BREAKAGES) == {path.stem for path in SQL.glob("*.sql")}


@pytest.mark.parametrize("check", sorted(BREAKAGES))
def test_an_audit_passes_on_what_was_forecast_and_judged(
    connection: duckdb.DuckDBPyConnection, check: str
) -> None:
    audit(connection, f"forecasting/audits/{check}")


@pytest.mark.parametrize(
    ("check", "breakage"), [(c, b) for c, all_of in BREAKAGES.items() for b in all_of]
)
def test_an_audit_fails_when_something_is_wrong(
    connection: duckdb.DuckDBPyConnection, check: str, breakage: str
) -> None:
    (changed,) = connection.execute(breakage).fetchone() or (0,)
    assert changed > 0
    with pytest.raises(AuditFailed, match=rf"rows of forecasting/audits/{check}\.sql") as failure:
        audit(connection, f"forecasting/audits/{check}")
    assert failure.value.audit == check
    assert failure.value.metadata["offenders"]


def test_models_without_a_cut_off_in_common_are_no_row_of_the_leaderboard() -> None:
    # the first has both cut-offs, the second one, the third the other
    there = {"last_month": (1, 2), "rolling_mean_3": (1,), "rolling_mean_12": (2,)}
    rows = [
        ("hex", scope, "Drugs", "month", 1, "pai", 0.05, 1.5, 1.5, 1.5, f"2025-0{month}", model)
        for scope, months_of in (("kent", there), ("essex", dict.fromkeys(there, (1, 2))))
        for model, months in months_of.items()
        for month in months
    ]
    columns = "unit scope crime_type step horizon_steps metric coverage value tie_best tie_worst"
    evaluations = pd.DataFrame(rows, columns=[*columns.split(), "month", "model"])
    roles = {model: FORECASTERS[model].role for model in there}
    with DuckDB(threads=1).get_connection() as connection:
        connection.register("leaderboard_rows", rank_models(evaluations, roles))
        create(connection, "forecasting/leaderboard")
        audit(connection, "forecasting/audits/ranks_fit")
        found = connection.execute("select scope, model from leaderboard order by all").fetchall()
    assert found == [("essex", model) for model in sorted(there)]


@pytest.mark.parametrize("check", ["rankings_are_whole", "figures_fit"])
def test_months_and_days_are_different_rankings(
    connection: duckdb.DuckDBPyConnection, check: str
) -> None:
    table = {"rankings_are_whole": "forecasts", "figures_fit": "evaluations"}[check]
    by_day = "select * replace ('day' as step)"
    if check == "rankings_are_whole":
        by_day = "select * replace ('day' as step, 2 * score as score)"
    connection.execute(f"insert into {table} {by_day} from {table}")
    audit(connection, f"forecasting/audits/{check}")
