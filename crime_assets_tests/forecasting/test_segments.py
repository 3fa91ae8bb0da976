"""Segments among the units of forecasts, and GLDNet among their models: a small lake made here.

Essex and Kent have a street of 60 and of 70 segments, each of which meets the next one, and crimes
of 40 months up to 2025-12. Cambridgeshire published, and has no streets.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from crime_assets.forecasting import assets
from crime_assets.forecasting.backtest import Ask, forecast, judge_cut_off
from crime_assets.forecasting.counts import Counts, Units
from crime_assets.forecasting.forecaster import Forecaster, NoForecast
from crime_assets.forecasting.forecasters import FORECASTERS
from crime_assets.forecasting.forecasters.gldnet import Gldnet
from crime_assets.forecasting.leaderboard import rank_models
from crime_assets.forecasting.segments import gldnet_scores, segment_units
from crime_assets.lake import DuckDB, Lake, MissingPartition
from crime_assets.lsoa.neighbours import link
from crime_assets.models.task import scores_of
from crime_assets.partitions import months_back
from crime_assets.register import ALL_CRIME
from crime_assets_tests.forecasting.test_assets import publish, run, table

pytestmark = pytest.mark.slow  # each test is a run of Dagster: seconds

MONTHS = months_back("2025-12", 40)
TYPES = ("Burglary", "Drugs")
SEGMENTS = {"essex": 60, "kent": 70}
LENGTHS = {force: 20.0 + 5 * (np.arange(n) % 13) for force, n in SEGMENTS.items()}


def ids_of(force: str) -> np.ndarray:
    return np.array([f"{force}-{i:03}" for i in range(SEGMENTS[force])])


def publish_streets(lake: Lake, connection: duckdb.DuckDBPyConnection, force: str) -> None:
    """Segments in no order, and pairs that meet."""
    ids = ids_of(force)
    connection.register("made", pd.DataFrame({"segment_id": ids, "length_m": LENGTHS[force]}))
    connection.execute(
        "create or replace temp table made_segments as select segment_id, null as name, "
        "null as kind, length_m, st_geomfromtext('LINESTRING (0 0, 1 1)') as geometry from made "
        "order by hash(segment_id)"
    )
    lake.publish(connection, "made_segments", "street_segments", {"force": force})
    edges = {"segment_id": ids[:-1], "neighbour_id": ids[1:], "distance_m": 30.0, "weight": 0.9}
    made_from = {"segments": lake.sha256("street_segments", {"force": force})}
    publish(lake, connection, "street_graph", pd.DataFrame(edges), {"force": force}, made_from)


def crimes_in(month: str, force: str) -> np.ndarray:
    """Crimes (types, n) of a month, of which month and force are the seed."""
    n = SEGMENTS[force]
    rates = np.random.default_rng(n).gamma(0.3, 3.0, (len(TYPES), n))
    return np.random.default_rng([int(month.replace("-", "")), n]).poisson(rates)


def publish_counts(
    lake: Lake,
    connection: duckdb.DuckDBPyConnection,
    month: str,
    forces: Sequence[str] = ("essex", "kent", "cambridgeshire"),
    networks: Sequence[str] = ("essex", "kent"),
    other: Sequence[str] = (),
) -> None:
    """Of the forces ``other``, other streets than the lake's were counted on."""
    frames = [
        pd.DataFrame({"force": force, "segment_id": ids_of(force), "crime_type": t, "crimes": c})
        for force in SEGMENTS
        for t, c in zip(TYPES, crimes_in(month, force), strict=True)
        if force in forces and force in networks
    ]
    counted = pd.concat(frames).assign(distance_m=4.0)
    versions = {f: lake.sha256("street_segments", {"force": f}) for f in networks}
    told = {"forces": [*forces], "networks": versions | dict.fromkeys(other, "another")}
    publish(
        lake, connection, "segment_counts", counted[counted["crimes"] > 0], {"month": month}, told
    )


def publish_gldnet(
    lake: Lake,
    connection: duckdb.DuckDBPyConnection,
    month: str,
    force: str = "kent",
    scores: Mapping[str, np.ndarray] | None = None,
    ids: np.ndarray | None = None,
) -> None:
    """What GLDNet said: that the last segment is the hottest, the first one the coldest."""
    of_type = scores or {t: np.arange(SEGMENTS[force]) / 10 for t in (ALL_CRIME, "Drugs")}
    frames = [
        pd.DataFrame({"segment_id": ids_of(force) if ids is None else ids, "score": s})
        .assign(crime_type=t, step="month", trained_at=month)
        for t, s in of_type.items()
    ]  # fmt: skip
    place = {"month": month, "force": force}
    publish(lake, connection, "gldnet_forecasts", pd.concat(frames), place)


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with DuckDB(threads=1).get_connection() as opened:
        yield opened


@pytest.fixture(scope="module")
def made(connection: duckdb.DuckDBPyConnection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("streets")
    lake = Lake(folder / "lake")
    for force in SEGMENTS:
        publish_streets(lake, connection, force)
    for month in MONTHS:
        publish_counts(lake, connection, month)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of the data folder, to write to."""
    return Path(shutil.copytree(made, tmp_path / "data"))


def without(month: str) -> list[str]:
    """What the metadata say of the other kinds of units."""
    return [
        f"| {u} | every scope | {u}_counts {month} is not in the lake |" for u in ("hex", "lsoa")
    ]


# --- Segments -------------------------------------------------------------------------------


def test_units_are_the_segments_by_id_with_their_lengths_and_those_they_meet(
    made: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    units = segment_units(connection, Lake(made / "lake"), "kent")
    assert units.kind == "segment"
    assert units.ids.tolist() == ids_of("kent").tolist()
    assert units.size.tolist() == LENGTHS["kent"].tolist()
    at = np.arange(69)
    assert (units.neighbours.toarray() == link(70, at, at + 1).toarray()).all()
    with pytest.raises(MissingPartition, match="street_segments surrey is not in the lake"):
        segment_units(connection, Lake(made / "lake"), "surrey")


def test_the_segments_of_each_force_are_forecast_by_crimes_per_length(folder: Path) -> None:
    found = run(folder, "forecasts/rolling_mean_12", "2025-12")
    assert found.success, found.failure
    assert found.text("2025-12", "left_out").splitlines()[2:] == without("2025-12")
    rows = table(folder, "forecasts", "2025-12", "rolling_mean_12", "segment")
    assert set(rows["scope"]) == set(SEGMENTS)
    for force, n in SEGMENTS.items():
        mean = sum(crimes_in(month, force)[1] for month in months_back("2025-12", 12)) / 12
        density = mean / (LENGTHS[force] / LENGTHS[force].mean())
        hot = np.argsort(-density, kind="stable")[:n]
        here = rows[(rows["scope"] == force) & (rows["crime_type"] == "Drugs")]
        here = here[here["horizon_steps"] == 3]
        assert here["unit_id"].tolist() == ids_of(force)[hot].tolist()
        assert here["score"].to_numpy() == pytest.approx(density[hot])
        assert here["expected_crimes"].to_numpy() == pytest.approx(3 * mean[hot])


def test_every_model_but_gldnet_can_be_judged_on_segments(
    made: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    lake = Lake(made / "lake")
    (_, counts), *_ = assets._segment_areas(connection, lake, "2025-11", True)
    assert counts is not None
    able = {m: f for m, f in FORECASTERS.items() if m != "gldnet"}
    judged = judge_cut_off(able, counts, "2025-11", [ALL_CRIME], Ask((1,), resamplings=0))
    assert all(found.rows and not found.reasons for found in judged.values())


def test_a_force_that_was_silent_or_whose_streets_were_not_counted_has_no_history(
    folder: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    lake = Lake(folder / "lake")
    publish_counts(lake, connection, "2025-03", forces=["kent"])
    found = run(folder, "forecasts/last_month", "2025-12")
    assert found.success
    assert found.text("2025-12", "left_out").splitlines()[2:] == [
        "| segment | essex | 9 months in a row up to 2025-12, of the 24 that are needed |",
        *without("2025-12"),
    ]
    assert set(table(folder, "forecasts", "2025-12", "last_month", "segment")["scope"]) == {"kent"}
    publish_counts(lake, connection, "2025-05", networks=["essex"])
    found = run(folder, "forecasts/last_month", "2025-12")
    assert not found.success
    assert "9 months in a row up to 2025-12, of the 24 that are needed (essex)" in found.failure
    assert "7 months in a row up to 2025-12, of the 24 that are needed (kent)" in found.failure


def test_a_network_of_few_segments_is_left_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assets, "LEAST_SEGMENTS", 65)
    found = run(folder, "forecasts/last_month", "2025-12")
    assert "| segment | essex | 60 segments, of the 65 that are needed |" in (
        found.text("2025-12", "left_out")
    )


def test_without_any_streets_nothing_is_forecast_and_the_reason_is_said(folder: Path) -> None:
    shutil.rmtree(folder / "lake" / "street_graph")
    found = run(folder, "forecasts/last_month", "2025-12")
    assert not found.success
    assert "no street_segments are in the lake" in found.failure


def test_a_force_whose_streets_changed_since_they_were_counted_is_left_out_with_the_reason(
    folder: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    for month in ("2025-07", "2025-08"):
        publish_counts(Lake(folder / "lake"), connection, month, other=["essex"])
    found = run(folder, "forecasts/last_month", "2025-12")
    assert found.text("2025-12", "left_out").splitlines()[2:] == [
        "| segment | essex | segment_counts of 2 months (2025-07 to 2025-08) were counted on other "
        "streets of essex than street_segments holds now: materialise them again |",
        *without("2025-12"),
    ]


# --- GLDNet ---------------------------------------------------------------------------------


def test_gldnet_is_a_forecaster_that_ranks_and_expects_nothing() -> None:
    gldnet = FORECASTERS["gldnet"]
    assert isinstance(gldnet, Forecaster)
    assert (gldnet.role, gldnet.expects_crimes) == ("model", False)
    told = Gldnet().told({("Drugs", "2025-12"): np.ones(3)})
    assert told == Gldnet()  # what it was told is no parameter
    assert repr(told) == repr(Gldnet())


def counts_of(kind: str, n: int = 30, months: int = 26) -> Counts:
    units = Units(kind, np.arange(n), np.full(n, 5.0), link(n, [], []))
    crimes = np.random.default_rng(2).poisson(0.5, (n, months))
    unit, at = np.nonzero(crimes)
    rows = dict.fromkeys(("Drugs", ALL_CRIME), (unit, at, crimes[unit, at]))
    return Counts.of(units, months_back("2025-12", months), rows)


def test_gldnet_says_what_it_was_told_and_nothing_of_other_types_steps_or_units() -> None:
    told = Gldnet().told({("Drugs", "2025-12"): np.arange(30.0)})
    history = counts_of("segment")
    assert told.forecast(history, "Drugs", [1, 3]).tolist() == list(range(30))
    with pytest.raises(NoForecast, match="no GLDNet was trained for Burglary at 2025-12"):
        told.forecast(history, "Burglary", [1])
    with pytest.raises(NoForecast, match="no GLDNet was trained for Drugs at 2025-11"):
        told.forecast(history.until("2025-11"), "Drugs", [1])
    with pytest.raises(NoForecast, match="is for street segments"):
        told.forecast(counts_of("hex"), "Drugs", [1])


def test_expected_crimes_are_divided_by_length_and_other_predictions_are_not() -> None:
    predicted, length = np.array([1.0, 1.0, 2.0]), np.array([10.0, 20.0, 30.0])
    assert scores_of(predicted, length, "poisson").tolist() == pytest.approx([2, 1, 4 / 3])
    assert scores_of(predicted, length, "weighted").tolist() == [1, 1, 2]


def test_a_crime_type_without_scores_is_left_out_and_the_others_stand() -> None:
    counts = counts_of("segment")
    told = Gldnet().told({("Drugs", "2025-11"): np.arange(30.0)})
    history = counts.until("2025-11")
    rows = forecast(told, history, [ALL_CRIME, "Drugs"], Ask((1, 3)))
    assert set(rows["crime_type"]) == {"Drugs"}
    assert np.isnan(rows["expected_crimes"]).all()
    judged = judge_cut_off(
        {"gldnet": told, "chance": FORECASTERS["chance"]},
        counts, "2025-11", [ALL_CRIME, "Drugs"], Ask((1,), resamplings=5),
    )  # fmt: skip
    assert {row[0] for row in judged["gldnet"].rows} == {"Drugs"}
    assert {row[0] for row in judged["chance"].rows} == {"Drugs", ALL_CRIME}
    assert list(judged["gldnet"].reasons) == [ALL_CRIME]
    with pytest.raises(NoForecast, match="no GLDNet was trained for All crime"):
        forecast(told, history, [ALL_CRIME], Ask((1,)))


def test_forecasts_of_gldnet_are_those_of_its_table_where_they_were_made(
    folder: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    publish_gldnet(Lake(folder / "lake"), connection, "2025-12")
    found = run(folder, "forecasts/gldnet", "2025-12")
    assert found.success, found.failure
    rows = table(folder, "forecasts", "2025-12", "gldnet", "segment")
    assert set(rows["scope"]) == {"kent"}
    assert set(rows["crime_type"]) == {ALL_CRIME, "Drugs"}
    for _, ranking in rows.groupby(["crime_type", "horizon_steps"]):
        assert ranking["unit_id"].tolist() == ids_of("kent")[::-1].tolist()
        assert ranking["score"].tolist() == (np.arange(70) / 10)[::-1].tolist()
    essex, kent = found.text("2025-12", "left_out").splitlines()[2:]
    assert essex == (
        "| segment | essex | gldnet_forecasts essex\\|2025-12 is not in the lake: materialise it "
        "first |"
    )
    assert kent.startswith("| segment | kent | it knows nothing of Anti-social behaviour, Bicycle")
    assert "Drugs" not in kent


def test_evaluations_of_gldnet_judge_its_table(
    folder: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    publish_gldnet(Lake(folder / "lake"), connection, "2025-11")
    found = run(folder, "evaluations/gldnet", "2025-11")
    assert found.success, found.failure
    rows = table(folder, "evaluations", "2025-11", "gldnet", "segment")
    assert set(rows["scope"]) == {"kent"}
    assert set(rows["crime_type"]) == {ALL_CRIME, "Drugs"}
    drugs, length = crimes_in("2025-12", "kent")[1][::-1], LENGTHS["kent"][::-1]
    fits = np.clip((0.2 * length.sum() - (np.cumsum(length) - length)) / length, 0, 1)
    hit = rows[(rows["metric"] == "hit_rate") & (rows["coverage"] == 0.2)]
    hit = hit[hit["crime_type"] == "Drugs"]
    assert hit["value"].tolist() == pytest.approx([(drugs * fits).sum() / drugs.sum()])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["forecasts", "evaluations"])
def test_gldnet_meets_the_expectations_of_forecasts_and_evaluations(
    folder: Path, connection: duckdb.DuckDBPyConnection, name: str
) -> None:
    publish_gldnet(Lake(folder / "lake"), connection, "2025-11")
    found = run(folder, f"{name}/gldnet", "2025-11", expectations=True)
    (check,) = [check for check in found.checks if check.check_name == "expectations"]
    assert check.passed, check.metadata


def test_a_cut_off_at_which_gldnet_was_not_asked_is_neither_made_nor_a_failure(
    folder: Path,
) -> None:
    for asset in ("forecasts/gldnet", "evaluations/gldnet"):
        found = run(folder, asset, "2025-11")
        assert found.success
        assert not found.materialised


def test_gldnet_forecasts_of_other_streets_are_refused(
    made: Path, tmp_path: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    lake = Lake(tmp_path / "lake")
    publish_gldnet(lake, connection, "2025-12", ids=np.char.add(ids_of("kent"), "a"))
    units = segment_units(connection, Lake(made / "lake"), "kent")
    with pytest.raises(NoForecast, match=r"gldnet_forecasts kent\|2025-12 was made for other stre"):
        gldnet_scores(connection, lake, "2025-12", "kent", units)


def test_a_model_with_few_cut_offs_shrinks_those_of_no_other() -> None:
    """GLDNet, where it was trained at two of six cut-offs, is compared on these and not ranked."""
    months = months_back("2025-11", 6)
    rows = [
        {"unit": "segment", "scope": "kent", "crime_type": ALL_CRIME, "step": "month",
         "horizon_steps": 1, "metric": "hit_rate", "coverage": 0.1, "month": month,
         "model": model, "value": value, "tie_best": value, "tie_worst": value}
        for model, value, there in
        (("last_month", 0.3, months), ("rolling_mean_12", 0.4, months), ("gldnet", 0.5, months[4:]))
        for month in there
    ]  # fmt: skip
    board = rank_models(pd.DataFrame(rows), {m: f.role for m, f in FORECASTERS.items()})
    board = board.set_index("model")
    assert board["cut_offs"].to_dict() == {"last_month": 6, "rolling_mean_12": 6, "gldnet": 2}
    assert board["rank"].dropna().to_dict() == {"rolling_mean_12": 1, "last_month": 2}
    assert board.loc["gldnet", "against"] == "rolling_mean_12"
    assert board.loc["gldnet", "difference"] == pytest.approx(0.1)
