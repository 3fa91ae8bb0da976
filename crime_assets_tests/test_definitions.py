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
from crime_assets.partitions import forces, key_of, months_back, months_x_forces, partition_of
from crime_assets.settings import Settings
from crime_assets.tables import TABLES

HEAVY = (
    "tensorflow", "great_expectations", "sklearn", "geopandas", "pandas", "scipy", "matplotlib",
)  # fmt: skip


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return build_definitions(Settings.from_environment({}))


@pytest.fixture(scope="module")
def specs(definitions: dg.Definitions) -> Mapping[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}


def test_the_assets_are_these(specs: Mapping[str, dg.AssetSpec]) -> None:
    groups: dict[str, list[str]] = {}
    for name, spec in sorted(specs.items()):
        groups.setdefault(str(spec.group_name), []).append(name)
    assert groups == {
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
        "sources": ["coverage", "street_crimes", "street_crimes_csv"],
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
    for name in set(TABLES) - {"rejected_crimes"}:
        schema = specs[name].metadata["dagster/column_schema"]
        columns = [column.name for column in schema.columns]
        expected = [*TABLES[name].partitions, *(c.name for c in TABLES[name].columns)]
        assert columns == expected
        assert all(column.description for column in schema.columns)


def test_each_asset_has_an_audit_and_each_table_expectations(definitions: dg.Definitions) -> None:
    checks: dict[str, set[str]] = {}
    for key in definitions.resolve_asset_graph().asset_check_keys:
        checks.setdefault(key.asset_key.to_user_string(), set()).add(key.name)
    for name in definitions.resolve_asset_graph().get_all_asset_keys():
        assert checks[name.to_user_string()] - {"expectations", "rejected_lines"}, name
    for name in set(TABLES) - {"rejected_crimes"}:
        assert "expectations" in checks[name], name


def test_checks_are_partitioned_as_their_assets(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for key in graph.asset_check_keys:
        assert graph.get(key).partitions_def == graph.get(key.asset_key).partitions_def, key


def test_no_job_mixes_the_two_kinds_of_partitions(definitions: dg.Definitions) -> None:
    jobs = {job.name: job for job in definitions.resolve_all_job_defs() if "ASSET" not in job.name}
    assert set(jobs) == {"ingest", "study_area", "rank_hotspots", "build_warehouse"}
    assert jobs["ingest"].partitions_def == months_x_forces


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
    assert key_of({}) is None


def test_there_are_43_territorial_forces_btp_and_three_of_the_sample() -> None:
    keys = forces.get_partition_keys()
    assert len(keys) == 44 + 3
    assert keys[:3] == ["avon-and-somerset", "bedfordshire", "btp"]
    assert [key for key in keys if key.startswith("sample-")] == keys[44:]
    assert "northern-ireland" not in keys


def test_windows_of_months_cross_years() -> None:
    assert months_back("2025-02", 3) == ["2024-12", "2025-01", "2025-02"]
    assert months_back("2025-12", 36)[0] == "2023-01"


@pytest.mark.parametrize(
    ("table", "first"), [("hotspots", "2025-01"), ("hotspot_frequency", "2023-01")]
)
def test_hotspots_look_back_12_months_and_frequency_36(
    definitions: dg.Definitions, table: str, first: str
) -> None:
    graph = definitions.resolve_asset_graph()
    parent = "hex_counts" if table == "hotspots" else "hotspots"
    mapping = graph.get_partition_mapping(dg.AssetKey(table), parent_asset_key=dg.AssetKey(parent))
    months = graph.get(dg.AssetKey(table)).partitions_def
    assert months is not None
    mapped = mapping.get_upstream_mapped_partitions_result_for_partitions(
        months.empty_subset().with_partition_keys(["2025-12"]), months, months
    )
    keys = sorted(mapped.partitions_subset.get_partition_keys())
    assert (keys[0], keys[-1]) == (first, "2025-12")
