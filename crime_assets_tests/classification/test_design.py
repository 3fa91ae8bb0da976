"""Features and classes as arrays: ranks, what is left out, positions, blocks of land."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from crime_assets import DataError
from crime_assets.classification.design import (
    OF_ALL_YEARS,
    Areas,
    areas_of,
    blocks_of,
    columns_of,
    common_features,
    positions,
)
from crime_assets.lsoa.labels import LABELS, bivariate, tiers
from crime_assets.tables import LSOA_FEATURES

PAIR = ("Burglary", "Drugs")


def frame(n: int = 8, years: int = 3, seed: int = 1) -> pd.DataFrame:
    """Rows as ``sql/classification/areas.sql`` makes them: numbers at random."""
    rng = np.random.default_rng(seed)
    columns = {
        c.name: rng.gamma(0.5, 40.0, n)
        for c in LSOA_FEATURES.columns
        if c.name not in ("scope", "lsoa21cd", "force", "lisa")
    }
    lisa = np.array(["not significant", "high-high", "low-low", "high-low", "low-high"])
    return pd.DataFrame(
        {
            "scope": "gwent",
            "lsoa21cd": [f"W0100{i:04}" for i in range(n)],
            "force": "gwent",
            **columns,
            "years": years,
            "lisa": lisa[np.arange(n) % 5],
            "easting": 330_000.0 + 3_000 * np.arange(n),
            "northing": 190_000.0,
            "true_is_hotspot": None,
            "true_tier": [str(i % 4) for i in range(n)],
            "true_bivariate": "2_1",
        }
    )


def column(areas: Areas, name: str) -> NDArray[np.float64]:
    return columns_of(areas, [name])[:, 0]


# --- Features -------------------------------------------------------------------------------


def test_densities_enter_as_the_share_of_areas_that_are_lower() -> None:
    made = frame(6)
    made["density_shoplifting"] = [5.0, 0.0, np.nan, 5.0, 9.0, 1.0]
    # of five that are known; those with equal densities share their middle
    expected = np.array([0.6, 0.1, np.nan, 0.6, 0.9, 0.3])
    assert column(areas_of(made, PAIR), "density_shoplifting") == pytest.approx(
        expected, nan_ok=True
    )


def test_classes_of_a_type_whose_density_is_not_known_are_refused() -> None:
    made = frame(6)
    made["density_drugs"] = [5.0, 0.0, np.nan, 5.0, 9.0, 1.0]
    with pytest.raises(DataError, match="Burglary and Drugs are not known of every area"):
        areas_of(made, PAIR)


def test_where_no_area_has_a_density_all_stay_unknown() -> None:
    made = frame().assign(density_year_before=np.nan)
    assert np.isnan(column(areas_of(made, PAIR), "density_year_before")).all()


def test_a_fall_of_all_crime_by_half_changes_no_rank_and_no_class() -> None:
    made = frame(40)
    halved = made.copy()
    densities = [name for name in made if "density_" in name]
    halved[densities] /= 2
    one, other = areas_of(made, PAIR), areas_of(halved, PAIR)
    ranked = [name for name in densities if name != "density_change"]
    assert len(ranked) > 20
    assert_array_equal(columns_of(one, ranked), columns_of(other, ranked))
    assert_array_equal(
        2 * column(other, "density_change"),
        column(one, "density_change"),  # crimes / km²
    )
    for label in LABELS:
        assert_array_equal(one.last[label], other.last[label])


def test_what_is_no_density_enters_as_it_is() -> None:
    made = frame(4)
    made["cluster_increasing"] = pd.Series([True, None, False, True], dtype=object)
    made["cluster_last_year"] = pd.array([4, 0, None, 1], dtype="Int64")
    made["population"] = pd.array([1500.0, None, 1700.0, 1.0], dtype="Float64")
    areas = areas_of(made, PAIR)
    for name, expected in (
        ("cluster_increasing", [1, np.nan, 0, 1]),
        ("cluster_last_year", [4, 0, np.nan, 1]),
        ("population", [1500, np.nan, 1700, 1]),
        ("local_moran", made["local_moran"]),
    ):
        assert_array_equal(column(areas, name), expected)


def test_each_kind_of_lisa_is_a_flag_and_no_significance_is_none_of_them() -> None:
    areas = areas_of(frame(6), PAIR)
    names = ["lisa_high_high", "lisa_low_low", "lisa_high_low", "lisa_low_high"]
    expected = np.vstack([np.zeros(4), np.eye(4), np.zeros(4)])
    assert_array_equal(columns_of(areas, names), expected)
    assert "lisa" not in areas.names


def test_every_column_of_the_table_but_keys_is_a_feature_once() -> None:
    areas = areas_of(frame(), PAIR)
    keys = {"scope", "lsoa21cd", "force", "years", "lisa"}
    assert {c.name for c in LSOA_FEATURES.columns} - keys == {
        name for name in areas.names if not name.startswith("lisa_")
    }
    assert len(set(areas.names)) == len(areas.names)
    assert areas.features.shape == (8, len(areas.names))
    assert not {"easting", "northing"} & set(areas.names)
    assert not any(name.startswith("true_") for name in areas.names)


def test_columns_stand_in_the_order_that_is_asked_for() -> None:
    areas = areas_of(frame(), PAIR)
    two = columns_of(areas, ["area_km2", "density_shoplifting"])
    assert_array_equal(two[:, 0], column(areas, "area_km2"))
    assert_array_equal(two[:, 1], column(areas, "density_shoplifting"))


def test_features_must_be_known_of_some_area_at_each_cut_off() -> None:
    before = areas_of(frame().assign(imd_rank=np.nan, hot_cells=np.nan), PAIR)
    now = areas_of(frame().assign(imd_rank=[1.0] + [np.nan] * 7, population=np.nan), PAIR)
    both = common_features([before, now])
    assert not {"imd_rank", "hot_cells", "population"} & set(both)
    assert "imd_rank" in common_features([now])
    assert [name for name in now.names if name in both] == both
    assert both == common_features([now, before])


def test_what_depends_on_the_number_of_years_is_left_out_where_cut_offs_differ_in_it() -> None:
    two, three = areas_of(frame(years=2), PAIR), areas_of(frame(years=3), PAIR)
    assert set(OF_ALL_YEARS) <= set(two.names)
    assert not set(OF_ALL_YEARS) & set(common_features([two, three]))
    assert set(OF_ALL_YEARS) <= set(common_features([two, two]))
    assert "density_year_before" in common_features([two, three])


# --- Classes --------------------------------------------------------------------------------


def test_last_years_classes_are_those_of_the_labels() -> None:
    made = frame(40)
    areas = areas_of(made, PAIR)
    assert_array_equal(areas.last["tier"], tiers(made["density_last_year"]))
    nine = bivariate(made["density_burglary"], made["density_drugs"])
    assert_array_equal(np.array(LABELS["bivariate"])[areas.last["bivariate"]], nine)
    assert areas.last["is_hotspot"].sum() == 10
    swapped = areas_of(made, PAIR[::-1])
    assert_array_equal(areas.last["bivariate"] // 3, swapped.last["bivariate"] % 3)


def test_what_became_of_areas_is_a_position_and_unknown_is_minus_one() -> None:
    areas = areas_of(frame(), PAIR)
    assert areas.truth["tier"].tolist() == [0, 1, 2, 3] * 2
    assert areas.truth["is_hotspot"].tolist() == [-1] * 8
    assert areas.truth["bivariate"].tolist() == [7] * 8


@pytest.mark.parametrize("label", LABELS)
def test_positions_are_those_among_the_classes(label: str) -> None:
    names = LABELS[label]
    assert positions(label, names).tolist() == list(range(len(names)))
    unknown = [None, np.nan, "", "9", "0_3", "zzz", pd.NA, names[0]]
    assert positions(label, pd.Series(unknown, dtype=object)).tolist() == [-1] * 7 + [0]


# --- Places ---------------------------------------------------------------------------------


def test_blocks_are_squares_of_ten_kilometres() -> None:
    place = np.array(
        [[0.0, 0.0], [9_999.9, 9_999.9], [10_000.0, 0.0], [0.0, 10_000.0], [5_000.0, 5_000.0]]
    )
    blocks = blocks_of(place)
    assert blocks[0] == blocks[1] == blocks[4]
    assert len({blocks[0], blocks[2], blocks[3]}) == 3
    assert blocks.shape == (5,)


def test_areas_know_their_block() -> None:
    areas = areas_of(frame(8), PAIR)  # 3 km from one to the next
    assert_array_equal(areas.blocks, [0, 0, 0, 0, 1, 1, 1, 2])
    assert areas.codes[0] == "W01000000"
    assert areas.years == 3
