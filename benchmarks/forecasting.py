"""Figures of forecasts: the nation by models for any area, two others on one force, judging.

On the nation of :mod:`benchmarks.nation`, with the functions that the assets call. Needs the cells
and counts that :mod:`benchmarks.hexes` publishes, and makes them if they are not there.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from benchmarks.hexes import count_into_cells, lay_the_grid, nation_settings
from benchmarks.measuring import Figure, Measured, Run, by_turns, seconds_into
from benchmarks.nation import Nation, make_nation, the_nation
from crime_assets.forecasting.backtest import Ask, forecast, judge_cut_off, rank_units
from crime_assets.forecasting.cells import (
    Presence,
    Series,
    StudyArea,
    hex_units,
    scopes_of_cells,
    study_areas,
)
from crime_assets.forecasting.counts import Counts
from crime_assets.forecasting.forecasters import FORECASTERS, NAIVE_RULE
from crime_assets.forecasting.metrics import Judgement, Outcome, judge
from crime_assets.register import ALL_CRIME

BASELINES = {m: f for m, f in FORECASTERS.items() if f.most_units is None and m != "gldnet"}
COSTLY = ("point_process", "random_forest")
SECONDS = 120
MEMORY_GIB = 6.0
COSTLY_SECONDS = 300


def figures(run: Run) -> list[Figure]:
    """Measure everything about forecasts."""
    nation = the_nation(run.folder, run.share)
    make_nation(nation, run.say)
    here = (str(run.folder), run.share)
    if not nation.lake.has("hex_counts", {"month": nation.months[-1]}):
        run.measure(lay_the_grid, *here)
        run.measure(count_into_cells, *here, 1)
    judged = run.measure(judge_the_nation, *here)
    made = run.measure(forecast_the_nation, *here)
    costly = run.measure(fit_the_costly_ones, *here)
    metrics = run.measure(judge_one_ranking, *here, run.rounds)
    asset = None
    if run.through_dagster and len(nation.months) >= 36:
        asset = run.measure(materialise_an_evaluation, *here)
    all_of_it = (
        f"{len(BASELINES)} forecasters for areas of any size, one cut-off, "
        f"{judged.value['units']:,} cells, {judged.value['crime_types']} types"
    )
    return [
        Figure(
            f"{all_of_it}: read, forecast and judge {judged.value['horizons']} horizons",
            judged.value["seconds"],
            reference=judged.value["read"],
            reference_is="reading the counts of these cells and months from the lake",
            most=SECONDS,
        ),
        Figure("the same, peak memory", judged.peak_bytes / 2**30, "GiB", most=MEMORY_GIB),
        Figure(
            f"the same cells, {made.value['months']} months of history: forecast and keep 1 %",
            made.value["seconds"],
            reference=made.value["read"],
            reference_is="reading the counts of these cells and months from the lake",
            most=SECONDS,
        ),
        Figure("the same, peak memory", made.peak_bytes / 2**30, "GiB", most=MEMORY_GIB),
        *(
            Figure(
                f"{name} on one force, {costly.value['units']:,} cells, "
                f"{costly.value['crime_types']} types: fit and forecast",
                costly.value[name],
                reference=costly.value[NAIVE_RULE],
                reference_is=f"{NAIVE_RULE} on the same counts",
                most=COSTLY_SECONDS,
            )
            for name in COSTLY
            if name in costly.value  # which a very short history does not serve
        ),
        Figure(
            f"{metrics.value['figures']} figures of one ranking of {metrics.value['units']:,} "
            "cells, with intervals",
            metrics.value["ours"],
            reference=metrics.value["scikit_learn"],
            reference_is="two of them (AUROC, average precision) by scikit-learn",
        ),
        *(_through_dagster(asset, judged.value["read"]) if asset else []),
    ]


def _through_dagster(asset: Measured, read: float) -> list[Figure]:
    return [
        Figure(
            f"evaluations/{NAIVE_RULE} of one month through Dagster, {asset.value['scopes']} "
            f"scopes, {asset.value['rows']:,} figures",
            asset.value["seconds"],
            reference=read,
            reference_is="reading the counts of the nation's cells and months from the lake",
        ),
        Figure("the same, peak memory", asset.peak_bytes / 2**30, "GiB", most=MEMORY_GIB),
    ]


def _counts(
    nation: Nation,
    connection: duckdb.DuckDBPyConnection,
    *,
    force: str | None = None,
    judged: bool = True,
) -> tuple[StudyArea, Counts]:
    """The counts of the nation, or of one force, and what can be asked of them.

    Judged a year before the end where the nation is long enough for that, else a month before.
    """
    months = nation.months
    cut_off = months[-1]
    if judged:
        cut_off = months[-13] if len(months) >= 36 else months[-2]
    ask = Ask(least_months=min(24, months.index(cut_off) + 1))
    for table in ("hex_counts", "coverage"):
        nation.lake.view(connection, table, [{"month": m} for m in months])
    for table in ("scopes", "scope_cells", "hex_cells"):
        nation.lake.view(connection, table)
    nation_scope = "select scope from scopes where kind = 'nation'"
    (scope,) = connection.execute(nation_scope).fetchone() or ("",)
    scopes, presence = scopes_of_cells(connection), Presence.read(connection)
    areas = study_areas(scopes, presence, cut_off, months, ask, judged=judged)
    area = next(a for a in areas if a.scope == (force or scope))
    series = Series.read(connection, months)
    last = (*area.history, *area.outcome)[-1]
    return area, series.counts(hex_units(area.cells(connection)), area.history[0], last)


def _able(counts: Counts, models: Iterable[str] = BASELINES) -> dict[str, Any]:
    """The models that a history as long as this serves."""
    found = {m: FORECASTERS[m] for m in models}
    return {m: f for m, f in found.items() if f.least_months <= len(counts.steps)}


def judge_the_nation(folder: str, share: float) -> dict[str, Any]:
    """Forecast the nation by all forecasters for areas of any size, and judge them."""
    nation = the_nation(Path(folder), share)
    started = time.perf_counter()
    with nation.engine().get_connection() as connection:
        area, counts = _counts(nation, connection)
    read = time.perf_counter() - started
    ask = Ask(area.horizons, least_months=1)
    able = _able(counts.until(area.history[-1]))
    judged = judge_cut_off(able, counts, area.history[-1], area.crime_types, ask, threads=2)
    ceiling = [r for r in judged["perfect_foresight"].rows if r[4] == "pei_star"]
    if not all(abs(row[6] - 1) < 1e-9 for row in ceiling):
        raise AssertionError("perfect foresight is not the best there is")
    return {
        "seconds": time.perf_counter() - started,
        "read": read,
        "units": len(counts.units),
        "crime_types": len(area.crime_types),
        "horizons": len(area.horizons),
    }


def forecast_the_nation(folder: str, share: float) -> dict[str, Any]:
    """Forecast the nation at the last month by all forecasters for areas of any size."""
    nation = the_nation(Path(folder), share)
    started = time.perf_counter()
    with nation.engine().get_connection() as connection:
        area, counts = _counts(nation, connection, judged=False)
    read = time.perf_counter() - started
    for name, forecaster in _able(counts).items():
        if name != "perfect_foresight":
            forecast(forecaster, counts, area.crime_types, Ask(area.horizons), threads=2)
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "read": read, "months": len(counts.steps)}


def fit_the_costly_ones(folder: str, share: float) -> dict[str, Any]:
    """Fit the models that are not for every area to the force with the most cells."""
    nation = the_nation(Path(folder), share)
    with nation.engine().get_connection() as connection:
        nation.lake.view(connection, "scopes")
        largest = "select scope from scopes where kind = 'force' order by cells desc limit 1"
        (force,) = connection.execute(largest).fetchone() or ("",)
        area, counts = _counts(nation, connection, force=force, judged=False)
    spent: dict[str, float] = {}
    for name, forecaster in _able(counts, (NAIVE_RULE, *COSTLY)).items():
        times: list[float] = []
        with seconds_into(times):
            forecast(forecaster, counts, area.crime_types, Ask(area.horizons), threads=2)
        spent[name] = times[0]
    return {
        **spent,
        "units": len(counts.units),
        "crime_types": len(area.crime_types),
    }


def materialise_an_evaluation(folder: str, share: float) -> dict[str, Any]:
    """Materialise one model's evaluations of a month, for the nation and every force."""
    import dagster as dg

    from crime_assets.definitions import build_definitions

    nation = the_nation(Path(folder), share)
    month = nation.months[-13]
    definitions = build_definitions(nation_settings(nation))
    job = definitions.resolve_job_def("evaluate")
    with tempfile.TemporaryDirectory() as home, dg.DagsterInstance.local_temp(home) as instance:
        started = time.perf_counter()
        job.execute_in_process(
            partition_key=month,
            instance=instance,
            asset_selection=[dg.AssetKey(["evaluations", NAIVE_RULE])],
            run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
        )
        seconds = time.perf_counter() - started
    with nation.engine().get_connection() as connection:
        place = {"month": month, "model": NAIVE_RULE, "unit": "hex"}
        nation.lake.view(connection, "evaluations", [place])
        counted = "select count(*), count(distinct scope) from evaluations"
        rows, scopes = connection.execute(counted).fetchone() or (0, 0)
    return {"seconds": seconds, "rows": rows, "scopes": scopes}


def judge_one_ranking(folder: str, share: float, rounds: int) -> dict[str, Any]:
    """Judge one ranking of the nation's cells by all metrics."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    nation = the_nation(Path(folder), share)
    with nation.engine().get_connection() as connection:
        area, counts = _counts(nation, connection)
    cut_off = area.history[-1]
    history = counts.until(cut_off)
    (ranking,) = rank_units(FORECASTERS[NAIVE_RULE], history, ALL_CRIME, [1])
    crimes = counts.after(cut_off, 1, ALL_CRIME)
    past = Outcome(history.recent(ALL_CRIME, 1))
    found: dict[str, Any] = {}

    def ours() -> None:
        judgement = Judgement(ranking, Outcome(crimes))
        found["ours"] = judge(judgement, past, 1, expects_crimes=True, seed=1)

    def scikit_learn() -> None:
        hot = crimes > 0
        found["theirs"] = (
            roc_auc_score(hot, ranking.scores),
            average_precision_score(hot, ranking.scores),
        )

    times = by_turns(rounds, ours=ours, scikit_learn=scikit_learn)
    same = {f.metric: f.value for f in found["ours"] if f.coverage is None}
    if not np.allclose([same["auroc"], same["aucpr"]], found["theirs"]):
        raise AssertionError("scikit-learn has other figures")
    return {**times, "units": len(ranking), "figures": len(found["ours"])}
