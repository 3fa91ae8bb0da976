"""Years before a cut-off: twelve months each, whole or unknown, of the force's own areas."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crime_assets.lake import DuckDB, MissingPartition
from crime_assets.lsoa.features import TYPES
from crime_assets.lsoa.history import History, NoScope, read_history
from crime_assets.register import force_slugs
from crime_assets_tests.lsoa.made import CODES, CUT_OFF, HISTORY, KENT, SIDE, Town, crimes_of

COUNTS = np.array([crimes_of(month) for month in HISTORY])


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with DuckDB(threads=1).get_connection() as connection:
        yield Town.make(tmp_path_factory.mktemp("town"), connection, HISTORY)


@pytest.fixture
def town(template: Town, tmp_path: Path) -> Town:
    return template.copy(tmp_path)


def read(town: Town, months: list[str] = HISTORY) -> History:
    return read_history(town.connection, town.lake, months)


def lose(town: Town, month: str) -> None:
    town.lake.path("lsoa_counts", {"month": month}).unlink()


def test_a_year_is_twelve_months_counted_back_from_the_cut_off(town: Town) -> None:
    found = read(town)
    assert found.codes.tolist() == CODES
    assert found.crime_types == TYPES
    assert (found.years, found.months[-1]) == (3, CUT_OFF)
    for year, months in enumerate((slice(24, 36), slice(12, 24), slice(0, 12))):
        np.testing.assert_array_equal(found.density[:, year], COUNTS[months].sum(axis=0))
        np.testing.assert_array_equal(found.total[:, year], COUNTS[months].sum(axis=(0, 2)))
    np.testing.assert_array_equal(found.monthly, COUNTS.sum(axis=2).T)
    np.testing.assert_array_equal(found.counted()["crimes"], COUNTS[24:].sum(axis=(0, 2)))


def test_a_density_is_of_a_square_kilometre(town: Town) -> None:
    town.change_areas("4.0 as area_km2")
    found = read(town)
    np.testing.assert_allclose(found.total[:, 0], COUNTS[24:].sum(axis=(0, 2)) / 4)
    np.testing.assert_allclose(found.density[:, 0], COUNTS[24:].sum(axis=0) / 4)


def test_types_of_other_years_count_in_the_total_alone_and_codes_of_no_area_nowhere(
    town: Town,
) -> None:
    town.publish(
        CUT_OFF,
        others="select 'E01000003', 'Violent crime', 7, 7 union all "
        "select 'E01999999', 'Drugs', 9, 9 union all select 'A', 'Drugs', 9, 9",
    )
    found = read(town)
    extra = found.total[:, 0] - COUNTS[24:].sum(axis=(0, 2))
    assert extra.tolist() == [7.0 if i == 3 else 0.0 for i in range(SIDE * SIDE)]
    np.testing.assert_array_equal(found.density[:, 0], COUNTS[24:].sum(axis=0))


@pytest.mark.parametrize(("month", "year"), [(HISTORY[5], 2), (HISTORY[12], 1), (CUT_OFF, 0)])
def test_one_silent_month_makes_a_year_unknown_not_cold(town: Town, month: str, year: int) -> None:
    town.publish(month, forces=["kent"])
    found = read(town)
    unknown = np.zeros((SIDE * SIDE, 3), dtype=bool)
    unknown[~KENT, year] = True
    np.testing.assert_array_equal(np.isnan(found.total), unknown)
    np.testing.assert_array_equal(np.isnan(found.density).all(axis=2), unknown)
    np.testing.assert_array_equal(np.isnan(found.density).any(axis=2), unknown)
    assert found.silent[year] == ("essex",)
    assert not any(found.silent[other] for other in range(3) if other != year)
    np.testing.assert_array_equal(found.with_data(), KENT | (year != 0))


def test_an_area_of_no_force_is_unknown(town: Town) -> None:
    town.change_areas("if(lsoa21cd = 'E01000009', null, force) as force")
    found = read(town)
    assert np.isnan(found.total[9]).all()
    assert np.isfinite(np.delete(found.total, 9, axis=0)).all()
    assert not found.scopes()["study-area"][9]


@pytest.mark.parametrize(("lost", "years"), [(0, 2), (11, 2), (12, 1), (23, 1)])
def test_a_year_that_lacks_a_month_ends_the_history(town: Town, lost: int, years: int) -> None:
    lose(town, HISTORY[lost])
    found = read(town)
    assert found.years == years
    assert found.months == tuple(HISTORY[-12 * years :])
    np.testing.assert_array_equal(found.total[:, 0], COUNTS[24:].sum(axis=(0, 2)))


def test_a_missing_month_of_the_last_year_fails_and_is_named(town: Town) -> None:
    for month in ("2024-03", "2024-05"):
        lose(town, month)
    with pytest.raises(MissingPartition, match=r"lacks 2024-03, 2024-05, and the year 2024-01 to "):
        read(town)
    with pytest.raises(MissingPartition, match=r"--partition-range 2024-03\.\.\.2024-05`"):
        read(town)


def test_areas_touch_at_edges_and_corners_and_only_those_kept_do(town: Town) -> None:
    found = read(town)
    assert np.flatnonzero(found.neighbours[[0]].toarray()).tolist() == [1, 8, 9]
    assert found.neighbours[[9]].sum() == 8
    kent = found.within(KENT)
    assert kent.neighbours.shape == (56, 56)
    edge = np.flatnonzero(KENT).tolist().index(6)
    assert kent.neighbours[[edge]].sum() == 3  # two more lie in Essex
    assert kent.codes.tolist() == [code for code, own in zip(CODES, KENT, strict=True) if own]
    np.testing.assert_array_equal(kent.monthly, found.monthly[KENT])


def test_scopes_of_fewer_than_fifty_areas_are_left_out(town: Town) -> None:
    scopes = read(town).scopes()
    assert {scope: int(areas.sum()) for scope, areas in scopes.items()} == {
        "kent": 56,
        "study-area": 64,
    }


def test_without_a_scope_it_says_who_was_silent(town: Town) -> None:
    town.publish("2024-07", forces=["essex"])
    with pytest.raises(NoScope, match=r"8 areas have .* 2024-01 to 2024-12, and 50 .*: kent$"):
        read(town).scopes()


def test_the_nation_has_areas_of_all_forces_whether_they_publish_or_not(town: Town) -> None:
    found = read(town)
    assert found.nation == "study-area"
    forces = np.resize(force_slugs(("territorial",)), SIDE * SIDE)
    assert replace(found, force=forces).nation == "england-and-wales"
    forces[forces == "kent"] = ""
    assert replace(found, force=forces).nation == "study-area"
