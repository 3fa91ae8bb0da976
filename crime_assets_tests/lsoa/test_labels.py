"""Labels by hand: quarters, halves and tenths of the areas, ties, and areas that nobody knows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from crime_assets import DataError
from crime_assets.lsoa.history import History
from crime_assets.lsoa.labels import (
    CLASS_TITLES,
    LABELS,
    bivariate,
    classes_of,
    is_hotspot,
    label_scopes,
    levels,
    tiers,
)

PAIR = ("Burglary", "Drugs")


def year_after(one: np.ndarray, other: np.ndarray, force: np.ndarray) -> History:
    """A year of two types, in areas of a square kilometre."""
    n = len(one)
    total = (one + other)[:, None]
    return History(
        codes=np.array([f"E01{i:06d}" for i in range(n)]),
        force=force,
        area_km2=np.ones(n),
        crime_types=PAIR,
        months=tuple(f"2025-{m:02d}" for m in range(1, 13)),
        density=np.stack([one, other], axis=1)[:, None, :],
        total=total,
        monthly=np.repeat(total / 12, 12, axis=1),
        neighbours=csr_array((n, n)),
        silent={0: ()},
    )


def test_a_quarter_of_the_areas_are_hotspots_and_one_at_the_limit_is_one() -> None:
    assert is_hotspot(np.arange(8)).tolist() == [False] * 6 + [True] * 2  # above 5.25
    assert is_hotspot([5, 1, 4, 2, 3]).tolist() == [True, False, True, False, False]  # 4 and above
    assert is_hotspot([1, 2, 2, 2, 3]).tolist() == [False, True, True, True, True]


def test_tiers_end_at_half_three_quarters_and_nine_tenths_and_one_at_a_limit_lies_below() -> None:
    # limits of 0 to 10: 5, 7.5, 9
    assert tiers(np.arange(11)).tolist() == [0] * 6 + [1] * 2 + [2] * 2 + [3]
    shuffled = np.random.default_rng(1).permutation(11)
    np.testing.assert_array_equal(tiers(shuffled), tiers(np.arange(11))[shuffled])


def test_of_a_hundred_areas_fifty_twenty_five_fifteen_and_ten_have_the_tiers() -> None:
    assert np.bincount(tiers(np.random.default_rng(2).permutation(100))).tolist() == [
        50,
        25,
        15,
        10,
    ]
    assert is_hotspot(np.random.default_rng(3).permutation(100)).sum() == 25


def test_where_half_have_no_crime_the_first_limit_is_nought() -> None:
    # limits 0, 1.25, 2.3
    assert tiers([0, 0, 0, 0, 0, 1, 2, 3]).tolist() == [0] * 5 + [1, 2, 3]


def test_where_most_have_no_crime_the_tiers_between_stay_empty() -> None:
    # limits 0, 0, 0.5
    assert tiers([0] * 9 + [5]).tolist() == [0] * 9 + [3]
    # the limit of hotspots is nought too, but what has no crime is none
    assert is_hotspot([0] * 9 + [5]).tolist() == [False] * 9 + [True]


def test_areas_that_are_all_the_same_lie_below_every_limit() -> None:
    assert tiers([3.3] * 7).tolist() == [0] * 7
    assert levels([0.1 + 0.2] * 4, [0.5, 0.9]).tolist() == [0] * 4


def test_of_the_nine_classes_the_first_digit_is_the_first_type() -> None:
    # limits of 0 to 4: 2 and 3
    theft, violence = [0, 1, 2, 3, 4], [4, 3, 0, 2, 1]
    assert bivariate(theft, violence).tolist() == ["0_2", "0_1", "0_0", "1_0", "2_0"]


def test_classes_are_spelled_as_in_the_table_and_each_has_a_title() -> None:
    density = np.arange(100)
    found = classes_of(density, density, density[::-1])
    for label, names in LABELS.items():
        assert set(found[label]) <= set(names)
        assert len(CLASS_TITLES[label]) == len(names)
        assert sorted(names) == list(names)  # searched for in this order
    assert found["is_hotspot"][[0, 99]].tolist() == ["0", "1"]
    assert found["tier"][[0, 99]].tolist() == ["0", "3"]
    assert found["bivariate"][[0, 99]].tolist() == ["0_2", "2_0"]


def test_limits_are_those_of_the_areas_of_the_scope() -> None:
    # Kent is cold, Essex is hot, and neither alone is the nation
    force = np.repeat(["kent", "essex"], 60)
    values = np.arange(120.0)
    found = label_scopes(year_after(values, np.zeros(120), force), PAIR).set_index("scope")
    assert found.index.unique().tolist() == ["essex", "kent", "study-area"]
    nation = found.loc["study-area"]
    assert nation["lsoa21cd"].is_monotonic_increasing
    assert nation["is_hotspot"].tolist() == [False] * 90 + [True] * 30
    assert found.loc["kent", "is_hotspot"].tolist() == [False] * 45 + [True] * 15
    assert found.loc["kent", "force"].unique().tolist() == ["kent"]
    # limits of 60 areas: 29.5, 44.25 and 53.1 from the lowest
    expected = [0] * 30 + [1] * 15 + [2] * 9 + [3] * 6
    assert found.loc["kent", "tier"].tolist() == expected
    assert found.loc["essex", "tier"].tolist() == expected
    assert found.loc["essex", "bivariate"].tolist() == ["0_0"] * 30 + ["1_0"] * 15 + ["2_0"] * 15


def test_an_area_that_is_unknown_has_no_class_and_moves_no_limit() -> None:
    force = np.repeat(["kent", "essex"], [60, 20])
    values = np.r_[np.arange(60.0), np.full(20, np.nan)]
    found = label_scopes(year_after(values, values, force), PAIR)
    assert found["scope"].unique().tolist() == ["kent", "study-area"]
    nation = found[found["scope"] == "study-area"]
    labels = ["is_hotspot", "tier", "bivariate"]
    known = nation[nation["force"] == "kent"]
    assert nation.loc[nation["force"] == "essex", ["crime_density", *labels]].isna().all(axis=None)
    assert known[labels].notna().all(axis=None)
    assert known["is_hotspot"].sum() == 15
    assert known["crime_density"].tolist() == (2 * np.arange(60.0)).tolist()


def test_an_area_of_no_force_stands_in_no_scope() -> None:
    force = np.r_[np.repeat("kent", 60), [""]]
    values = np.r_[np.arange(60.0), [np.nan]]
    assert "E01000060" not in set(label_scopes(year_after(values, values, force), PAIR)["lsoa21cd"])


def test_a_type_that_was_not_there_all_year_is_named() -> None:
    values = np.arange(60.0)
    after = year_after(values, values, np.repeat("kent", 60))
    with pytest.raises(DataError, match=r"did not have Possession of weapons in 2025-01: name "):
        label_scopes(after, ("Burglary", "Possession of weapons"))
