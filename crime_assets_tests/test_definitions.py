"""What Dagster loads: complete, explained, light."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping

import dagster as dg
import pytest

from crime_assets import lake
from crime_assets.definitions import build_definitions
from crime_assets.forecasting.assets import ASK, MODEL_ASSETS
from crime_assets.forecasting.forecasters import FORECASTERS
from crime_assets.grids.methods import METHODS
from crime_assets.models.classifiers import CLASSIFIERS
from crime_assets.partitions import (
    cells_x_cities,
    cities,
    forces,
    key_of,
    months,
    months_after,
    months_back,
    months_x_forces,
    partition_of,
)
from crime_assets.quality.checks import CHECKED_WITH, models_of
from crime_assets.settings import Settings
from crime_assets.tables import TABLES

HEAVY = (
    "tensorflow", "keras", "ray", "dagster_ray", "optuna", "osmnx", "great_expectations",
    "sklearn", "geopandas", "pandas", "scipy", "matplotlib",
)  # fmt: skip


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return build_definitions(Settings.from_environment({}))


@pytest.fixture(scope="module")
def specs(definitions: dg.Definitions) -> Mapping[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}


def names_of(table: str) -> list[str]:
    """The assets that publish a table: the one of its name, or one a model."""
    return [f"{table}/{model}" for model in models_of(table)] or [table]


def test_the_assets_are_these(specs: Mapping[str, dg.AssetSpec]) -> None:
    groups: dict[str, list[str]] = {}
    for name, spec in sorted(specs.items()):
        groups.setdefault(str(spec.group_name), []).append(name)
    assert groups == {
        "classification": sorted(
            f"{table}/{model}"
            for table in ("lsoa_evaluations", "lsoa_predictions")
            for model in CLASSIFIERS
        ),
        "cities": ["city_incidents", "incident_categories", "incident_days", "incident_maps"],
        "forecasting": sorted(
            [
                *(f"evaluations/{model}" for model in FORECASTERS),
                *(f"forecasts/{model}" for model in FORECASTERS if model != "perfect_foresight"),
                "leaderboard",
            ]
        ),
        "gldnet": ["gldnet", "gldnet_forecasts", "gldnet_trials"],
        "grids": sorted(
            [
                *(f"grid_evaluations/{method}" for method in METHODS),
                *(f"grid_forecasts/{method}" for method in METHODS),
                "grid_leaderboard",
            ]
        ),
        "hexes": [
            "hex_cells",
            "hex_counts",
            "hotspot_frequency",
            "hotspot_summary",
            "hotspots",
            "reconciliation",
            "scope_cells",
            "scopes",
            "snap_counts",
        ],
        "london_study": ["london_study", "mps_lsoa_years"],
        "lsoa": ["lsoa_areas", "lsoa_counts", "lsoa_features", "lsoa_labels"],
        "maps": ["hotspot_map"],
        "quality": ["inventory"],
        "sources": [
            "archive_index",
            "coverage",
            "release_changes",
            "street_crimes",
            "street_crimes_csv",
        ],
        "streets": ["segment_counts", "segment_steps", "street_graph", "street_segments"],
        "warehouse": ["warehouse"],
    }


def test_each_asset_explains_itself_in_the_ui(specs: Mapping[str, dg.AssetSpec]) -> None:
    for name, spec in specs.items():
        assert spec.owners == ["team:crime-assets"], name
        assert spec.kinds, name
        assert spec.code_version, name
        assert spec.description, name
        first = spec.description.split("\n")[0]
        assert len(first) > 40, name
        assert first.endswith("."), name
        assert spec.metadata["row"], name


def test_each_table_has_its_columns_in_the_ui(specs: Mapping[str, dg.AssetSpec]) -> None:
    for table in set(TABLES) - set(CHECKED_WITH):
        for name in names_of(table):
            schema = specs[name].metadata["dagster/column_schema"]
            columns = [column.name for column in schema.columns]
            expected = [*TABLES[table].partitions, *(c.name for c in TABLES[table].columns)]
            assert columns == expected, name
            assert all(column.description for column in schema.columns), name


def test_each_model_is_described_with_its_source_and_its_limits(
    specs: Mapping[str, dg.AssetSpec],
) -> None:
    for table, models in MODEL_ASSETS.items():
        for model in models:
            description = specs[f"{table}/{model}"].description or ""
            assert f"**{FORECASTERS[model].title}** (`{model}`)" in description
            assert FORECASTERS[model].source in description
            assert FORECASTERS[model].limits in description
    for table in ("lsoa_predictions", "lsoa_evaluations"):
        for model, classifier in CLASSIFIERS.items():
            description = specs[f"{table}/{model}"].description or ""
            assert f"**{classifier.title}** (`{model}`)" in description
            assert classifier.source in description
            assert classifier.limits in description


def test_models_of_one_class_have_code_versions_of_their_own(
    specs: Mapping[str, dg.AssetSpec],
) -> None:
    for table, models in MODEL_ASSETS.items():
        versions = {specs[f"{table}/{model}"].code_version for model in models}
        assert len(versions) == len(models), table


def test_each_asset_has_an_audit_and_each_table_expectations(definitions: dg.Definitions) -> None:
    checks: dict[str, set[str]] = {}
    for key in definitions.resolve_asset_graph().asset_check_keys:
        checks.setdefault(key.asset_key.to_user_string(), set()).add(key.name)
    for name in definitions.resolve_asset_graph().get_all_asset_keys():
        assert checks[name.to_user_string()] - {"expectations", "rejected_lines", "issues"}, name
    for table in set(TABLES) - set(CHECKED_WITH):
        for name in names_of(table):
            assert "expectations" in checks[name], name
    for table, audit in {
        "forecasts": "rankings_are_whole",
        "evaluations": "figures_fit",
        "lsoa_predictions": "probabilities_add_up",
        "lsoa_evaluations": "figures_fit",
        "grid_forecasts": "probabilities_are_whole",
        "grid_evaluations": "figures_fit",
    }.items():
        for name in names_of(table):
            assert checks[name] == {audit, "expectations"}, name
    assert checks["leaderboard"] == {"ranks_fit", "expectations"}
    assert checks["grid_leaderboard"] == {"places_fit", "expectations"}


def test_checks_are_partitioned_as_their_assets(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for key in graph.asset_check_keys:
        assert graph.get(key).partitions_def == graph.get(key.asset_key).partitions_def, key


def test_no_job_mixes_kinds_of_partitions(definitions: dg.Definitions) -> None:
    jobs = {job.name: job for job in definitions.resolve_all_job_defs() if "ASSET" not in job.name}
    assert {name: job.partitions_def for name, job in jobs.items()} == {
        "index_archive": months,
        "ingest": months_x_forces,
        "list_changes": months,
        "study_area": None,
        "rank_hotspots": months,
        "count_lsoas": months,
        "describe_lsoas": months,
        "label_lsoas": months,
        "classify": months,
        "judge_classes": months,
        "lay_streets": forces,
        "count_segments": months,
        "describe_segments": months_x_forces,
        "search_gldnet": months_x_forces,
        "train_gldnet": months_x_forces,
        "reproduce_london_study": None,
        "read_incidents": cities,
        "map_incidents": cells_x_cities,
        "forecast_grids": cells_x_cities,
        "judge_grids": cells_x_cities,
        "forecast": months,
        "evaluate": months,
        "compare": months,
        "draw_map": months,
        "build_warehouse": None,
        "take_inventory": None,
        "clean_up": None,
    }


@pytest.mark.parametrize(
    ("job", "tables"),
    [
        ("forecast", "forecasts"),
        ("evaluate", "evaluations"),
        ("compare", "leaderboard"),
        ("forecast_grids", "grid_forecasts"),
        ("classify", "lsoa_predictions"),
        ("judge_classes", "lsoa_evaluations"),
    ],
)
def test_each_job_of_models_has_the_assets_of_one_table(
    definitions: dg.Definitions, job: str, tables: str
) -> None:
    layer = definitions.resolve_job_def(job).asset_layer
    names = {key.to_user_string() for key in layer.selected_asset_keys}
    assert names == set(names_of(tables))


def test_definitions_import_nothing_heavy() -> None:
    code = (
        "import sys, json, crime_assets.definitions; "
        f"print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert json.loads(output) == []


def test_definitions_load_without_a_warning() -> None:
    output = subprocess.run(
        [sys.executable, "-c", "import crime_assets.definitions"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert output.stderr == ""


def test_a_tables_code_version_is_that_of_its_sql(monkeypatch: pytest.MonkeyPatch) -> None:
    before = lake.code_version(["hexes/hex_counts"])
    assert before == lake.code_version(["hexes/hex_counts"])
    text = lake.sql("hexes/hex_counts")
    monkeypatch.setattr(lake, "sql", lambda statement: text + " ")
    assert lake.code_version(["hexes/hex_counts"]) != before
    monkeypatch.undo()
    assert lake.code_version(["hexes/hex_counts"], 0.001) != before


# --- partitions ------------------------------------------------------------------------------


def test_keys_are_spelled_force_then_month() -> None:
    assert key_of({"month": "2025-09", "force": "kent"}) == "kent|2025-09"
    assert partition_of("kent|2025-09", months_x_forces) == {"month": "2025-09", "force": "kent"}
    assert key_of({"month": "2025-09"}) == "2025-09"
    assert partition_of("kent", forces) == {"force": "kent"}
    assert key_of({}) is None


def test_keys_of_grids_are_spelled_cells_then_city() -> None:
    place = {"cells": "16", "city": "san-francisco"}
    assert key_of(place) == "16|san-francisco"
    assert partition_of("16|san-francisco", cells_x_cities) == place
    assert partition_of("seattle", cities) == {"city": "seattle"}
    assert key_of({"city": "seattle"}) == "seattle"
    assert len(cells_x_cities.get_partition_keys()) == 4 * len(cities.get_partition_keys())


def test_there_are_43_territorial_forces_btp_and_three_of_the_sample() -> None:
    keys = forces.get_partition_keys()
    assert len(keys) == 44 + 3
    assert keys[:3] == ["avon-and-somerset", "bedfordshire", "btp"]
    assert [key for key in keys if key.startswith("sample-")] == keys[44:]
    assert "northern-ireland" not in keys


def test_windows_of_months_cross_years() -> None:
    assert months_after("2024-11", 3) == ["2024-12", "2025-01", "2025-02"]
    assert months_after("2024-11", 0) == []
    assert months_back("2025-02", 3) == ["2024-12", "2025-01", "2025-02"]
    assert months_back("2025-12", 36)[0] == "2023-01"


@pytest.mark.parametrize(
    ("table", "first"), [("hotspots", "2025-01"), ("hotspot_frequency", "2023-01")]
)
def test_hotspots_look_back_12_months_and_frequency_36(
    definitions: dg.Definitions, table: str, first: str
) -> None:
    parent = "hex_counts" if table == "hotspots" else "hotspots"
    keys = upstream(definitions, table, parent, "2025-12")
    assert (keys[0], keys[-1]) == (first, "2025-12")


def test_features_are_of_36_months_and_labels_of_the_12_after(
    definitions: dg.Definitions,
) -> None:
    found = upstream(definitions, "lsoa_features", "lsoa_counts", "2024-12")
    assert found == months_back("2024-12", 36)
    found = upstream(definitions, "lsoa_labels", "lsoa_counts", "2023-12")
    assert found == months_after("2023-12", 12)


@pytest.mark.parametrize("model", CLASSIFIERS)
def test_a_classifier_learns_from_a_year_before_and_is_judged_by_the_cut_off_itself(
    definitions: dg.Definitions, model: str
) -> None:
    for parent in ("lsoa_features", "lsoa_labels"):
        found = upstream(definitions, f"lsoa_predictions/{model}", parent, "2024-12")
        assert (found[0], found[-1]) == ("2023-12", "2024-12")
        found = upstream(definitions, f"lsoa_evaluations/{model}", parent, "2024-12")
        assert found == ["2024-12"]


def upstream(definitions: dg.Definitions, asset: str, parent: str, month: str) -> list[str]:
    """The months of ``parent`` that a month of ``asset`` is made from; both by name."""
    graph = definitions.resolve_asset_graph()
    mapping = graph.get_partition_mapping(
        dg.AssetKey(asset.split("/")), parent_asset_key=dg.AssetKey(parent.split("/"))
    )
    mapped = mapping.get_upstream_mapped_partitions_result_for_partitions(
        months.empty_subset().with_partition_keys([month]), months, months
    )
    return sorted(mapped.partitions_subset.get_partition_keys())


@pytest.mark.parametrize("model", MODEL_ASSETS["forecasts"])
def test_a_forecast_is_made_from_36_months_and_never_from_a_later_one(
    definitions: dg.Definitions, model: str
) -> None:
    for parent in ("segment_counts",) if model == "gldnet" else ("hex_counts", "segment_counts"):
        found = upstream(definitions, f"forecasts/{model}", parent, "2024-12")
        assert found == months_back("2024-12", 36)


@pytest.mark.parametrize("model", MODEL_ASSETS["evaluations"])
def test_an_evaluation_needs_the_year_after_the_cut_off_too(
    definitions: dg.Definitions, model: str
) -> None:
    assert max(ASK.horizons) == 12
    for parent in ("segment_counts",) if model == "gldnet" else ("hex_counts", "segment_counts"):
        found = upstream(definitions, f"evaluations/{model}", parent, "2023-12")
        assert found == [*months_back("2023-12", 36), *months_after("2023-12", 12)]


def test_an_evaluation_compares_with_the_forecast_of_the_month_before(
    definitions: dg.Definitions,
) -> None:
    graph = definitions.resolve_asset_graph()
    for model in MODEL_ASSETS["evaluations"]:
        parents = {
            k.to_user_string() for k in graph.get(dg.AssetKey(["evaluations", model])).parent_keys
        }
        of_forecasts = {name for name in parents if name.startswith("forecasts/")}
        if model == "perfect_foresight":
            assert of_forecasts == set()
        else:
            assert of_forecasts == {f"forecasts/{model}"}
            found = upstream(definitions, f"evaluations/{model}", f"forecasts/{model}", "2023-12")
            assert found == ["2023-11", "2023-12"]


def test_a_leaderboard_rests_on_the_36_cut_offs_before_its_month(
    definitions: dg.Definitions,
) -> None:
    graph = definitions.resolve_asset_graph()
    parents = {k.to_user_string() for k in graph.get(dg.AssetKey("leaderboard")).parent_keys}
    assert parents == {"coverage", *(f"evaluations/{model}" for model in FORECASTERS)}
    for model in FORECASTERS:
        found = upstream(definitions, "leaderboard", f"evaluations/{model}", "2025-06")
        assert found == months_back("2025-05", 36)


@pytest.mark.parametrize(
    ("parent", "first", "last"),
    [
        ("hotspot_frequency", "2025-12", "2025-12"),
        *((table, "2023-01", "2025-12") for table in ("hotspots", "hex_counts", "snap_counts")),
        ("coverage", "2023-01", "2025-12"),
        ("lsoa_labels", "2024-12", "2024-12"),
        ("segment_counts", "2025-01", "2025-12"),
        ("forecasts/rolling_mean_12", "2024-12", "2025-11"),
    ],
)
def test_a_map_rests_on_36_months_and_on_what_was_foretold_of_them(
    definitions: dg.Definitions, parent: str, first: str, last: str
) -> None:
    found = upstream(definitions, "hotspot_map", parent, "2025-12")
    assert (found[0], found[-1]) == (first, last)


def test_the_warehouse_follows_the_assets_of_every_table(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    parents = {k.to_user_string() for k in graph.get(dg.AssetKey("warehouse")).parent_keys}
    tables = set(TABLES) - set(CHECKED_WITH)
    assert parents == {name for table in tables for name in names_of(table)}
