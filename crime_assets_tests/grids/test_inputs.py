"""Samples are the same from the files as from the lake; which four years, and of what data."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path

import pytest

from crime_assets import DataError
from crime_assets.cities.city import REGISTER, CityError, read_city
from crime_assets.cities.grid import Grid, count_cells
from crime_assets.cities.incidents import IMPROBABLE, city_files, read_incidents
from crime_assets.grids.inputs import digest_of_maps, period_of, read_samples
from crime_assets.lake import DuckDB, Lake, create
from crime_assets.settings import Settings
from crime_assets_tests.grids.made import CITY, PERIOD, changed_from, made_samples, write_town


def settings(folder: Path) -> Settings:
    return Settings.from_environment(
        {"CRIME_DATA_DIR": str(folder / "data"), "CRIME_INCIDENTS": str(folder / "incidents")}
    )


def test_the_period_is_that_of_the_study_or_the_last_four_years() -> None:
    known = read_city(REGISTER / "san-francisco.yaml")
    days = ("2003-01-01", "2015-05-13")
    assert period_of(known, days).first_day == datetime.date(2010, 6, 1)
    unknown = replace(known, study_first_day=None)
    assert period_of(unknown, days).first_day == datetime.date(2011, 5, 1)
    assert period_of(unknown, ("2003-01-01", "2015-04-30")).first_day == datetime.date(2011, 5, 1)
    assert period_of(known, days, "2004-02-01").first_day == datetime.date(2004, 2, 1)
    for wrong in ("2004-02-02", "february"):
        with pytest.raises(DataError, match=f"first_day is '{wrong}'; it must be the first of a"):
            period_of(known, days, wrong)


@pytest.mark.slow
def test_samples_are_the_same_from_the_files_and_from_the_lake(tmp_path: Path) -> None:
    write_town(tmp_path / "incidents")
    of = settings(tmp_path)
    from_files = read_samples(of, CITY, (16, 24), "study")
    assert set(from_files) == {16, 24}
    assert from_files[16].period == PERIOD
    city = read_city(tmp_path / "incidents" / f"{CITY}.yaml")
    lake = Lake(of.data_dir / "lake")
    with DuckDB(threads=1).get_connection() as connection:
        read_incidents(connection, city, city_files(of.incidents, CITY))
        create(connection, "cities/incident_days", chance=IMPROBABLE)
        lake.publish(connection, "incident_days", "incident_days", {"city": CITY})
        connection.execute(
            "create temp view placed as select time::date as step, longitude, latitude, study, "
            "corrected from city_incidents"
        )
        for p in (16, 24):
            count_cells(connection, Grid(p, city.box))
            create(connection, "cities/incident_maps")
            place = {"cells": str(p), "city": CITY}
            lake.publish(connection, "incident_maps", "incident_maps", place)
    (tmp_path / "incidents" / f"{CITY}.csv").unlink()
    for p, found in read_samples(of, CITY, (16, 24), "study").items():
        assert digest_of_maps(found.maps) == digest_of_maps(from_files[p].maps)
    corrected = read_samples(of, CITY, (16,), "corrected")[16]
    assert digest_of_maps(corrected.maps) != digest_of_maps(from_files[16].maps)


def test_without_tables_and_files_it_is_said_where_to_put_them(tmp_path: Path) -> None:
    with pytest.raises(CityError, match="there is no file of minneapolis in"):
        read_samples(settings(tmp_path), "minneapolis", (16,), "study")


def test_other_incidents_have_another_digest() -> None:
    samples = made_samples()
    assert digest_of_maps(samples.maps) == digest_of_maps(made_samples().maps)
    assert digest_of_maps(samples.maps) != digest_of_maps(changed_from(samples, 1400).maps)
