"""The study: its flags and features by hand, its splits, and the figures that it printed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from crime_assets import DataError
from crime_assets.london import report
from crime_assets.london.mps import mps_years, read_wide
from crime_assets.london.published import AREAS, FEATURES, PUBLISHED, TYPES
from crime_assets.london.study import (
    METHODS,
    PAIR,
    PERSISTENCE,
    RANDOM,
    STRATIFIED,
    TIME,
    Panel,
    Study,
    features,
    flags,
    labels,
    panel,
    random_split,
    run_study,
)
from crime_assets.lsoa.clusters import clusters
from crime_assets.lsoa.labels import LABELS
from crime_assets_tests.london.made import RECENT, write_pair

YEARS = tuple(range(2018, 2025))


def made_panel(areas: int = 300, types: int = 4, seed: int = 7) -> Panel:
    """Areas of different rates, which last; the pair of the nine classes is among the types."""
    random = np.random.default_rng(seed)
    rate = random.gamma(0.8, 40.0, size=(areas, 1, types))
    names = [*PAIR, *(f"TYPE {k:02}" for k in range(types - 2))]
    return Panel(
        areas=np.array([f"E{k:08}" for k in range(areas)]),
        area_km2=random.uniform(0.1, 2.0, areas),
        years=YEARS,
        types=tuple(sorted(names)),
        crimes=random.poisson(rate, size=(areas, len(YEARS), types)),
        lines=np.ones((areas, types), dtype=np.int64),
    )


@pytest.fixture(scope="module")
def studied() -> tuple[Panel, Study]:
    made = made_panel()
    return made, run_study(made, first_year=2018)


# --- Features -------------------------------------------------------------------------------


def test_flags_are_those_of_the_study_and_stable_areas_are_increasing_too() -> None:
    yearly = [[0, 0, 0], [0, 1, 1], [0, 0, 4], [3, 2, 2], [4, 1, 0], [0, 2, 1], [2, 0, 2]]
    found = flags(yearly)
    assert list(found) == ["Is_Increasing", "Is_Stable", "Is_Decreasing"]
    assert found["Is_Increasing"].tolist() == [1, 1, 1, 0, 0, 0, 0]
    assert found["Is_Stable"].tolist() == [1, 0, 0, 0, 0, 0, 0]
    assert found["Is_Decreasing"].tolist() == [0, 0, 0, 1, 1, 0, 0]


def test_with_27_types_there_are_the_39_features_in_the_order_of_the_studys_merges() -> None:
    made = made_panel(areas=40, types=TYPES)
    names = features(made, 2023, first_year=2018).columns.tolist()
    assert len(names) == FEATURES
    assert names[:7] == [
        "Cluster_2021",
        "Cluster_2022",
        "Cluster_2023",
        "Is_Increasing",
        "Is_Stable",
        "Is_Decreasing",
        "Cluster_Static",
    ]
    assert names[7:34] == [f"2023_Crime_Density_{name}" for name in sorted(made.types)]
    assert names[34:] == [
        "Total_Density_2021",
        "Total_Density_2022",
        "Total_Density_2023",
        "density_avg_3yr",
        "density_change_3yr",
    ]


def test_densities_totals_mean_and_change_are_what_one_gets_by_hand() -> None:
    made = made_panel(areas=40)
    crimes = made.crimes.copy()
    crimes[0, :, :] = 0
    crimes[0, YEARS.index(2021)] = [1, 2, 3, 4]
    crimes[0, YEARS.index(2022)] = [0, 0, 0, 5]
    crimes[0, YEARS.index(2023)] = [6, 0, 0, 0]
    size = made.area_km2.copy()
    size[0] = 0.5
    first = features(replace(made, crimes=crimes, area_km2=size), 2023, first_year=2018).iloc[0]
    assert first["2023_Crime_Density_THEFT FROM THE PERSON"] == 12
    assert first["2023_Crime_Density_VIOLENCE WITH INJURY"] == 0
    assert first["Total_Density_2021"] == 20
    assert first["Total_Density_2022"] == 10
    assert first["density_avg_3yr"] == 14
    assert first["density_change_3yr"] == -8


def test_a_type_of_two_lines_counts_their_mean_among_the_types_and_their_sum_in_the_total() -> None:
    made = made_panel(areas=40)
    lines = made.lines.copy()
    lines[0, 1] = 2
    doubled = replace(made, lines=lines)
    assert doubled.densities(2023)[0, 1] == made.densities(2023)[0, 1] / 2
    assert doubled.total(2023)[0] == made.total(2023)[0]


def test_clusters_are_those_of_the_densities_of_each_year_and_of_their_mean() -> None:
    made = made_panel(areas=60)
    found = features(made, 2023, first_year=2019)
    assert found["Cluster_2022"].tolist() == clusters(made.densities(2022)).tolist()
    mean = sum(made.densities(year) for year in range(2019, 2024)) / 5
    assert found["Cluster_Static"].tolist() == clusters(mean).tolist()


def test_a_panel_is_made_of_a_whole_grid_alone() -> None:
    made = made_panel(areas=3)
    n, years, types = made.crimes.shape
    table = pd.DataFrame(
        {
            "lsoa21cd": np.repeat(made.areas, years * types),
            "year": np.tile(np.repeat(YEARS, types), n),
            "crime_type": np.tile(made.types, n * years),
            "crimes": made.crimes.ravel(),
            "lines": 0,
        }
    )
    sizes = pd.Series(made.area_km2, index=made.areas)
    found = panel(table.sample(frac=1, random_state=1), sizes)
    np.testing.assert_array_equal(found.crimes, made.crimes)
    np.testing.assert_array_equal(found.lines, made.lines)
    assert found.types == made.types
    with pytest.raises(DataError, match="83 rows, but 3 areas x 7 years x 4 types are 84"):
        panel(table.iloc[1:], sizes)
    with pytest.raises(DataError, match="1 areas have no size, E00000002"):
        panel(table, sizes.iloc[:2])


def test_a_year_or_a_type_that_is_not_there_is_named() -> None:
    made = made_panel(areas=20)
    with pytest.raises(DataError, match="no year 2017; complete are 2018"):
        features(made, 2023, first_year=2017)
    with pytest.raises(DataError, match="no type 'PIRACY'; there are THEFT"):
        labels(made, 2024, ("PIRACY", PAIR[1]))


def by_pandas(historical: Path, recent: Path, sizes: pd.Series) -> pd.DataFrame:
    """The features by the study's own way: wide, long, merged with a grid, and pivoted."""
    keys = ["LSOA Code", "LSOA Name", "Major Category", "Minor Category"]
    files = [
        pd.read_csv(path).drop(columns="Borough").set_index(keys) for path in (historical, recent)
    ]
    wide = pd.concat(files, axis=1, sort=True).fillna(0)
    wide = wide.loc[:, ~wide.columns.duplicated()]
    years = {y: wide.filter(regex=f"^{y}").sum(axis=1) for y in range(2011, 2025)}
    long = pd.DataFrame(years).reset_index().drop(columns=keys[1:3])
    long = long.melt(["LSOA Code", "Minor Category"], var_name="Year", value_name="n")
    grid = [sizes.index, long["Year"].unique(), long["Minor Category"].unique()]
    names = ["LSOA Code", "Year", "Minor Category"]
    full = pd.MultiIndex.from_product(grid, names=names).to_frame(index=False)
    full = full.merge(long, on=names, how="left").fillna({"n": 0})
    full["density"] = full["n"] / full["LSOA Code"].map(sizes)

    def pivot(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.pivot_table(
            index="LSOA Code", columns="Minor Category", values="density", fill_value=0
        )

    def clustered(rows: pd.DataFrame) -> np.ndarray:
        scaled = StandardScaler().fit_transform(pivot(rows))
        return KMeans(n_clusters=5, random_state=42).fit_predict(scaled)

    a, b, c = (clustered(full[full["Year"] == year]) for year in (2021, 2022, 2023))
    found = pd.DataFrame({"Cluster_2021": a, "Cluster_2022": b, "Cluster_2023": c}, sizes.index)
    found["Is_Increasing"] = ((a <= b) & (b <= c)).astype(int)
    found["Is_Stable"] = ((a == b) & (b == c)).astype(int)
    found["Is_Decreasing"] = ((a >= b) & (b >= c) & ~((a == b) & (b == c))).astype(int)
    found["Cluster_Static"] = clustered(full[full["Year"] <= 2023])
    types = pivot(full[full["Year"] == 2023]).add_prefix("2023_Crime_Density_")
    total = full.groupby(["LSOA Code", "Year"])["n"].sum().unstack().div(sizes, axis=0)
    total = total[[2021, 2022, 2023]].add_prefix("Total_Density_")
    found = found.join(types).join(total)
    found["density_avg_3yr"] = total.mean(axis=1)
    found["density_change_3yr"] = total["Total_Density_2023"] - total["Total_Density_2021"]
    return found


def test_features_of_two_files_are_those_of_the_studys_own_way(tmp_path: Path) -> None:
    codes = [f"E{k:08}" for k in range(1, 41)]
    paths = write_pair(tmp_path, codes[:-2])  # two areas have no line
    with paths[1].open("a", encoding="utf-8") as file:  # a type gets a second major after the seam
        months = ["1"] * len(RECENT)
        file.write(",".join([codes[3], "Town 004", "Town", "FIRE", "ARSON", *months]) + "\n")
    sizes = pd.Series(np.linspace(0.1, 1.3, len(codes)), index=pd.Index(codes, name="LSOA Code"))
    found = mps_years(*(read_wide(path) for path in paths), codes)
    ours = features(panel(found.table, sizes), 2023)
    theirs = by_pandas(*paths, sizes)
    assert found.findings["types under several major categories"]
    pd.testing.assert_frame_equal(ours, theirs, check_names=False, check_dtype=False, rtol=1e-12)


# --- Splits and verdicts --------------------------------------------------------------------


def test_the_random_split_holds_out_998_of_4990_areas_whatever_their_classes() -> None:
    random = np.random.default_rng(0)
    (_, test), (_, other) = (
        random_split(random.integers(0, 4, AREAS), stratified=False) for _ in range(2)
    )
    assert len(test) == 998 == PUBLISHED["tier"].confusion.sum()
    assert test.tolist() == other.tolist()


def test_a_class_of_one_area_cannot_be_drawn_in_proportion() -> None:
    with pytest.raises(DataError, match="cannot be split in proportion"):
        random_split([0, 0, 0, 0, 0, 0, 0, 1], stratified=True)


def test_persistence_foretells_the_class_of_the_year_before(studied: tuple[Panel, Study]) -> None:
    made, study = studied
    for label, classes in LABELS.items():
        rows = study.predictions[study.predictions["label"] == label]
        before, now = (labels(made, year)[label] for year in (2023, 2024))
        assert rows["persistence"].tolist() == [classes[k] for k in before]
        assert rows["observed"].tolist() == [classes[k] for k in now]
        assert study.verdict(label, PERSISTENCE, "all").accuracy == np.mean(before == now)


def test_verdicts_of_one_label_are_of_the_same_areas(studied: tuple[Panel, Study]) -> None:
    _, study = studied
    for label in LABELS:
        rows = study.predictions[study.predictions["label"] == label]
        held_out = rows[rows["held_out"]]
        assert len(held_out) == 60
        for method in METHODS:
            verdict = study.verdict(label, method)
            says = held_out[method.replace(" ", "_")]
            assert verdict.accuracy == np.mean(says == held_out["observed"])
            assert verdict.confusion.sum() == verdict.areas == 60
            truth = held_out["observed"].value_counts().reindex(LABELS[label], fill_value=0)
            assert verdict.confusion.sum(axis=1).tolist() == truth.tolist()


def test_no_verdict_is_on_rows_that_its_forest_was_fitted_on(
    studied: tuple[Panel, Study],
) -> None:
    _, study = studied
    with pytest.raises(KeyError):
        study.verdict("tier", RANDOM, "all")
    in_sample = study.predictions.eval("in_sample == observed")
    assert in_sample.mean() > 0.99  # what the study's maps show
    assert study.verdict("bivariate", RANDOM).accuracy < 0.95


def test_the_split_in_time_does_not_see_the_year_that_it_is_judged_on(
    studied: tuple[Panel, Study],
) -> None:
    made, study = studied
    crimes = made.crimes.copy()
    crimes[:, -1] = crimes[::-1, -1]  # what happens in 2024 is another matter
    other = run_study(replace(made, crimes=crimes), first_year=2018)
    assert (other.predictions["observed"] != study.predictions["observed"]).any()
    for column in ("split_in_time", "persistence"):
        assert other.predictions[column].tolist() == study.predictions[column].tolist()


def test_the_first_feature_is_the_most_important(studied: tuple[Panel, Study]) -> None:
    _, study = studied
    for values in study.importances.values():
        assert values.is_monotonic_decreasing
        assert values.sum() == pytest.approx(1)
        assert set(values.index) == set(study.features.columns)


def test_rows_and_trees_are_those_of_scikit_learn_as_the_notebook_calls_it(
    studied: tuple[Panel, Study],
) -> None:
    made, study = studied
    names = np.array(LABELS["bivariate"])[labels(made, 2024)["bivariate"]]
    frame = study.features.reset_index(drop=True)
    x_fit, x_test, y_fit, y_test = train_test_split(
        frame, names, test_size=0.2, random_state=42, stratify=names
    )
    model = RandomForestClassifier(n_estimators=100, random_state=42).fit(x_fit, y_fit)
    rows = study.predictions[study.predictions["label"] == "bivariate"]
    assert sorted(x_test.index) == np.flatnonzero(rows["held_out"]).tolist()
    assert model.predict(x_test).tolist() == rows["random_split"].to_numpy()[x_test.index].tolist()
    assert study.verdict("bivariate", RANDOM).accuracy == np.mean(model.predict(x_test) == y_test)


# --- The published figures ------------------------------------------------------------------


@pytest.mark.parametrize("label", LABELS)
def test_the_figures_that_the_study_printed_follow_from_its_matrices(label: str) -> None:
    published = PUBLISHED[label]
    matrix = published.confusion
    right, truth, says = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    f1 = 2 * right / (truth + says)
    assert matrix.sum() == published.areas == 998
    assert right.sum() / 998 == pytest.approx(published.accuracy, abs=5e-5)
    assert f1.mean() == pytest.approx(published.macro_f1, abs=5e-5)
    assert f1 @ truth / 998 == pytest.approx(published.weighted_f1, abs=5e-5)


def test_the_real_2024_falls_into_the_test_areas_as_the_study_printed(shared_data: Path) -> None:
    """Eleven of its months are in the recent file. The split depends on the areas' order alone."""
    file = read_wide(shared_data / "lsoa" / "mps_lsoa_level_crime_2024-02_2026-02.csv.gz")
    gpd = pytest.importorskip("geopandas")
    boundaries = gpd.read_file(shared_data / "boundaries" / "london_lsoa_2021.gpkg")
    size = (boundaries.set_index("lsoa21cd").area / 1e6).sort_index()
    size = size[~size.index.isin(["E01000001", "E01000002", "E01000003", "E01000005"])]
    assert len(size) == AREAS
    year = file.filter(like="2024").sum(axis=1)
    by_type = year.groupby(["lsoa_code", "minor_category"]).sum().unstack(fill_value=0)
    crimes = by_type.reindex(size.index, fill_value=0)
    made = Panel(
        areas=size.index.to_numpy(dtype=str),
        area_km2=size.to_numpy(),
        years=(2024,),
        types=tuple(crimes.columns),
        crimes=crimes.to_numpy()[:, None],
        lines=np.ones(crimes.shape, dtype=np.int64),
    )
    found = labels(made, 2024)
    for label, classes in found.items():
        _, test = random_split(classes, stratified=label in STRATIFIED)
        counts = np.bincount(classes[test])
        printed = PUBLISHED[label].confusion.sum(axis=1)
        assert np.abs(counts - printed).max() <= 10
    hot = found["is_hotspot"]
    assert hot.sum() == 1248
    # 250 of 998 are a quarter; the study's seed draws fewer, 230 by its matrix
    assert hot[random_split(hot, stratified=False)[1]].sum() == 234


# --- The page -------------------------------------------------------------------------------


def test_the_page_sets_ours_beside_each_published_figure(studied: tuple[Panel, Study]) -> None:
    _, study = studied
    text = report.comparison(replace(study, first_year=2011))
    head, _, *rows = text.splitlines()
    assert head.startswith("| label | figure | published | random split | split in time | pers")
    assert len(rows) == 3 * len(report.FIGURES) + sum(map(len, LABELS.values()))
    ours = [study.verdict("tier", method).accuracy for method in METHODS]
    everywhere = [study.verdict("tier", method, "all").accuracy for method in (TIME, PERSISTENCE)]
    figures = " | ".join(f"{value:.3f}" for value in [0.848697, *ours, *everywhere])
    assert f"| four tiers | accuracy | {figures} |" in rows
    assert sum("| 0.99 | " in row.replace("0.990", "0.99") for row in rows) >= 1


def test_a_study_of_other_years_has_no_published_figures(studied: tuple[Panel, Study]) -> None:
    _, study = studied
    assert "published" not in report.comparison(study)
    page = report.as_markdown(study, {"areas without a line": ("E01032739",)})
    assert "As published" not in page
    assert "E01032739" in page
