"""Settings: what each may hold, what it is when it is not given, and what a wrong one is told."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import crime_assets
from crime_assets.settings import SETTINGS, SettingError, Settings, incidents_folder

TERRITORIAL_FORCES = 43


def test_without_any_setting_a_deployment_works_on_all_forces_and_the_website(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings.from_environment({})
    assert settings.archive_url == "https://data.police.uk/data/archive"
    assert settings.data_dir == tmp_path / "data"
    assert settings.lsoa_boundaries.endswith("Boundaries_EW_BGC_V5/FeatureServer/0/query")
    assert settings.force_boundaries.endswith("December_2023_EW_BGC/FeatureServer/0/query")
    assert len(settings.forces) == TERRITORIAL_FORCES + 1
    assert "btp" in settings.forces
    assert not any(force.startswith("sample-") for force in settings.forces)
    assert "northern-ireland" not in settings.forces  # outside the grid
    assert settings.scopes is None
    assert settings.weights is None
    assert settings.incidents == tmp_path / "data" / "incidents"
    assert settings.map_url == "http://127.0.0.1:8300"
    assert settings.basemap == "https://tile.openstreetmap.org/{z}/{x}/{y}.png"
    assert settings.basemap_attribution == "© OpenStreetMap contributors"
    assert settings.memory_limit == "4GB"
    assert settings.threads >= 1


def test_settings_come_from_the_environment_of_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRIME_ARCHIVE_URL", "/somewhere")
    monkeypatch.setenv("CRIME_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("CRIME_SCOPES", "wards.gpkg")
    monkeypatch.setenv("CRIME_WEIGHTS", "harm.csv")
    monkeypatch.setenv("CRIME_THREADS", "3")
    settings = Settings.from_environment()
    assert settings.archive_url == "/somewhere"
    assert settings.data_dir == tmp_path
    assert settings.scopes == "wards.gpkg"
    assert settings.weights == "harm.csv"
    assert settings.threads == 3


@pytest.mark.parametrize("name", [setting.name for setting in SETTINGS])
def test_a_setting_that_is_empty_or_blank_is_as_if_it_were_not_given(name: str) -> None:
    default = Settings.from_environment({})
    assert Settings.from_environment({name: ""}) == default
    assert Settings.from_environment({name: "  \t"}) == default


def test_forces_stand_in_the_order_of_the_register_and_once(tmp_path: Path) -> None:
    given = {"CRIME_FORCES": " kent, city-of-london ,kent,, btp,"}
    assert Settings.from_environment(given).forces == ("btp", "city-of-london", "kent")


def test_the_sample_is_a_deployment_of_its_own_forces() -> None:
    given = {"CRIME_FORCES": "sample-wellbank,sample-dogger"}
    assert Settings.from_environment(given).forces == ("sample-dogger", "sample-wellbank")


def test_the_data_folder_is_absolute_and_may_be_in_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    def folder(text: str) -> Path:
        return Settings.from_environment({"CRIME_DATA_DIR": text}).work_dir

    assert folder("lake of ours") == tmp_path / "lake of ours"
    assert folder("~/crime") == tmp_path / "home" / "crime"
    assert folder("/srv/crime") == Path("/srv/crime")


def test_incidents_lie_below_the_data_folder_or_where_the_setting_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def folder(**given: str) -> Path:
        found = Settings.from_environment(given).incidents
        assert incidents_folder(given) == found
        return found

    monkeypatch.setenv("HOME", str(tmp_path))
    assert folder(CRIME_DATA_DIR="/srv/crime") == Path("/srv/crime/incidents")
    assert folder(CRIME_DATA_DIR="/srv/crime", CRIME_INCIDENTS="~/cities") == tmp_path / "cities"
    monkeypatch.chdir(tmp_path)
    # partitions are made before a setting that is wrong is told of
    assert incidents_folder({"CRIME_DATA_DIR": "gs://x"}) == tmp_path / "data" / "incidents"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("CRIME_DATA_DIR", "gs://bucket/x", r"'gs://bucket/x'; it must be a local folder, or s3:"),
        ("CRIME_DATA_DIR", "/data/month=1/x", r"'/data/month=1/x'; a folder with an equals sign"),
        ("CRIME_THREADS", "0", r"CRIME_THREADS is '0'; it must be a count, such as 2"),
        ("CRIME_THREADS", "-2", r"CRIME_THREADS is '-2'"),
        ("CRIME_THREADS", "two", r"CRIME_THREADS is 'two'"),
        ("CRIME_THREADS", "1.5", r"CRIME_THREADS is '1\.5'"),
        ("CRIME_THREADS", "²", r"CRIME_THREADS is '²'"),
        ("CRIME_MEMORY_LIMIT", "lots", r"CRIME_MEMORY_LIMIT is 'lots'; it must be an amount"),
        ("CRIME_MEMORY_LIMIT", "4", r"CRIME_MEMORY_LIMIT is '4'"),
        ("CRIME_MEMORY_LIMIT", "0GB", r"CRIME_MEMORY_LIMIT is '0GB'"),
        ("CRIME_MEMORY_LIMIT", "-1GB", r"CRIME_MEMORY_LIMIT is '-1GB'"),
        ("CRIME_BASEMAP", "https://tiles.example.org", r"without \{z\}, \{x\}, \{y\}; it must be"),
        ("CRIME_BASEMAP", "/{z}/{y}.png", r"CRIME_BASEMAP is '/\{z\}/\{y\}\.png', without \{x\};"),
        ("CRIME_FORCES", "kent,kentt", r"CRIME_FORCES names kentt, .* known are avon-and-some"),
        ("CRIME_FORCES", "Kent", r"CRIME_FORCES names Kent, which is no known force"),
        ("CRIME_FORCES", " , ,", r"CRIME_FORCES is ', ,'; it names no force"),
    ],
)
def test_a_wrong_setting_is_an_error_that_says_which_and_what_it_may_be(
    name: str, value: str, message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        Settings.from_environment({name: value})


@pytest.mark.parametrize("word", ["none", "None", " NONE "])
def test_the_map_may_have_no_base_map(word: str) -> None:
    assert Settings.from_environment({"CRIME_BASEMAP": word}).basemap is None


def test_the_base_map_may_be_ones_own() -> None:
    given = {
        "CRIME_MAP_URL": "https://example.org/maps//",
        "CRIME_BASEMAP": "/tiles/{z}/{x}/{y}@2x.webp",
        "CRIME_BASEMAP_ATTRIBUTION": "© Us",
    }
    settings = Settings.from_environment(given)
    assert settings.map_url == "https://example.org/maps"
    assert settings.basemap == "/tiles/{z}/{x}/{y}@2x.webp"
    assert settings.basemap_attribution == "© Us"


@pytest.mark.parametrize("limit", ["512MB", "4 GiB", "1.5GB", "2gb"])
def test_a_memory_limit_is_any_amount_that_duckdb_understands(limit: str) -> None:
    assert Settings.from_environment({"CRIME_MEMORY_LIMIT": limit}).memory_limit == limit


def test_every_setting_is_described_and_read_in_one_place() -> None:
    """Of all modules only `settings` reads the environment, and nobody names what it does not."""
    names = [setting.name for setting in SETTINGS]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"CRIME_[A-Z]+(_[A-Z]+)*", name) for name in names)
    assert all(setting.description.endswith(".") for setting in SETTINGS)
    for path in sorted(Path(crime_assets.__file__).parent.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        strings = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)]
        named = {s for s in strings if isinstance(s, str) and re.fullmatch(r"CRIME_[A-Z_]+", s)}
        if path.name == "settings.py":
            assert named == set(names)
        else:
            assert named <= set(names), path
            calls = [
                ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)
            ]
            assert not {"os.environ.get", "os.getenv"} & set(calls), path
