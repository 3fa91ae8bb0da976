"""The register of cities: every category of table A1, and files that a user gets wrong."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
import yaml

from crime_assets.cities.city import (
    CRIME_TYPES,
    NOT_IN_THE_TABLE,
    REGISTER,
    Box,
    CityError,
    city_slugs,
    find_city,
    read_city,
)
from crime_assets_tests.cities.made import TOWN, write_city
from crime_assets_tests.cities.table_a1 import TABLE_A1

FACTS = [
    pytest.param(city, category, crime_type, id=f"{city}: {category}")
    for city, types in TABLE_A1.items()
    for crime_type, categories in types.items()
    for category in categories
]


def test_the_register_has_the_five_cities_of_the_study() -> None:
    assert city_slugs(REGISTER) == tuple(sorted(TABLE_A1))
    assert city_slugs(Path("nowhere")) == city_slugs(REGISTER)
    assert {t for types in TABLE_A1.values() for t in types} == set(CRIME_TYPES)


@pytest.mark.parametrize(("city", "category", "crime_type"), FACTS)
def test_each_category_of_table_a1_lands_where_the_table_says(
    city: str, category: str, crime_type: str
) -> None:
    found = read_city(REGISTER / f"{city}.yaml").categories[category.lower()]
    assert found.study == crime_type
    assert found.note != NOT_IN_THE_TABLE


@pytest.mark.parametrize("city", TABLE_A1)
def test_what_is_not_in_table_a1_stands_apart_from_it(city: str) -> None:
    content = yaml.safe_load((REGISTER / f"{city}.yaml").read_text(encoding="utf-8"))
    assert set(content["categories"]) == {c for of in TABLE_A1[city].values() for c in of}
    for category in read_city(REGISTER / f"{city}.yaml").categories.values():
        assert category.study == category.corrected or category.note, category


@pytest.mark.parametrize(
    ("city", "category", "corrected"),
    [
        ("seattle", "car prowl", "Theft"),
        ("seattle", "disturbance", "Other"),
        ("minneapolis", "shoplf", "Theft"),
        ("minneapolis", "tfmv", "Theft"),
        ("minneapolis", "dastr", "Assault"),
        ("washington-dc", "theft f/auto", "Theft"),
        ("philadelphia", "burglary non-residential", "Burglary"),
        ("san-francisco", "vandalism", "Other"),
        ("san-francisco", "larceny/theft", "Theft"),
    ],
)
def test_the_oddities_of_the_table_are_put_right(city: str, category: str, corrected: str) -> None:
    assert read_city(REGISTER / f"{city}.yaml").categories[category].corrected == corrected


def test_the_four_years_that_come_nearest_to_the_study_are_known_of_two_cities() -> None:
    days = {city: read_city(REGISTER / f"{city}.yaml").study_first_day for city in TABLE_A1}
    assert {city for city, day in days.items() if day} == {"minneapolis", "san-francisco"}
    assert days["san-francisco"] == datetime.date(2010, 6, 1)


def test_a_city_of_the_users_folder_is_one_more_or_takes_the_place_of_another(
    tmp_path: Path,
) -> None:
    write_city(tmp_path, "gotham")
    write_city(tmp_path, "seattle")
    assert city_slugs(tmp_path) == tuple(sorted([*TABLE_A1, "gotham"]))
    assert find_city("seattle", tmp_path).title == TOWN["title"]
    assert find_city("gotham", tmp_path).box == Box(**TOWN["box"])
    assert find_city("minneapolis", tmp_path).title == "Minneapolis"
    with pytest.raises(CityError, match=r"no metropolis\.yaml, neither in .* the register, which"):
        find_city("metropolis", tmp_path)


BOX = TOWN["box"]
ROBBED = {"ROBBED": "Robery"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"categories": ROBBED}, "ROBBED is of the crime type 'Robery', .* there are Homicide, "),
        ({"categories": {"ROBBED": {"study": "Robbery"}}}, "category ROBBED lacks corrected"),
        ({"categories": {7: "Theft"}}, "category 7 must be text: put it in quotation marks"),
        ({"categories": {"A": "Theft", "a ": "Other"}}, "a  stands twice, under different"),
        ({"categories": []}, "categories must be a table of names and values"),
        (
            {"categories": {"A": "Theft"}, "later_categories": {"A": "Theft"}},
            "A stands in categories and in later_categories",
        ),
        ({"columns": {"category": ["Kind"]}}, "columns lacks latitude, longitude"),
        (
            {"columns": {"category": "Kind", "longitude": "x", "latitude": "y"}},
            "columns says of none when it happened: give one of reported, occurred, date",
        ),
        (
            {"columns": TOWN["columns"] | {"when": "T"}},
            "columns has when, which mean nothing; there are category, date,",
        ),
        ({"columns": TOWN["columns"] | {"date": [3]}}, r"date is \[3\]; it must be a list of col"),
        ({"box": BOX | {"west": 8.0}}, r"from west 8\.0 to east 7\.1 .* west must be less than"),
        ({"box": BOX | {"north": 91}}, "north 91"),
        ({"box": BOX | {"north": "50 N"}}, "box: north is '50 N'; it must be degrees"),
        ({"box": {"west": 1}}, "box lacks east, north, south"),
        ({"time_formats": "%Y"}, "time_formats must be a list of formats"),
        ({"study": {"first_day": datetime.date(2010, 6, 2)}}, "first_day is 2010-06-02; it must"),
        ({"licens": "?"}, "the file has licens, which mean nothing"),
        ({"title": None, "drop": "title"}, "the file lacks title"),
    ],
)
def test_a_file_that_is_wrong_is_told_so(
    changes: dict[str, object], message: str, tmp_path: Path
) -> None:
    content = {**TOWN, **changes}
    if dropped := content.pop("drop", None):
        del content[str(dropped)]
    path = tmp_path / "gotham.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(CityError, match=message) as raised:
        read_city(path)
    assert str(raised.value).startswith(f"{path}: ")


def test_a_file_that_is_no_yaml_or_badly_named_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "gotham.yaml"
    path.write_text("a: [", encoding="utf-8")
    with pytest.raises(CityError, match=r"gotham\.yaml: while parsing"):
        read_city(path)
    write_city(tmp_path, "Gotham_City")
    with pytest.raises(CityError, match="the name Gotham_City must be of small letters"):
        find_city("Gotham_City", tmp_path)
