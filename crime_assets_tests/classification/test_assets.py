"""Risk classes as Dagster makes them, on a small lake that is made here.

Squares of 5 km, and the crimes of 48 months in them: features are known from 2022-12 on, labels of
2022-12 and 2023-12 can be made, and 2023-12 is the cut-off that is foretold.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import duckdb
import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from crime_assets.classification import assets, predicting, report
from crime_assets.definitions import build_definitions
from crime_assets.lake import DuckDB, Lake
from crime_assets.lsoa.labels import LABELS
from crime_assets.models import classifiers
from crime_assets.partitions import months_after, months_back
from crime_assets.settings import Settings
from crime_assets.tables import TABLES
from crime_assets_tests.conftest import run_job

BEFORE, CUT_OFF = "2022-12", "2023-12"
AFTER = months_after(CUT_OFF, 12)
MONTHS = [*months_back(CUT_OFF, 24), *AFTER]
TYPES = ("Burglary", "Theft from the person", "Violence and sexual offences")
SIDE_M = 5_000


# --- The lake -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Town:
    """So many squares in a row, so many rows; ``forces`` (by name) share them from the west."""

    columns: int
    rows: int
    forces: Mapping[str, int]

    @property
    def codes(self) -> list[str]:
        return [f"E{i:08}" for i in range(self.columns * self.rows)]

    @property
    def force(self) -> list[str]:
        return [force for force, areas in self.forces.items() for _ in range(areas)]

    def areas(self) -> pd.DataFrame:
        at = np.arange(self.columns * self.rows)
        return pd.DataFrame(
            {
                "lsoa21cd": self.codes,
                "lsoa21nm": [f"Town {i:03}A" for i in at],
                "force": self.force,
                "area_km2": SIDE_M**2 / 1e6,
                "west": 400_000.0 + SIDE_M * (at // self.rows),
                "south": 200_000.0 + SIDE_M * (at % self.rows),
            }
        )


SMALL = Town(8, 8, {"kent": 34, "essex": 30})
LARGE = Town(12, 12, {"kent": 54, "essex": 54, "gwent": 12, "surrey": 12, "sussex": 12})


def publish(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    table: str,
    frame: pd.DataFrame,
    partition: Mapping[str, str] | None = None,
    provenance: Mapping[str, object] | None = None,
) -> None:
    connection.register("made", frame)
    lake.publish(connection, "made", table, partition, provenance)
    connection.unregister("made")


def publish_month(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    town: Town,
    month: str,
    silent: Sequence[str] = (),
) -> None:
    """Counts that depend on the month alone; a busy square is busy in every month."""
    n = len(town.codes)
    busy = np.random.default_rng(5).gamma(0.6, 8.0, (n, len(TYPES)))
    crimes = np.random.default_rng(int(month.replace("-", ""))).poisson(busy)
    area, kind = np.nonzero(crimes * ~np.isin(town.force, silent)[:, None])
    frame = pd.DataFrame(
        {
            "lsoa21cd": np.array(town.codes)[area],
            "crime_type": np.array(TYPES)[kind],
            "crimes": crimes[area, kind],
            "same_code": crimes[area, kind],
        }
    )
    published = [force for force in town.forces if force not in silent]
    publish(connection, lake, "lsoa_counts", frame, {"month": month}, {"forces": published})


def make(
    folder: Path,
    connection: duckdb.DuckDBPyConnection,
    town: Town,
    silent: Mapping[str, Sequence[str]] = {},
) -> Path:
    """A data folder with areas and counts; ``silent`` forces by month."""
    lake = Lake(folder / "lake")
    connection.register("squares", town.areas())
    connection.execute(
        "create or replace temp table made_areas as select lsoa21cd, lsoa21nm, force, area_km2, "
        f"st_makeenvelope(west, south, west + {SIDE_M}, south + {SIDE_M})::geometry('EPSG:27700') "
        "as geometry from squares"
    )
    lake.publish(connection, "made_areas", "lsoa_areas")
    for month in MONTHS:
        publish_month(connection, lake, town, month, silent.get(month, ()))
    return folder


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with DuckDB(threads=1).get_connection() as opened:
        yield opened


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Boosting so few areas on several threads of a busy machine takes twenty times as long."""
    with threadpool_limits(1):
        yield


def settings(folder: Path, town: Town = SMALL, threads: int = 1, **more: str) -> Settings:
    return Settings.from_environment(
        {
            "CRIME_DATA_DIR": str(folder),
            "CRIME_FORCES": ",".join(town.forces),
            "CRIME_THREADS": str(threads),
            **more,
        }
    )


@pytest.fixture(scope="module")
def made(connection: duckdb.DuckDBPyConnection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small town with features of both cut-offs and labels of the first. Nobody writes to it.

    Labels of the cut-off lie beside the lake, as ``labels.parquet``.
    """
    folder = make(tmp_path_factory.mktemp("made"), connection, SMALL)
    lake = Lake(folder / "lake")
    assert run(folder, "lsoa_features", BEFORE, CUT_OFF).success
    assert run(folder, "lsoa_labels", BEFORE, CUT_OFF).success
    shutil.move(lake.path("lsoa_labels", {"month": CUT_OFF}), folder / "labels.parquet")
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """The same, to write to."""
    return Path(shutil.copytree(made, tmp_path / "data"))


def let_labels_be_known(folder: Path) -> None:
    path = Lake(folder / "lake").path("lsoa_labels", {"month": CUT_OFF})
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(folder / "labels.parquet", path)


# --- Runs -----------------------------------------------------------------------------------


@dataclass
class Run:
    """What a run of one asset logged of its partitions, and what failed."""

    success: bool
    metadata: dict[str | None, dict[str, object]] = field(default_factory=dict)
    checks: list[tuple[str, bool]] = field(default_factory=list)
    failure: str = ""

    def text(self, name: str, month: str = CUT_OFF) -> str:
        return str(self.metadata[month][name])


def run(folder: Path, asset: str, *months: str, of: Settings | None = None) -> Run:
    """Materialise one asset, such as ``lsoa_predictions/same_class``, of months."""
    key = dg.AssetKey(asset.split("/"))
    selection = dg.AssetSelection.assets(key) - dg.AssetSelection.checks(
        dg.AssetCheckKey(key, "expectations")  # their judge takes seconds to import
    )
    job = dg.define_asset_job("one", selection=selection)
    definitions = dg.Definitions.merge(
        build_definitions(of or settings(folder)), dg.Definitions(jobs=[job])
    )
    found = Run(True)
    for month in months:
        with dg.DagsterInstance.ephemeral() as instance:
            result = definitions.resolve_job_def("one").execute_in_process(
                instance=instance,
                partition_key=month,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                raise_on_error=False,
            )
            for record in instance.fetch_materializations(key, limit=10).records:
                event = record.asset_materialization
                assert event is not None
                values = {name: value.value for name, value in event.metadata.items()}
                found.metadata[record.partition_key] = values
        found.success &= result.success
        for event in result.all_events:
            if event.event_type_value == "ASSET_CHECK_EVALUATION":
                check = event.asset_check_evaluation_data
                found.checks.append((check.check_name, check.passed))
            if event.is_step_failure and event.step_failure_data.user_failure_data:
                found.failure += event.step_failure_data.user_failure_data.description or ""
    return found


def predict(folder: Path, model: str, **how: Settings) -> Run:
    return run(folder, f"lsoa_predictions/{model}", CUT_OFF, **how)


def evaluate(folder: Path, model: str) -> Run:
    return run(folder, f"lsoa_evaluations/{model}", CUT_OFF)


def table(folder: Path, name: str, model: str) -> pd.DataFrame:
    return read(Lake(folder / "lake").require(name, {"month": CUT_OFF, "model": model}))


def read(path: Path) -> pd.DataFrame:
    return duckdb.sql(f"from read_parquet('{path}', hive_partitioning = false)").df()


def files_of(folder: Path, model: str) -> Path:
    return folder / "classifiers" / CUT_OFF / model


# --- Predictions ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Foretold:
    """The small town with the forecast of a model, before the outcome is known, and its run."""

    folder: Path
    run: Run
    rows: pd.DataFrame


@pytest.fixture(scope="module")
def foretold(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Foretold:
    """Of logistic regression. Nobody writes to it."""
    folder = Path(shutil.copytree(made, tmp_path_factory.mktemp("foretold") / "data"))
    found = predict(folder, "logistic_regression")
    assert found.success, found.failure
    return Foretold(folder, found, table(folder, "lsoa_predictions", "logistic_regression"))


def test_before_the_outcome_is_known_every_area_is_foretold_and_nothing_else(
    foretold: Foretold,
) -> None:
    assert foretold.run.checks == [("probabilities_add_up", True)]
    rows = foretold.rows
    assert list(rows.columns) == [c.name for c in TABLES["lsoa_predictions"].columns]
    assert set(rows["split"]) == {"time"}
    assert set(rows["scope"]) == {"study-area"}  # neither force has 50 areas
    assert len(rows) == 64 * len(LABELS)
    for label, names in LABELS.items():
        of_label = rows[rows["label"] == label]
        assert of_label["lsoa21cd"].tolist() == SMALL.codes
        assert set(of_label["predicted"]) <= set(names)
        assert {len(p) for p in of_label["probabilities"]} == {len(names)}
        for predicted, probabilities, of_area in zip(
            of_label["predicted"],
            of_label["probabilities"],
            of_label["conformal_set"],
            strict=True,
        ):
            assert predicted == names[int(np.argmax(probabilities))]
            assert predicted in of_area
            assert list(of_area) == [name for name in names if name in of_area]


def test_its_metadata_say_what_it_was_fitted_on_and_by_which_features(foretold: Foretold) -> None:
    found = foretold.run
    used, not_used = (found.text(name).split(", ") for name in ("features", "not_used"))
    assert "density_last_year" in used
    assert "density_year_before" in not_used  # not known a year before
    assert "density_mean" in not_used  # of one year then, of two now
    assert {"imd_rank", "population", "hot_cells"} <= set(not_used)
    assert not set(used) & set(not_used)
    assert BEFORE in found.text("fitted_on")
    assert found.text("splits") == "time"
    assert found.metadata[CUT_OFF]["scopes"] == 1
    assert found.metadata[CUT_OFF]["dagster/partition_row_count"] == 64 * len(LABELS)
    assert "left_out" not in found.metadata[CUT_OFF]
    assert "| study-area | Town 0" in found.text("preview")


def test_classes_lie_beside_the_table_as_csv_as_geopackage_and_as_a_model(
    foretold: Foretold,
) -> None:
    gpd = pytest.importorskip("geopandas")
    tier = foretold.rows[foretold.rows["label"] == "tier"]
    there = files_of(foretold.folder, "logistic_regression")
    csv = pd.read_csv(there / "predictions.csv")
    assert csv["lsoa21cd"].tolist() == SMALL.codes
    assert csv["tier"].astype(str).tolist() == tier["predicted"].tolist()
    assert csv["very_high_probability"].to_numpy() == pytest.approx(
        [p[3] for p in tier["probabilities"]]
    )
    assert csv["tier_set"].astype(str).tolist() == [" ".join(s) for s in tier["conformal_set"]]
    assert csv["force"].tolist() == SMALL.force
    outlines = gpd.read_file(there / "predictions.gpkg")
    assert outlines.crs.to_epsg() == 27700
    assert outlines.geometry.area.tolist() == [SIDE_M**2] * 64
    assert outlines["tier"].tolist() == csv["tier"].tolist()
    estimator, names = classifiers.load(there / "tier.skops")
    assert estimator.n_features_in_ == len(names)
    importances = pd.read_csv(there / "importances.csv")
    assert importances.groupby("label").size().to_dict() == dict.fromkeys(LABELS, len(names))
    assert importances["permutation"].notna().all()
    assert importances["impurity"].isna().all()


def test_the_rule_keeps_the_class_of_last_year_and_leaves_no_model(folder: Path) -> None:
    assert predict(folder, "same_class").success
    rows = table(folder, "lsoa_predictions", "same_class")
    # what became of areas after the first cut-off is last year's class now
    labels = read(Lake(folder / "lake").path("lsoa_labels", {"month": BEFORE}))
    said = rows[rows["label"] == "tier"]["predicted"].tolist()
    assert said == labels["tier"].astype(int).astype(str).tolist()
    names = {path.name for path in files_of(folder, "same_class").iterdir()}
    assert names == {"predictions.csv", "predictions.gpkg", "model_card.html", "model_card.md"}
    card = (files_of(folder, "same_class") / "model_card.md").read_text(encoding="utf-8")
    assert "has not been judged yet" in card


def test_what_then_happened_changes_nothing_that_was_foretold(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert predict(folder, "same_class").success
    early = table(folder, "lsoa_predictions", "same_class")
    let_labels_be_known(folder)
    monkeypatch.setattr(predicting, "LEAST_OF_SPLITS", 60)
    found = predict(folder, "same_class")
    late = table(folder, "lsoa_predictions", "same_class")
    assert found.text("splits") == "random, space, time"  # two forces are too few
    assert set(late["split"]) == {"time", "space", "random"}
    in_time = late[late["split"] == "time"].reset_index(drop=True)
    pd.testing.assert_frame_equal(in_time, early)
    assert late[late["split"] != "time"]["conformal_set"].isna().all()
    sizes = late[late["label"] == "tier"].groupby("split").size().to_dict()
    assert sizes == {"time": 64, "space": 64, "random": 64}


def test_small_scopes_are_foretold_alone_also_when_their_outcome_is_known(folder: Path) -> None:
    let_labels_be_known(folder)
    assert predict(folder, "same_class").text("splits") == "time"


@pytest.mark.parametrize(("name", "month"), [
    ("lsoa_features", BEFORE), ("lsoa_features", CUT_OFF), ("lsoa_labels", BEFORE),
    ("lsoa_areas", None),
])  # fmt: skip
def test_what_is_missing_is_named_with_how_to_make_it(
    folder: Path, name: str, month: str | None
) -> None:
    lake = Lake(folder / "lake")
    lake.path(name, {"month": month} if month else None).unlink()
    found = predict(folder, "same_class")
    assert not found.success
    assert f"{name} {month}" if month else name in found.failure
    assert f"--select {name}" in found.failure
    assert not lake.has("lsoa_predictions", {"month": CUT_OFF, "model": "same_class"})


def test_labels_of_two_pairs_of_types_are_not_mixed(
    folder: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    rows = read(folder / "labels.parquet")
    lake, other = Lake(folder / "lake"), {"bivariate": ["Burglary", "Drugs"]}
    publish(connection, lake, "lsoa_labels", rows, {"month": CUT_OFF}, other)
    found = predict(folder, "same_class")
    assert not found.success
    assert "lsoa_labels are of different pairs of types" in found.failure
    assert "2023-12: Burglary x Drugs" in found.failure
    assert "materialise again" in found.failure


def test_a_label_of_which_all_areas_have_one_class_is_left_out_and_it_says_why(
    folder: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    lake = Lake(folder / "lake")
    place = {"month": BEFORE}
    origin = lake.provenance(connection, "lsoa_labels", place)
    rows = read(lake.path("lsoa_labels", place)).assign(tier=2)
    publish(connection, lake, "lsoa_labels", rows, place, origin)
    found = predict(folder, "same_class")
    assert "| study-area | tier: all 64 areas are of one class |" in found.text("left_out")
    said = table(folder, "lsoa_predictions", "same_class")
    assert set(said["label"]) == {"is_hotspot", "bivariate"}
    rows = rows.assign(is_hotspot=False, bivariate="0_0")
    publish(connection, lake, "lsoa_labels", rows, place, origin)
    found = predict(folder, "same_class")
    assert not found.success
    for label in LABELS:
        assert f"study-area: {label}: all 64 areas are of one class" in found.failure
    assert len(table(folder, "lsoa_predictions", "same_class")) == len(said)  # the old ones stay


# --- Evaluations ----------------------------------------------------------------------------


def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take seconds, and have a test of their own."""
    monkeypatch.setattr(report, "PICTURED_SCOPES", 0)
    monkeypatch.setattr(assets, "_pictures", lambda *_: {})


def now_known(foretold: Foretold, tmp_path: Path) -> Path:
    """A copy of the folder in which there are labels of the cut-off, and what the rule said."""
    folder = Path(shutil.copytree(foretold.folder, tmp_path / "data"))
    let_labels_be_known(folder)
    assert predict(folder, "same_class").success
    return folder


def test_the_whole_way_from_counts_to_figures(
    foretold: Foretold, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_pictures(monkeypatch)
    folder = now_known(foretold, tmp_path)
    found = evaluate(folder, "logistic_regression")
    assert found.success, found.failure
    assert found.checks == [("figures_fit", True)]
    rows = table(folder, "lsoa_evaluations", "logistic_regression")
    assert list(rows.columns) == [c.name for c in TABLES["lsoa_evaluations"].columns]
    assert rows["value"].notna().all()
    predictions = foretold.rows
    labels = read(folder / "labels.parquet")
    of_all = rows[(rows["group_kind"] == "all") & rows["class"].isna()]
    for label in LABELS:
        said = predictions[predictions["label"] == label]["predicted"].tolist()
        truth = labels[label]
        became = (truth if label == "bivariate" else truth.astype(int)).astype(str).tolist()
        right = np.mean([one == other for one, other in zip(said, became, strict=True)])
        (accuracy,) = of_all[(of_all["label"] == label) & (of_all["metric"] == "accuracy")]["value"]
        assert accuracy == pytest.approx(right)
    assert "macro_f1_difference" in set(of_all["metric"])
    assert set(rows[rows["group_kind"] == "force"]["group_name"]) == {"kent", "essex"}
    assert "deprivation" not in set(rows["group_kind"])  # nobody gave it
    moran = rows[rows["metric"] == "moran_i"]
    assert set(moran["class"]) == {"density", "tier", "is_hotspot", "residual"}
    assert moran["p_value"].between(0, 1).all()
    # 16 blocks are enough for an interval
    assert of_all[of_all["metric"] == "accuracy"][["low", "high"]].notna().all(axis=None)
    assert "| study-area | is_hotspot | time | accuracy |" in found.text("preview")


@pytest.mark.slow
def test_a_report_a_card_and_maps_show_what_was_judged(foretold: Foretold, tmp_path: Path) -> None:
    folder = now_known(foretold, tmp_path)
    found = evaluate(folder, "logistic_regression")
    assert found.success, found.failure
    rows = table(folder, "lsoa_evaluations", "logistic_regression")
    rows = rows[(rows["metric"] == "accuracy") & (rows["group_kind"] == "all")]
    there = files_of(folder, "logistic_regression")
    card = (there / "model_card.md").read_text().replace("\\", "")
    page = (there / "report.html").read_text()
    for accuracy in rows["value"]:
        assert f"{accuracy:.3f}" in card
        assert f"{100 * accuracy:.1f}" in page
    assert "the class of last year, by" in card
    assert page.lower().startswith("<!doctype html>")
    assert "logistic regression" in page.lower()
    for name in ("model_card.html", "tier.png", "bivariate.png"):
        assert (there / name).stat().st_size > 1000
    for name in ("tier_map", "bivariate_map", "is_hotspot_confusion", "tier_calibration"):
        assert found.text(name).startswith("![")


def test_without_the_predictions_of_the_rule_there_is_nothing_to_compare_with(
    foretold: Foretold, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(foretold.folder, tmp_path / "data"))
    let_labels_be_known(folder)
    found = evaluate(folder, "logistic_regression")
    assert not found.success
    assert "'key:\"lsoa_predictions/same_class\"' --partition '2023-12'" in found.failure


def test_before_the_outcome_is_known_nothing_can_be_judged(folder: Path) -> None:
    assert predict(folder, "same_class").success
    found = evaluate(folder, "same_class")
    assert not found.success
    assert "lsoa_labels 2023-12 is not in the lake" in found.failure


# --- A larger town, all models --------------------------------------------------------------


@pytest.mark.slow
def test_all_models_by_all_splits_in_all_scopes(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """144 areas of five forces. Essex was silent in a month of the first year."""
    monkeypatch.setattr(predicting, "LEAST_OF_SPLITS", 100)
    without_pictures(monkeypatch)
    ranks = tmp_path / "ranks.csv"
    pd.DataFrame({"lsoa21cd": LARGE.codes, "imd_rank": range(144)}).to_csv(ranks, index=False)
    folder = make(tmp_path, connection, LARGE, {MONTHS[3]: ["essex"]})
    of = settings(folder, LARGE, 2, CRIME_LSOA_ATTRIBUTES=str(ranks))
    assert run(folder, "lsoa_features", BEFORE, CUT_OFF, of=of).success
    assert run(folder, "lsoa_labels", BEFORE, of=of).success
    assert predict(folder, "logistic_regression", of=of).success
    early = table(folder, "lsoa_predictions", "logistic_regression")
    assert run(folder, "lsoa_labels", CUT_OFF, of=of).success
    for job in ("classify", "judge_classes"):
        assert run_job(of, job, CUT_OFF, CUT_OFF).success
    lake = Lake(folder / "lake")
    for model in classifiers.CLASSIFIERS:
        rows = table(folder, "lsoa_predictions", model)
        sizes = rows[rows["label"] == "bivariate"].groupby(["scope", "split"]).size().to_dict()
        nation = {"time": 144, "space": 144, "force": 144, "random": 144}
        assert sizes == {("study-area", split): n for split, n in nation.items()} | {
            ("kent", "time"): 54
        }
        figures = table(folder, "lsoa_evaluations", model)
        assert set(figures["split"]) == set(nation)
        assert set(figures["group_kind"]) == {"all", "force", "deprivation"}
        has_difference = figures["metric"].str.endswith("_difference").any()
        assert has_difference == (model != "same_class")
        assert (files_of(folder, model) / "report.html").exists()
        if model == "logistic_regression":  # what then happened changed nothing
            in_time = rows[rows["split"] == "time"].reset_index(drop=True)
            pd.testing.assert_frame_equal(in_time, early)
    bytes_of = {
        model: lake.sha256("lsoa_predictions", {"month": CUT_OFF, "model": model})
        for model in classifiers.CLASSIFIERS
    }
    one = settings(folder, LARGE, 1, CRIME_LSOA_ATTRIBUTES=str(ranks))
    for model in classifiers.CLASSIFIERS:
        found = predict(folder, model, of=one)
        place = {"month": CUT_OFF, "model": model}
        assert lake.sha256("lsoa_predictions", place) == bytes_of[model], model
        assert "| essex | its areas have no whole year up to 2022-12 |" in found.text("left_out")
