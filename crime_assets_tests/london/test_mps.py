"""The two wide files: what is read, how they are merged, and what is said of them."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import pytest

from crime_assets import DataError
from crime_assets.london.mps import (
    CITY_OF_LONDON,
    MpsYears,
    categories,
    findings_as_markdown,
    mps_years,
    read_wide,
)
from crime_assets_tests.london.made import HISTORICAL, RECENT, Line, wide

AREAS = ("E01000006", "E01000007", "E01000008")
ONE, TWO, THREE = AREAS
YEAR_2023 = [f"2023{m:02}" for m in range(1, 13)]
# something in every month, so that none is a stub
PULSE = dict.fromkeys([*HISTORICAL, *RECENT], 1)


def read(folder: Path, text: str, name: str = "file.csv") -> pd.DataFrame:
    (folder / name).write_text(text, encoding="utf-8")
    return read_wide(folder / name)


def merged(
    folder: Path,
    historical: Sequence[Line],
    recent: Sequence[Line],
    months: tuple[Sequence[str], Sequence[str]] = (HISTORICAL, RECENT),
    majors: Mapping[str, str] = {},
) -> MpsYears:
    """Two files with these lines, beside a line that pulses in area ONE."""
    pulse = (ONE, "OTHER THEFT", PULSE)
    return mps_years(
        read(folder, wide([pulse, *historical], months[0]), "historical.csv"),
        read(folder, wide([pulse, *recent], months[1], majors), "recent.csv"),
        AREAS,
    )


def crimes(found: MpsYears, area: str, year: int, crime_type: str) -> int:
    rows = found.table.query("lsoa21cd == @area and year == @year and crime_type == @crime_type")
    assert len(rows) == 1
    return int(rows["crimes"].iloc[0])


# --- One file -------------------------------------------------------------------------------


def test_headers_as_published_and_as_stored_by_others_are_the_same_table(tmp_path: Path) -> None:
    text = wide([(ONE, "ARSON", {"202304": 2})], RECENT)
    head, rest = text.split("\n", 1)
    lower = head.lower().replace(" ", "_") + "\n" + rest
    (tmp_path / "file.csv.gz").write_bytes(gzip.compress(lower.encode()))
    pd.testing.assert_frame_equal(read_wide(tmp_path / "file.csv.gz"), read(tmp_path, text))


def test_months_are_put_in_order_and_a_blank_is_nought(tmp_path: Path) -> None:
    text = (
        "LSOA Code,LSOA Name,Borough,Major Category,Minor Category,202402,202401\n"
        f"{ONE},Town,Town,THEFT,OTHER THEFT,3,\n"
    )
    table = read(tmp_path, text)
    assert table.columns.tolist() == ["202401", "202402"]
    assert table.to_numpy().tolist() == [[0, 3]]


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("Minor Category", "Subcategory", "it lacks minor_category"),
        ("202304", "202313", None),  # no month: it is left out, as Borough is
        (",202304,202305", ",202304,202304", "holds the month 202304 twice"),
        (f"{ONE},", ",", "line 2: no area"),
        (",7,", ",-7,", "line 2, month 202304: '-7' is no number of crimes"),
        (",7,", ",seven,", "line 2, month 202304: 'seven' is no number of crimes"),
        (",7,", ",7.5,", "line 2, month 202304: '7.5' is no number of crimes"),
    ],
)
def test_a_file_that_is_not_such_a_table_is_refused_with_its_place(
    tmp_path: Path, before: str, after: str, says: str | None
) -> None:
    text = wide([(ONE, "ARSON", {"202304": 7})], RECENT[:3])
    assert before in text
    if says is None:
        assert read(tmp_path, text.replace(before, after)).columns.tolist() == RECENT[1:3]
        return
    with pytest.raises(DataError, match=says):
        read(tmp_path, text.replace(before, after, 1))


def test_a_line_that_stands_twice_is_refused(tmp_path: Path) -> None:
    line = (ONE, "ARSON", {"202304": 7})
    with pytest.raises(DataError, match=f"{ONE}, Town 006, ARSON .* twice"):
        read(tmp_path, wide([line, line], RECENT))


def test_a_file_that_is_not_there_or_empty_says_where_to_find_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is not there: download .*London Datastore"):
        read_wide(tmp_path / "nothing.csv")
    with pytest.raises(DataError, match=r"cannot be read as CSV .*London Datastore"):
        read(tmp_path, "")
    with pytest.raises(DataError, match=r"lacks .*months such as 201004"):
        read(tmp_path, wide([(ONE, "ARSON", {})], []))


# --- The merge ------------------------------------------------------------------------------


def test_the_grid_is_whole_with_noughts_and_in_order(tmp_path: Path) -> None:
    found = merged(tmp_path, [(TWO, "ARSON", {"201101": 4})], [(ONE, "HOMICIDE", {"202404": 1})])
    table = found.table
    assert len(table) == 3 * 14 * 3
    assert table["year"].unique().tolist() == list(range(2011, 2025))
    keys = ["lsoa21cd", "year", "crime_type"]
    assert not table.duplicated(keys).any()
    pd.testing.assert_frame_equal(table, table.sort_values(keys, ignore_index=True))
    assert crimes(found, TWO, 2011, "ARSON") == 4
    assert crimes(found, THREE, 2024, "HOMICIDE") == 0
    assert table["crimes"].sum() == 14 * 12 + 4 + 1 == found.published
    assert found.findings["areas without a line"] == (THREE,)


def test_a_year_that_the_seam_cuts_is_the_sum_of_both_files(tmp_path: Path) -> None:
    found = merged(
        tmp_path,
        [(TWO, "ARSON", {"202301": 1, "202303": 2})],
        [(TWO, "ARSON", {"202304": 4, "202312": 8, "202401": 100})],
    )
    assert crimes(found, TWO, 2023, "ARSON") == 15
    lines = found.table.query("lsoa21cd == @TWO and crime_type == 'ARSON'")["lines"]
    assert set(lines) == {1}


def test_of_a_month_in_both_files_the_historical_one_is_kept_and_differences_are_told(
    tmp_path: Path,
) -> None:
    found = merged(
        tmp_path,
        [(TWO, "ARSON", {"202302": 5, "202303": 5})],
        [(TWO, "ARSON", {"202302": 5, "202303": 7}), (THREE, "ARSON", {"202303": 1})],
        months=(HISTORICAL, ["202302", "202303", *RECENT]),
    )
    assert crimes(found, TWO, 2023, "ARSON") == 10
    assert crimes(found, THREE, 2023, "ARSON") == 0
    assert found.findings["months in both files that differ"] == (
        "202303 (2 lines; 6 crimes are kept, the recent file has 9)",
    )
    assert found.published == found.table["crimes"].sum() + found.outside


def test_types_that_change_their_name_at_the_seam_are_told_and_stay_two(tmp_path: Path) -> None:
    found = merged(
        tmp_path,
        [(TWO, "BURGLARY IN A DWELLING", {"202301": 3})],
        [(TWO, "RES BURGLARY OF A HOME", {"202304": 4})],
    )
    assert found.findings["types in the historical file only"] == ("BURGLARY IN A DWELLING",)
    assert found.findings["types in the recent file only"] == ("RES BURGLARY OF A HOME",)
    assert crimes(found, TWO, 2023, "BURGLARY IN A DWELLING") == 3
    assert crimes(found, TWO, 2023, "RES BURGLARY OF A HOME") == 4


def test_an_unknown_type_is_kept_and_told(tmp_path: Path) -> None:
    found = merged(tmp_path, [], [(TWO, "PIRACY", {"202404": 2})])
    assert found.findings["types that are not in categories.csv"] == ("PIRACY",)
    assert crimes(found, TWO, 2024, "PIRACY") == 2


def test_an_area_that_vanished_is_told_with_its_crimes_and_leaves_the_others_whole(
    tmp_path: Path,
) -> None:
    found = merged(tmp_path, [("E01099999", "ARSON", {"201501": 2, "201006": 9})], [])
    assert found.findings["areas that are not in the grid"] == ("E01099999 (2 crimes)",)
    assert found.outside == 2
    assert "E01099999" not in set(found.table["lsoa21cd"])
    assert found.published == found.table["crimes"].sum() + 2


def test_a_type_under_two_majors_is_summed_and_its_lines_are_counted(tmp_path: Path) -> None:
    found = merged(
        tmp_path,
        [(TWO, "ARSON", {"202301": 3})],
        [(TWO, "ARSON", {"202304": 5})],
        majors={"ARSON": "FIRE"},
    )
    assert crimes(found, TWO, 2023, "ARSON") == 8
    assert set(found.table.query("lsoa21cd == @TWO and crime_type == 'ARSON'")["lines"]) == {2}
    (told,) = found.findings["types under several major categories"]
    assert told == "ARSON (ARSON AND CRIMINAL DAMAGE and FIRE)"


def test_a_year_with_a_stub_or_without_a_month_is_left_out_and_told(tmp_path: Path) -> None:
    months = [m for m in HISTORICAL if m != "202207"]
    busy = (TWO, "ARSON", dict.fromkeys([m for m in PULSE if m != "202402"], 99))
    found = merged(tmp_path, [busy], [busy], months=(months, RECENT))
    assert found.findings["months missing between the first and the last"] == ("202207",)
    assert found.findings["nearly empty months"] == ("202402 (1 crimes)",)
    assert found.findings["years left out"] == (
        "2010 (9 months)",
        "2022 (11 months)",
        "2024 (12 months, one nearly empty)",
        "2025 (3 months)",
    )
    assert found.table["year"].unique().tolist() == [*range(2011, 2022), 2023]


def test_files_without_one_whole_year_are_refused(tmp_path: Path) -> None:
    says = r"no year has twelve months: .* 202301 to 202304, without 202302"
    with pytest.raises(DataError, match=says):
        merged(tmp_path, [], [], months=(["202301"], ["202303", "202304"]))


def test_files_that_fit_have_no_findings(tmp_path: Path) -> None:
    rest = [(area, "OTHER THEFT", PULSE) for area in (TWO, THREE)]
    found = merged(tmp_path, rest, rest)
    assert set(found.findings) == {"years left out"}
    assert found.findings["years left out"] == ("2010 (9 months)", "2025 (3 months)")
    assert found.outside == 0


def test_findings_are_a_table_that_shows_the_first_of_many() -> None:
    text = findings_as_markdown({"areas": tuple(f"E{k}" for k in range(20))})
    assert text.splitlines()[-1] == "| areas | 20 | E0, E1, E2, E3, E4, E5, E6, E7, .. |"


# --- The real file --------------------------------------------------------------------------


@pytest.mark.slow
def test_the_real_recent_file_has_known_types_a_stub_and_no_crime_in_the_city(
    shared_data: Path,
) -> None:
    file = read_wide(shared_data / "lsoa" / "mps_lsoa_level_crime_2024-02_2026-02.csv.gz")
    known = pd.read_csv(shared_data / "boundaries" / "lsoa_2011_to_2021.csv.gz")["lsoa21cd"]
    city = [*CITY_OF_LONDON, "E01032739", "E01032740"]
    areas = {*file.index.unique("lsoa_code"), *city} - set(CITY_OF_LONDON)
    assert areas <= set(known)
    found = mps_years(file.iloc[:0, :0], file, areas)
    assert len(areas) == 4990
    assert found.findings["nearly empty months"] == ("202402 (39 crimes)",)
    assert found.findings["areas without a line"] == ("E01032739", "E01032740")
    assert found.findings["years left out"] == (
        "2024 (11 months, one nearly empty)",
        "2026 (2 months)",
    )
    told = {what for what in found.findings if "not in" in what or "several" in what}
    assert not told
    assert found.table["year"].unique().tolist() == [2025]
    assert found.table["crime_type"].nunique() == 29
    assert set(found.table["lines"]) == {0, 1}
    assert found.published == found.table["crimes"].sum() == 865_497
    assert set(categories()) - set(found.table["crime_type"]) == {"BURGLARY IN A DWELLING"}
