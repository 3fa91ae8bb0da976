"""Maps of areas: every pixel lies in its area and has the colour of its class."""

from __future__ import annotations

import io
import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import duckdb
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from crime_assets import DataError
from crime_assets.hexes.pictures import ZOOM_M, png
from crime_assets.lake import DuckDB
from crime_assets.lsoa import pictures
from crime_assets.lsoa.labels import LABELS
from crime_assets.lsoa.moran import NOT_SIGNIFICANT
from crime_assets.lsoa.pictures import Outlines


def square(west: float, south: float, side: float) -> str:
    """A ring, as well-known text spells it."""
    east, north = west + side, south + side
    corners = [(west, south), (east, south), (east, north), (west, north), (west, south)]
    return "(" + ", ".join(f"{e} {n}" for e, n in corners) + ")"


TOWN = {
    "E01000001": f"POLYGON ({square(0, 0, 3000)}, {square(1000, 1000, 1000)})",  # with a hole
    "E01000002": f"POLYGON ({square(1000, 1000, 1000)})",  # in the hole
    "E01000003": f"MULTIPOLYGON (({square(3000, 0, 500)}), ({square(3000, 2000, 1000)}))",
    "E01000004": "POLYGON ((3000 500, 4000 1200, 3900 1900, 3000 2000, 3400 1300, 3000 500))",
}
COUNTY = {f"E0200{e:02}{n:02}": f"POLYGON ({square(2000 * e, 2000 * n, 2000)})"
          for e in range(15) for n in range(15)}  # fmt: skip


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with DuckDB(threads=1).get_connection() as connection:
        connection.execute("create temp table lsoa_areas (lsoa21cd varchar, geometry geometry)")
        rows = [*TOWN.items(), *COUNTY.items()]
        connection.executemany(
            "insert into lsoa_areas values ($1, st_geomfromtext($2::varchar))", rows
        )
        yield connection


@pytest.fixture(scope="module")
def town(connection: duckdb.DuckDBPyConnection) -> Outlines:
    return Outlines.read(connection, list(TOWN))


@pytest.fixture(scope="module")
def county(connection: duckdb.DuckDBPyConnection) -> Outlines:
    return Outlines.read(connection, list(COUNTY))


def share(image: NDArray[np.uint8], colour: str) -> float:
    """How much of an image has exactly this colour."""
    return float((image == np.round(255 * np.array(to_rgb(colour)))).all(axis=-1).mean())


def drawn_at(figure: Figure, panel: int, easting: float, northing: float) -> NDArray:
    """What a panel shows at a place: red, green, blue, and how opaque."""
    shown = figure.axes[panel].images[0]
    west, east, south, north = shown.get_extent()
    image = shown.get_array()
    row = int((northing - south) / (north - south) * image.shape[0])
    return image[row, int((easting - west) / (east - west) * image.shape[1])]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


# --- Outlines -------------------------------------------------------------------------------


def in_areas(connection: duckdb.DuckDBPyConnection, codes: list[str], extent: tuple, step: float,
             shape: tuple[int, int]) -> NDArray[np.int64]:  # fmt: skip
    """The raster, by asking for the area of each pixel's centre."""
    found = connection.execute(
        "with code as (select unnest($codes) as lsoa21cd, generate_subscripts($codes, 1) - 1 as i) "
        "select r, c, coalesce(max(i) filter (st_contains(geometry, "
        "st_point($west + (c + 0.5) * $step, $south + (r + 0.5) * $step))), -1) as area "
        "from range($rows) as row_ (r), range($columns) as column_ (c), "
        "code inner join lsoa_areas using (lsoa21cd) group by r, c order by r, c",
        {"codes": codes, "west": extent[0], "south": extent[2], "step": step,
         "rows": shape[0], "columns": shape[1]},
    ).fetchnumpy()  # fmt: skip
    return np.asarray(found["area"]).reshape(shape)


def test_a_pixel_is_in_the_area_that_holds_its_centre_through_parts_and_holes(
    connection: duckdb.DuckDBPyConnection, town: Outlines
) -> None:
    for step in (37.0, 113.0, 410.0):
        found = town.raster(town.extent, step)
        expected = in_areas(connection, list(TOWN), town.extent, step, found.shape)
        np.testing.assert_array_equal(found, expected)
    assert set(np.unique(expected)) == {-1, 0, 1, 2, 3}


def test_a_hole_without_an_area_in_it_is_empty(connection: duckdb.DuckDBPyConnection) -> None:
    alone = Outlines.read(connection, ["E01000001"]).raster((0, 3000, 0, 3000), 100)
    assert (alone[10:20, 10:20] == -1).all()
    assert (alone == 0).sum() == 800


def test_a_part_of_the_land_shows_what_the_whole_shows_there(town: Outlines) -> None:
    whole = town.raster((0, 4000, 0, 3000), 50)
    part = town.raster((900, 3500, 450, 2600), 50)
    np.testing.assert_array_equal(part, whole[9:52, 18:70])


def test_real_outlines_fall_on_the_pixels_that_lie_in_them(shared_data: Path) -> None:
    with DuckDB(threads=1).get_connection() as connection:
        file = shared_data / "boundaries" / "lsoa_2021.parquet"
        connection.execute(
            "create temp table lsoa_areas as select LSOA21CD as lsoa21cd, geometry from "
            f"read_parquet('{file}') where LSOA21NM like 'Newport 0%' and LSOA21CD like 'W%'"
        )
        rows = connection.execute("select lsoa21cd from lsoa_areas order by 1").fetchall()
        codes = [code for (code,) in rows]
        outlines = Outlines.read(connection, codes)
        found = outlines.raster(outlines.extent, 400)
        expected = in_areas(connection, codes, outlines.extent, 400, found.shape)
    assert len(codes) > 50
    np.testing.assert_array_equal(found, expected)


def test_areas_stand_in_the_order_asked_for(connection: duckdb.DuckDBPyConnection) -> None:
    turned = Outlines.read(connection, list(TOWN)[::-1])
    np.testing.assert_array_equal(turned.bounds[3], [0, 3000, 0, 3000])
    np.testing.assert_array_equal(turned.bounds[1], [3000, 4000, 0, 3000])


@pytest.mark.parametrize("codes", [["E01000001", "E01999999"], []])
def test_codes_that_are_not_there_are_named(
    connection: duckdb.DuckDBPyConnection, codes: list[str]
) -> None:
    with pytest.raises(DataError, match="E01999999" if codes else "needs areas"):
        Outlines.read(connection, codes)


def test_classes_of_other_areas_are_refused(town: Outlines) -> None:
    with pytest.raises(ValueError, match="4 areas"):
        pictures.tier_map(town, [0, 1, 2], "Town")


# --- Maps -----------------------------------------------------------------------------------

LISA = [*pictures.LISA_COLOURS]
NINE = np.arange(225) % 9

MAPS: dict[str, tuple[Callable[[Outlines], Figure], Mapping[str, str] | tuple[str, ...]]] = {
    "tier": (lambda o: pictures.tier_map(o, np.arange(225) % 4, "T"), pictures.TIER_COLOURS),
    "lisa": (
        lambda o: pictures.lisa_map(o, np.array(LISA)[np.arange(225) % 5], "L"),
        pictures.LISA_COLOURS,
    ),
    "cluster": (
        lambda o: pictures.cluster_map(o, np.arange(225) % 5, "C"),
        pictures.CLUSTER_COLOURS,
    ),
    "bivariate": (
        lambda o: pictures.bivariate_map(o, NINE, "B", ("theft", "violence")),
        pictures.BIVARIATE_PALETTE,
    ),
    "study": (
        lambda o: pictures.bivariate_map(
            o,
            np.array(LABELS["bivariate"])[NINE],
            "B",
            ("theft", "violence"),
            palette=pictures.STUDY_PALETTE,
        ),
        pictures.STUDY_PALETTE,
    ),
}


@pytest.mark.parametrize("kind", MAPS)
def test_each_class_has_its_colour_in_the_png_and_the_same_map_the_same_bytes(
    county: Outlines, kind: str
) -> None:
    draw, colours = MAPS[kind]
    first, again = png(draw(county)), png(draw(county))
    assert first == again
    image = np.asarray(Image.open(io.BytesIO(first)).convert("RGB"))
    shown = colours.values() if isinstance(colours, Mapping) else colours
    assert min(share(image, colour) for colour in shown) > 0.2 / len(shown)


def test_areas_have_the_colours_of_their_own_classes(town: Outlines) -> None:
    figure = pictures.tier_map(town, [0, 3, 1, 2], "Town")
    for place, tier in [
        ((500, 500), 0),
        ((1500, 1500), 3),
        ((3250, 250), 1),
        ((3500, 2500), 1),
        ((3600, 1500), 2),
    ]:
        np.testing.assert_allclose(
            drawn_at(figure, 0, *place)[:3], to_rgb(pictures.TIER_COLOURS[tier])
        )
    assert drawn_at(figure, 0, 3800, 400)[3] == 0  # outside all


def test_the_first_digit_is_the_first_type_in_the_square_and_on_the_map(town: Outlines) -> None:
    classes = np.array(["2_0", "0_2", "", None], dtype=object)
    figure = pictures.bivariate_map(town, classes, "Town", ("theft", "violence"))
    first, second = (to_rgb(pictures.BIVARIATE_PALETTE[name]) for name in ("2_0", "0_2"))
    np.testing.assert_allclose(drawn_at(figure, 0, 500, 500)[:3], first)
    np.testing.assert_allclose(drawn_at(figure, 0, 1500, 1500)[:3], second)
    np.testing.assert_allclose(drawn_at(figure, 0, 3500, 2500)[:3], to_rgb(pictures.NO_CLASS))
    np.testing.assert_allclose(drawn_at(figure, 1, 2, 0)[:3], first)
    np.testing.assert_allclose(drawn_at(figure, 1, 0, 2)[:3], second)
    square_ = figure.axes[1]
    assert (square_.get_xlabel(), square_.get_ylabel()) == ("theft →", "violence →")
    assert legend(figure) == ["no class (2)"]


@pytest.mark.parametrize("none", [-1, np.nan, 4])
def test_an_area_without_a_class_is_grey_and_counted(town: Outlines, none: float) -> None:
    figure = pictures.tier_map(town, [0, none, 1, 1], "Town", note="Of 2025.")
    np.testing.assert_allclose(drawn_at(figure, 0, 1500, 1500)[:3], to_rgb(pictures.NO_CLASS))
    assert legend(figure) == [
        "low (1)",
        "medium (2)",
        "high (0)",
        "very high (0)",
        "no class (1)",
    ]
    assert figure.legends[0].get_title().get_text() == "Of 2025."


def test_areas_that_moran_left_out_are_grey(town: Outlines) -> None:
    figure = pictures.lisa_map(town, ["high-high", "", NOT_SIGNIFICANT, "low-low"], "Town")
    np.testing.assert_allclose(drawn_at(figure, 0, 1500, 1500)[:3], to_rgb(pictures.NO_CLASS))
    assert legend(figure)[-2:] == [f"{NOT_SIGNIFICANT} (1)", "no class (1)"]


def test_a_large_area_has_a_second_panel_where_most_high_areas_lie(
    town: Outlines, county: Outlines
) -> None:
    assert len(pictures.tier_map(town, [3, 3, 3, 3], "Town").axes) == 1
    tiers = np.zeros(225)
    middles = np.stack([county.bounds[:, :2].mean(axis=1), county.bounds[:, 2:].mean(axis=1)])
    tiers[(np.abs(middles - [[21_000], [9_000]]) < 3000).all(axis=0)] = 3
    tiers[0] = 3  # one far away
    whole, part = pictures.tier_map(county, tiers, "County").axes
    assert np.ptp(part.get_xlim()) == ZOOM_M < np.ptp(whole.get_xlim())
    for limits, middle in ((part.get_xlim(), 21_000), (part.get_ylim(), 9_000)):
        assert limits[0] < middle - 2000
        assert middle + 2000 < limits[1]
    assert len(pictures.tier_map(county, np.zeros(225), "County").axes) == 1


def test_years_have_a_panel_each(county: Outlines) -> None:
    yearly = {str(year): np.full(225, year - 2022) for year in (2022, 2023, 2024, 2025)}
    figure = pictures.cluster_map(county, yearly, "County")
    assert [axes.get_title() for axes in figure.axes] == [*yearly]
    for i in range(4):
        np.testing.assert_allclose(
            drawn_at(figure, i, 15_500, 15_500)[:3], to_rgb(pictures.CLUSTER_COLOURS[i])
        )
    assert legend(figure) == ["0", "1", "2", "3", "4"]


# --- Colours --------------------------------------------------------------------------------

# How colours look without one kind of cone, in linear RGB. G. M. Machado, M. M. Oliveira and L. A.
# F. Fernandes, "A physiologically-based model for simulation of color vision deficiency" (2009).
SEEN = {
    "all colours": np.eye(3),
    "no red": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "no green": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "no blue": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def nearest(colours: list[str], seen: str) -> float:
    """The distance in CIELAB of the two colours that look most alike."""
    rgb = np.array([to_rgb(colour) for colour in colours])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
    xyz = np.clip(linear @ np.transpose(SEEN[seen]), 0, 1) @ np.transpose(to_xyz)
    x, y, z = np.cbrt(xyz / [0.95047, 1.0, 1.08883]).T  # no colour here is near black
    lab = np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)
    return min(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(lab, 2))


@pytest.mark.parametrize("seen", SEEN)
def test_classes_are_told_apart_by_people_who_do_not_see_all_colours(seen: str) -> None:
    for colours in (
        pictures.TIER_COLOURS,
        pictures.LISA_COLOURS.values(),
        pictures.CLUSTER_COLOURS,
        pictures.BIVARIATE_PALETTE.values(),
    ):
        assert nearest([*colours], seen) > 14
        assert nearest([*colours, pictures.NO_CLASS], seen) > 9


def test_our_nine_colours_are_further_apart_than_those_of_the_study() -> None:
    for seen in SEEN:
        ours, theirs = (
            nearest([*palette.values()], seen)
            for palette in (pictures.BIVARIATE_PALETTE, pictures.STUDY_PALETTE)
        )
        assert ours > 1.3 * theirs


def test_importing_the_maps_imports_no_drawing_library() -> None:
    code = (
        "import sys, crime_assets.lsoa.pictures; "
        "sys.exit(any(m in sys.modules for m in ('matplotlib', 'PIL', 'scipy')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
