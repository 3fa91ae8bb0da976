"""The sample is what it says it is, as seen by other tools: csv, pandas, pyproj and GeoPandas."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import duckdb
import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import pytest

from crime_assets.sources import sample as sample_module
from crime_assets.sources.sample import Sample, spatial_connection, write_sample

DOGGER, SILVERPIT, WELLBANK = "sample-dogger", "sample-silverpit", "sample-wellbank"
HEADER = (
    "Crime ID,Month,Reported by,Falls within,Longitude,Latitude,Location,LSOA code,LSOA name,"
    "Crime type,Last outcome category,Context"
)
CRIME_TYPES_OF_2025 = {
    "Anti-social behaviour",
    "Bicycle theft",
    "Burglary",
    "Criminal damage and arson",
    "Drugs",
    "Other crime",
    "Other theft",
    "Possession of weapons",
    "Public order",
    "Robbery",
    "Shoplifting",
    "Theft from the person",
    "Vehicle crime",
    "Violence and sexual offences",
}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return write_sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="module")
def members(sample: Sample) -> dict[str, dict[str, bytes]]:
    """The files of each archive by release and name."""
    found = {}
    for path in sorted(sample.archive.glob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            found[path.stem] = {name: archive.read(name) for name in archive.namelist()}
    return found


@pytest.fixture(scope="module")
def crimes(members: dict[str, dict[str, bytes]]) -> pd.DataFrame:
    """The newest archive as pandas reads it: one row a crime, all text, with the member's force."""
    files = [
        pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False).assign(
            member_month=name[:7], force=name[len("2025-12/2025-12-") : -len("-street.csv")]
        )
        for name, content in members["2025-12"].items()
    ]
    return pd.concat(files, ignore_index=True)


@pytest.fixture(scope="module")
def points(crimes: pd.DataFrame) -> gpd.GeoDataFrame:
    """The located crimes at their published points, by pyproj in British National Grid."""
    located = crimes[crimes["Longitude"] != ""].copy()
    longitude, latitude = located["Longitude"].astype(float), located["Latitude"].astype(float)
    return gpd.GeoDataFrame(
        located, geometry=gpd.points_from_xy(longitude, latitude), crs="EPSG:4326"
    ).to_crs("EPSG:27700")


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with spatial_connection() as open_connection:
        yield open_connection


def polygons(connection: duckdb.DuckDBPyConnection, path: Path) -> gpd.GeoDataFrame:
    """A boundary file as GeoPandas, by way of well-known binary."""
    frame = connection.execute(
        "select * replace (ST_AsWKB(geometry)::blob as geometry) from read_parquet($path)",
        {"path": str(path)},
    ).df()
    return gpd.GeoDataFrame(
        frame.drop(columns="geometry"),
        geometry=gpd.GeoSeries.from_wkb(frame["geometry"].map(bytes)),
        crs="EPSG:27700",
    )


@pytest.fixture(scope="module")
def lsoas(sample: Sample, connection: duckdb.DuckDBPyConnection) -> gpd.GeoDataFrame:
    return polygons(connection, sample.lsoas)


@pytest.fixture(scope="module")
def force_areas(sample: Sample, connection: duckdb.DuckDBPyConnection) -> gpd.GeoDataFrame:
    return polygons(connection, sample.force_areas).assign(force=[DOGGER, SILVERPIT, WELLBANK])


def digests(made: Sample) -> dict[str, str]:
    paths = [*made.archive.iterdir(), made.force_areas, made.lsoas, made.streets]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


# --- One seed --------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_with_any_number_of_threads(
    sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def single_threaded() -> duckdb.DuckDBPyConnection:
        single = spatial_connection()
        single.execute("set threads = 1")
        return single

    monkeypatch.setattr(sample_module, "spatial_connection", single_threaded)
    assert digests(write_sample(tmp_path)) == digests(sample)


@pytest.mark.slow
def test_another_seed_gives_another_sample_of_the_same_kind(
    sample: Sample, tmp_path: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    other = write_sample(tmp_path, seed=7)
    assert digests(other).keys() == digests(sample).keys()
    assert not set(digests(other).values()) & set(digests(sample).values())
    areas = polygons(connection, other.force_areas)
    assert list(areas.geom_type) == ["Polygon"] * 3
    assert areas.area.between(1_100e6, 1_800e6).all()


def test_nothing_else_is_left_in_the_folders(sample: Sample) -> None:
    assert sorted(path.name for path in sample.archive.iterdir()) == ["2025-11.zip", "2025-12.zip"]
    assert sorted(path.name for path in sample.lsoas.parent.iterdir()) == [
        "force_areas.parquet",
        "lsoas.parquet",
    ]


def test_importing_the_module_needs_neither_dagster_nor_geometry_libraries() -> None:
    heavy = "{'dagster', 'geopandas', 'shapely', 'pyproj', 'matplotlib'}"
    program = f"import sys, crime_assets.sources.sample; print({heavy} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ran.stdout.strip(), ran.stderr) == ("set()", "")


@pytest.mark.slow
def test_the_command_says_what_it_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample_module.main([str(tmp_path / "new" / "sample")])
    said = capsys.readouterr().out
    assert "made-up" in said
    assert re.search(r"2025-12\.zip: 104 files, [\d,]+ rows", said)
    assert (tmp_path / "new" / "sample" / "archive" / "2025-12.zip").exists()


# --- The archives ----------------------------------------------------------------------------


def test_the_newest_archive_holds_36_months_in_the_layout_of_police_uk(
    sample: Sample, members: dict[str, dict[str, bytes]]
) -> None:
    months = [f"{month}" for month in pd.period_range("2023-01", "2025-12", freq="M")]
    assert list(sample.months) == months
    expected = {
        f"{month}/{month}-{force}-street.csv"
        for month in months
        for force in (DOGGER, SILVERPIT, WELLBANK)
        if force != WELLBANK or month < "2025-09"
    }
    assert set(members["2025-12"]) == expected
    assert len(expected) == 3 * 36 - 4


def test_the_archives_are_deflated_and_stay_below_25_megabytes(sample: Sample) -> None:
    paths = list(sample.archive.glob("*.zip"))
    assert sum(path.stat().st_size for path in paths) < 25e6
    for path in paths:
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_DEFLATED}
            assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_every_line_has_the_twelve_fields_of_the_header(
    sample: Sample, members: dict[str, dict[str, bytes]]
) -> None:
    for release, files in members.items():
        rows = 0
        for content in files.values():
            lines = list(csv.reader(io.StringIO(content.decode("ascii"), newline="")))
            assert ",".join(lines[0]) == HEADER
            assert {len(line) for line in lines} == {12}
            rows += len(lines) - 1
        assert rows == sum(sample.rows[release].values())


def test_line_ends_differ_between_files_but_not_within_one(
    members: dict[str, dict[str, bytes]],
) -> None:
    ends = {}
    for name, content in members["2025-12"].items():
        windows, all_ends = content.count(b"\r\n"), content.count(b"\n")
        assert windows in (0, all_ends)
        assert content.endswith(b"\n")
        ends[name] = windows > 0
    assert not ends[f"2023-01/2023-01-{DOGGER}-street.csv"]
    assert ends[f"2024-06/2024-06-{SILVERPIT}-street.csv"]
    assert not ends[f"2024-07/2024-07-{SILVERPIT}-street.csv"]
    assert ends[f"2025-08/2025-08-{WELLBANK}-street.csv"]


def test_only_lsoa_names_with_commas_are_quoted(members: dict[str, dict[str, bytes]]) -> None:
    quoted = {
        field
        for content in members["2025-12"].values()
        for field in re.findall(rb'"[^"]*"', content)
    }
    assert quoted
    assert all(re.fullmatch(rb'"Sole, Spit and Skerry \d{3}[A-E]"', field) for field in quoted)


def test_month_and_force_of_each_row_are_those_of_its_file(crimes: pd.DataFrame) -> None:
    assert (crimes["Month"] == crimes["member_month"]).all()
    assert (crimes["Reported by"] == crimes["Falls within"]).all()
    assert crimes.groupby("force")["Reported by"].unique().map(list).to_dict() == {
        DOGGER: ["Dogger (sample)"],
        SILVERPIT: ["Silver Pit (sample)"],
        WELLBANK: ["Well Bank (sample)"],
    }


def test_each_force_publishes_three_to_five_and_a_half_thousand_crimes_a_month(
    sample: Sample, crimes: pd.DataFrame
) -> None:
    monthly = crimes.groupby(["force", "Month"]).size()
    assert monthly.drop((SILVERPIT, "2024-02")).between(2_900, 5_500).all()
    assert 400_000 < len(crimes) < 460_000
    assert sample.rows["2025-12"] == crimes.groupby("force").size().to_dict()


def test_wellbank_stops_publishing_after_august_2025(crimes: pd.DataFrame) -> None:
    last = crimes.groupby("force")["Month"].max().to_dict()
    assert last == {DOGGER: "2025-12", SILVERPIT: "2025-12", WELLBANK: "2025-08"}


def test_one_month_of_silverpit_holds_a_tenth_of_the_usual_rows(crimes: pd.DataFrame) -> None:
    monthly = crimes[crimes["force"] == SILVERPIT].groupby("Month").size()
    assert monthly.idxmin() == "2024-02"
    assert 0.08 < monthly["2024-02"] / monthly.median() < 0.12
    assert monthly.drop("2024-02").min() > 0.85 * monthly.median()


def test_a_revised_month_differs_between_the_two_archives_and_no_other_does(
    members: dict[str, dict[str, bytes]],
) -> None:
    older, newer = members["2025-11"], members["2025-12"]
    assert {name[:7] for name in older} == {"2025-08", "2025-09", "2025-10", "2025-11"}
    revised = f"2025-10/2025-10-{DOGGER}-street.csv"
    assert [name for name in older if older[name] != newer[name]] == [revised]

    before, after = (
        pd.read_csv(io.BytesIO(files[revised]), dtype=str, keep_default_na=False)
        for files in (older, newer)
    )
    assert 20 <= len(after) - len(before) <= 100
    outcome = "Last outcome category"
    without_outcome = [column for column in after.columns if column != outcome]
    both = before[before["Crime ID"] != ""].merge(after, on=without_outcome, suffixes=("", " now"))
    assert set(before["Crime ID"]) <= set(after["Crime ID"])
    changed = both[both[outcome] != both[f"{outcome} now"]]
    assert 50 <= len(changed) <= 400
    assert "Under investigation" in set(changed[outcome])


# --- The crimes ------------------------------------------------------------------------------


def test_the_crime_types_are_the_fourteen_of_today_in_realistic_shares(
    crimes: pd.DataFrame,
) -> None:
    shares = crimes["Crime type"].value_counts(normalize=True)
    assert set(shares.index) == CRIME_TYPES_OF_2025
    # Gwent, Cambridgeshire and Essex in 2025: 38.2, 14.6, 7.7 and 1.0 %.
    assert shares["Violence and sexual offences"] == pytest.approx(0.382, abs=0.02)
    assert shares["Anti-social behaviour"] == pytest.approx(0.146, abs=0.01)
    assert shares["Shoplifting"] == pytest.approx(0.077, abs=0.01)
    assert shares["Possession of weapons"] == pytest.approx(0.010, abs=0.001)


def test_types_have_their_seasons_and_trends(crimes: pd.DataFrame) -> None:
    whole = crimes[crimes["force"] == DOGGER]
    by_month = whole.groupby(["Crime type", whole["Month"].str[5:]]).size().unstack()
    summer, winter = (
        by_month[["06", "07", "08"]].sum(axis=1),
        by_month[["12", "01", "02"]].sum(axis=1),
    )
    assert summer["Anti-social behaviour"] > 1.2 * winter["Anti-social behaviour"]
    assert summer["Bicycle theft"] > 1.3 * winter["Bicycle theft"]
    assert summer["Burglary"] < 0.9 * winter["Burglary"]
    by_year = whole.groupby(["Crime type", whole["Month"].str[:4]]).size().unstack()
    assert by_year.loc["Shoplifting", "2025"] > 1.08 * by_year.loc["Shoplifting", "2023"]
    assert by_year.loc["Vehicle crime", "2025"] < 0.95 * by_year.loc["Vehicle crime", "2023"]


def test_about_two_in_a_hundred_crimes_have_no_location(crimes: pd.DataFrame) -> None:
    nowhere = crimes["Location"] == "No Location"
    assert 0.015 < nowhere.mean() < 0.021
    for column in ("Longitude", "Latitude", "LSOA code", "LSOA name"):
        assert ((crimes[column] == "") == nowhere).all()
    assert crimes.loc[~nowhere, "Location"].str.startswith("On or near ").all()


def test_anti_social_behaviour_has_neither_id_nor_outcome_and_few_others_lack_them(
    crimes: pd.DataFrame,
) -> None:
    anonymous = crimes["Crime ID"] == ""
    antisocial = crimes["Crime type"] == "Anti-social behaviour"
    assert anonymous[antisocial].all()
    assert 0.001 < anonymous[~antisocial].mean() < 0.01
    assert (anonymous == (crimes["Last outcome category"] == "")).all()
    assert crimes.loc[~anonymous, "Crime ID"].str.fullmatch("[0-9a-f]{64}").all()
    assert (crimes["Context"] == "").all()


def test_some_ids_repeat_and_mostly_at_another_place(crimes: pd.DataFrame) -> None:
    with_id = crimes[crimes["Crime ID"] != ""]
    repeated = with_id[with_id.duplicated("Crime ID", keep=False)]
    assert 0.002 < len(repeated) / len(with_id) < 0.01
    groups = repeated.groupby("Crime ID")
    places = groups[["Longitude", "Latitude"]].apply(lambda same: len(same.drop_duplicates()))
    assert (places > 1).mean() > 0.9
    assert (groups["Month"].nunique() == 1).all()
    assert (groups["force"].nunique() == 1).all()


def test_outcomes_follow_the_age_of_the_crime(crimes: pd.DataFrame) -> None:
    shares = pd.crosstab(crimes["Month"], crimes["Last outcome category"], normalize="index")
    unavailable, awaiting = shares["Court result unavailable"], shares["Awaiting court outcome"]
    assert (unavailable[["2025-11", "2025-12"]] == 0).all()
    assert unavailable["2023-01"] > 0.04
    assert awaiting["2025-11"] > 5 * awaiting["2024-01"]
    assert shares.loc["2025-12", "Under investigation"] > 0.1
    assert shares.loc["2023-01", "Under investigation"] == 0


def test_coordinates_have_six_decimals_and_lie_in_the_united_kingdom(crimes: pd.DataFrame) -> None:
    located = crimes[crimes["Longitude"] != ""]
    for column in ("Longitude", "Latitude"):
        assert located[column].str.fullmatch(r"-?\d+\.\d{6}").all()
    assert located["Longitude"].astype(float).between(-8.7, 1.75).all()
    assert located["Latitude"].astype(float).between(50, 61).all()


def test_one_snap_point_holds_hundreds_of_crimes_a_year(crimes: pd.DataFrame) -> None:
    located = crimes[(crimes["Longitude"] != "") & (crimes["force"] == DOGGER)]
    of_2024 = located[located["Month"].str[:4] == "2024"].groupby(["Longitude", "Latitude"]).size()
    assert of_2024.max() > 300
    busiest_first = located.groupby(["Longitude", "Latitude"]).size().sort_values(ascending=False)
    # In Gwent the first 100 of 8,836 points hold 14 % of 36 months, the median point 11 crimes.
    assert busiest_first.iloc[: len(busiest_first) // 100].sum() / len(located) > 0.08
    assert busiest_first.median() < 0.7 * busiest_first.mean()


def test_a_force_has_some_two_thousand_snap_points_in_its_own_lsoas(crimes: pd.DataFrame) -> None:
    districts = {DOGGER: "Dogger|Outer", SILVERPIT: "Silver|Sole", WELLBANK: "Well|Swarte"}
    for force, names in districts.items():
        own = crimes[(crimes["force"] == force) & crimes["LSOA name"].str.match(names)]
        assert 1_500 <= len(own[["Longitude", "Latitude"]].drop_duplicates()) <= 2_500


def test_shoplifting_lies_on_few_points_and_burglary_on_many(crimes: pd.DataFrame) -> None:
    located = crimes[crimes["Longitude"] != ""]
    counts = located.groupby(["Crime type", "Longitude", "Latitude"]).size()
    first_hundred = counts.groupby("Crime type").apply(lambda c: c.nlargest(100).sum() / c.sum())
    assert first_hundred["Shoplifting"] > 0.6
    assert first_hundred["Burglary"] < 0.15
    assert first_hundred.idxmax() == "Shoplifting"


@pytest.mark.slow
def test_places_persist_emerge_fade_and_come_and_go(points: gpd.GeoDataFrame) -> None:
    """The 36 months of Silver Pit, in squares as large as the cells, by the design's rule."""
    own = points[points["force"] == SILVERPIT]
    side = 322.4  # metres; 322.4² = 103,942 m²
    square = [own.geometry.x // side, own.geometry.y // side]
    monthly = own.groupby([*square, own["Month"]]).size().unstack(fill_value=0)
    k = 14
    hot = pd.DataFrame(False, index=monthly.index, columns=monthly.columns)
    for month in monthly:
        hot.loc[monthly[month].sort_values(ascending=False, kind="stable").index[:k], month] = True
    hits, late = hot.sum(axis=1), hot.iloc[:, -12:].sum(axis=1)
    ever = hits > 0
    persistent = ever & (hits >= 0.8 * 36)
    emerging = ever & ~persistent & (late == hits) & hot.iloc[:, -1]
    former = ever & ~persistent & ~emerging & (late == 0)
    intermittent = ever & ~persistent & ~emerging & ~former
    assert persistent.sum() >= 3
    assert emerging.sum() >= 1
    assert former.sum() >= 1
    assert intermittent.sum() >= 3
    opened = hot.loc[emerging].loc[:, "2025-05":"2025-12"].sum(axis=1)
    assert opened.max() >= 7
    assert hot.loc[former].loc[:, "2023-01":"2024-03"].sum(axis=1).max() >= 10


# --- The land --------------------------------------------------------------------------------


def test_boundaries_are_geoparquet_in_british_national_grid(
    sample: Sample, connection: duckdb.DuckDBPyConnection
) -> None:
    for path, columns in (
        (sample.lsoas, ["LSOA21CD", "LSOA21NM", "geometry"]),
        (sample.force_areas, ["PFA23CD", "PFA23NM", "geometry"]),
    ):
        described = connection.execute(
            "select column_name, column_type from (describe from read_parquet($path))",
            {"path": str(path)},
        ).fetchall()
        assert [name for name, _ in described] == columns
        assert described[2][1] == "GEOMETRY('EPSG:27700')"
        ((metadata,),) = connection.execute(
            "select value from parquet_kv_metadata($path) where key = 'geo'", {"path": str(path)}
        ).fetchall()
        geo = json.loads(metadata)
        assert geo["primary_column"] == "geometry"
        assert geo["columns"]["geometry"]["encoding"] == "WKB"
        assert geo["columns"]["geometry"]["geometry_types"] == ["Polygon"]
        assert pyproj.CRS.from_json_dict(geo["columns"]["geometry"]["crs"]).to_epsg() == 27700


def test_codes_and_names_look_like_no_real_ones(
    lsoas: gpd.GeoDataFrame, force_areas: gpd.GeoDataFrame
) -> None:
    assert list(zip(force_areas["PFA23CD"], force_areas["PFA23NM"], strict=True)) == [
        ("S23000001", "Dogger (sample)"),
        ("S23000002", "Silver Pit (sample)"),
        ("S23000003", "Well Bank (sample)"),
    ]
    assert list(lsoas["LSOA21CD"]) == [f"S01{n:06d}" for n in range(1, len(lsoas) + 1)]
    assert lsoas["LSOA21NM"].is_unique
    assert lsoas["LSOA21NM"].str.fullmatch(r"\D+ \d{3}[A-E]").all()
    assert "Dogger 001A" in set(lsoas["LSOA21NM"])


def test_force_areas_adjoin_without_gap_or_overlap(force_areas: gpd.GeoDataFrame) -> None:
    assert force_areas.is_valid.all()
    assert force_areas.area.between(1_200e6, 1_800e6).all()
    for one, other in itertools.combinations(force_areas.geometry, 2):
        assert one.intersection(other).area == 0
        assert one.intersection(other).length > 20_000
    island = force_areas.union_all()
    assert island.geom_type == "Polygon"
    assert len(island.interiors) == 0
    assert island.area == pytest.approx(force_areas.area.sum(), rel=1e-12)


def test_lsoas_tile_the_force_areas(lsoas: gpd.GeoDataFrame, force_areas: gpd.GeoDataFrame) -> None:
    assert lsoas.is_valid.all()
    pairs = lsoas.sindex.query(lsoas.geometry, predicate="overlaps")
    assert pairs.size == 0
    inner = lsoas.set_geometry(lsoas.representative_point()).sjoin(force_areas)
    assert len(inner) == len(lsoas)
    assert inner.groupby("force").size().between(120, 200).all()
    for force, area in zip(force_areas["force"], force_areas.geometry, strict=True):
        own = lsoas.loc[inner.index[inner["force"] == force]]
        assert own.union_all().symmetric_difference(area).area == pytest.approx(0, abs=1e-3)
        assert own.area.sum() == pytest.approx(area.area, rel=1e-12)


def test_the_sample_lies_in_the_north_sea_within_the_hex_grid(
    force_areas: gpd.GeoDataFrame,
) -> None:
    west, south, east, north = force_areas.total_bounds
    assert 540_000 < west < east < 640_000  # the grid ends at 656,300
    assert 355_000 < south < north < 460_000  # and at 658,144
    # The Lincolnshire coast: Skegness at 557,000 E 363,000 N, Spurn Point at 540,000 E 411,000 N.
    assert west > 550_000


def test_the_published_lsoa_is_the_one_in_which_the_point_lies(
    points: gpd.GeoDataFrame, lsoas: gpd.GeoDataFrame
) -> None:
    places = points.drop_duplicates(["Longitude", "Latitude", "LSOA code"])
    assert not places.duplicated(["Longitude", "Latitude"]).any()
    joined = places.sjoin(lsoas, how="left", predicate="within")
    on_land = joined[~joined["LSOA name"].str.startswith("Mainland")]
    assert len(on_land) > 5_000
    assert (on_land["LSOA code"] == on_land["LSOA21CD"]).all()
    assert (on_land["LSOA name"] == on_land["LSOA21NM"]).all()
    assert joined.loc[joined["LSOA name"].str.startswith("Mainland"), "LSOA21CD"].isna().all()


def test_some_crimes_lie_in_a_neighbouring_force_and_a_few_on_the_mainland(
    points: gpd.GeoDataFrame, force_areas: gpd.GeoDataFrame
) -> None:
    areas = force_areas[["force", "geometry"]].rename(columns={"force": "found_in"})
    found = points.sjoin(areas, how="left", predicate="within")
    assert len(found) == len(points)
    elsewhere = found["found_in"].notna() & (found["found_in"] != found["force"])
    mainland = found["found_in"].isna()
    for shares in (
        elsewhere.groupby(found["force"]).mean(),
        mainland.groupby(found["force"]).sum(),
    ):
        assert (shares > 0).all()
    assert 0.002 < elsewhere.mean() < 0.008
    assert 0.0001 < mainland.mean() < 0.002
    # Beyond 656,300 E or 658,144 N lies no cell: only Edinburgh is out there.
    outside = found[(found.geometry.x > 656_300) | (found.geometry.y > 658_144)]
    assert set(outside["LSOA name"]) == {"Mainland 008A"}
    assert np.hypot(outside.geometry.x - 325_800, outside.geometry.y - 673_700).max() < 5


# --- Streets ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def streets(sample: Sample, connection: duckdb.DuckDBPyConnection) -> gpd.GeoDataFrame:
    return polygons(connection, sample.streets)


def test_crimes_lie_along_streets_but_not_on_junctions(
    streets: gpd.GeoDataFrame, points: gpd.GeoDataFrame
) -> None:
    on_the_island = points[points["LSOA code"] < "S01999"].drop_duplicates("geometry")
    places = on_the_island[["geometry"]].sjoin_nearest(
        streets[["geometry"]], distance_col="distance"
    )
    distance = places.groupby(level=0)["distance"].min()
    assert distance.quantile(0.9) < 25
    assert (distance < 100).mean() > 0.98
    assert (distance < 0.5).mean() < 0.2


def test_streets_are_a_mesh_that_hangs_together_and_crosses_nowhere(
    streets: gpd.GeoDataFrame,
) -> None:
    assert streets["id"].is_unique
    assert set(streets["highway"]) == {"residential", "unclassified"}
    ends = np.array([[line.coords[0], line.coords[-1]] for line in streets.geometry])
    _, junction = np.unique(ends.reshape(-1, 2), axis=0, return_inverse=True)
    meeting = np.bincount(junction.ravel())
    assert 3 < meeting.mean() < 4.5
    pairs = junction.reshape(-1, 2)
    part = np.arange(len(meeting))
    while True:  # the least junction that each can be reached from
        least = np.minimum(part[pairs[:, 0]], part[pairs[:, 1]])
        before = part.copy()
        np.minimum.at(part, pairs.ravel(), np.repeat(least, 2))
        if (part == before).all():
            break
    assert np.unique(part, return_counts=True)[1].max() > 0.99 * len(part)
    crossing = streets[["geometry"]].sjoin(streets[["geometry"]], predicate="crosses")
    assert len(crossing) < 0.002 * len(streets)
