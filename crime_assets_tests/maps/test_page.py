"""The page, in a browser: what it shows is what the tables say, and everyone can use it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from pyproj import Transformer

from crime_assets.hexes import grid
from crime_assets.lake import DuckDB, Lake
from crime_assets.partitions import months_back
from crime_assets_tests.conftest import Demo, RealLake
from crime_assets_tests.maps.conftest import MONTH, Open, published_map, served, tiles_served

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
AXE = ROOT / "site" / "node_modules" / "axe-core" / "axe.min.js"
MONTHS = months_back(MONTH, 36)


def state(page: Page) -> dict[str, Any]:
    return page.evaluate("() => window.hotspotMap.state()")


def cells(page: Page) -> list[dict[str, Any]]:
    return page.evaluate("() => window.hotspotMap.cells()")


def settled(page: Page) -> None:
    """Wait until what was asked for is drawn."""
    page.wait_for_function("() => !document.querySelector('[aria-busy=true]')")
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done, 150)))")


def query(layered: Demo, statement: str, **parameters: object) -> pd.DataFrame:
    lake = Lake(layered.settings.data_dir / "lake")
    with DuckDB().get_connection() as connection:
        months = [{"month": m} for m in MONTHS]
        for table in ("hotspots", "hotspot_frequency", "hex_counts", "coverage"):
            lake.view(connection, table, months, skip_missing=True)
        for table in ("lsoa_labels", "segment_counts"):
            lake.view(connection, table, months, skip_missing=True)
        forces = [{"force": force} for force in layered.settings.forces]
        lake.view(connection, "street_segments", forces, skip_missing=True)
        for table in ("hex_cells", "lsoa_areas"):
            lake.view(connection, table)
        return connection.execute(statement, parameters).df()


def layer_names(page: Page) -> list[str]:
    """The layers of the map, the lowest first."""
    return page.evaluate("() => window.hotspotMap.map.getLayersOrder()")


def drawn(page: Page, layers: list[str]) -> list[dict[str, Any]]:
    """What is drawn of the features of these layers: properties and state."""
    page.evaluate("() => new Promise(done => window.hotspotMap.map.once('idle', done).redraw())")
    return page.evaluate(
        """layers => window.hotspotMap.map.queryRenderedFeatures({layers})
        .map(({properties, state}) => ({...properties, ...state}))""",
        layers,
    )


@contextmanager
def with_basemap(
    layered: Demo, folder: Path, **options: Any
) -> Iterator[tuple[str, str, list[str]]]:
    """The sample's map on a base map: its address, that of the tiles, and the tiles asked for."""
    shutil.copytree(layered.folder / "maps" / MONTH, folder)
    index = json.loads((folder / "map.json").read_text())
    asked: list[str] = []
    with tiles_served(asked) as host:
        tiles = {"tiles": f"{host}{{z}}/{{x}}/{{y}}.png", "attribution": "nobody", "max_zoom": 19}
        (folder / "map.json").write_text(json.dumps({**index, "basemap": tiles}))
        headers = {name: value.replace("TILES", host[:-1]) for name, value in options.items()}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with served(folder, named) as address:
            yield address, host, asked


def details(page: Page) -> dict[str, str]:
    """What is said of the chosen cell."""
    names = page.locator("#about-cell dt").all_inner_texts()
    return dict(zip(names, page.locator("#about-cell dd").all_inner_texts(), strict=True))


# --- What it says ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "crime_type", "window"),
    [
        ("study-area", "Violence and sexual offences", 12),
        ("sample-dogger", "Shoplifting", 3),
        ("sample-silverpit", "All crime", 1),
    ],
)
def test_the_numbers_of_cells_are_those_of_the_tables(
    sample_map: str, layered: Demo, open_page: Open, scope: str, crime_type: str, window: int
) -> None:
    slug = crime_type.lower().replace(" ", "-")
    page = open_page(f"{sample_map}?type={slug}&window={window}&scope={scope}")
    expected = query(
        layered,
        """
        with counted as (
            select hex_id, sum(crimes) as crimes from hex_counts
            where month = any($months) and (crime_type = $type or $type = 'All crime')
            group by hex_id
        )
        select frequency.*, coalesce(counted.crimes, 0) as crimes, hot.rank as rank_now, hot.tied,
            hot.snap_points, area.lsoa21nm
        from hotspot_frequency as frequency
        left join counted using (hex_id)
        left join hotspots as hot using (scope, crime_type, window_months, hex_id, month)
        left join hex_cells as cell using (hex_id)
        left join lsoa_areas as area using (lsoa21cd)
        where frequency.month = $month and scope = $scope and crime_type = $type
            and window_months = $window
        order by frequency.rank
        """,
        months=MONTHS[-window:],
        month=MONTH,
        type=crime_type,
        scope=scope,
        window=window,
    )
    rows = page.locator("#rows tr").all()
    assert len(rows) == min(len(expected), 200)
    for row, wanted in zip(rows[:12], expected.head(12).itertuples(), strict=True):
        said = row.inner_text()
        assert int(row.get_attribute("data-id") or 0) == wanted.hex_id
        assert wanted.persistence in said
        assert f"{100 * wanted.frequency:.3g} %" in said
        page.evaluate("id => window.hotspotMap.select(id)", wanted.hex_id)
        page.wait_for_function(
            "id => document.querySelector('#about-cell').textContent.includes(id)",
            arg=str(wanted.hex_id),
        )
        about = details(page)
        assert about["Cell"] == str(wanted.hex_id)
        assert about["Rank by frequency"] == f"{wanted.rank} of {len(expected)}"
        assert f"a hotspot in {wanted.hits} of {wanted.windows} window" in about["Frequency"]
        assert about["How lasting"].startswith(wanted.persistence)
        crimes = next(value for name, value in about.items() if name.startswith("Crimes, "))
        assert int(crimes.replace(",", "")) == wanted.crimes
        rank = next(value for name, value in about.items() if name.startswith("Rank, "))
        if pd.isna(wanted.rank_now):
            assert rank == "not a hotspot then"
            assert "Tie band" not in about
        else:
            assert rank.startswith(f"{wanted.rank_now:.0f} of ")
            assert ("Tie band" in about) == wanted.tied
            assert f"lie on {wanted.snap_points:.0f}" in about["Anonymous places"]
        if isinstance(wanted.lsoa21nm, str):
            assert about["Neighbourhood"] == wanted.lsoa21nm


@pytest.mark.parametrize("month", ["2024-03", "2025-06"])
def test_in_a_month_the_hot_cells_are_its_hotspots_in_their_order(
    sample_map: str, layered: Demo, open_page: Open, month: str
) -> None:
    page = open_page(f"{sample_map}?type=burglary&window=3&scope=study-area&month={month}")
    expected = query(
        layered,
        "select hex_id, rank, crimes, tied from hotspots where month = $month and "
        "scope = 'study-area' and crime_type = 'Burglary' and window_months = 3 order by rank",
        month=month,
    )
    page.wait_for_function("() => window.hotspotMap.cells().some(cell => cell.crimes !== null)")
    shown = pd.DataFrame([cell for cell in cells(page) if cell["hot"]])
    shown = shown.sort_values("rankInMonth")
    assert shown["id"].tolist() == expected["hex_id"].tolist()
    assert shown["rankInMonth"].tolist() == expected["rank"].tolist()
    assert shown["crimes"].tolist() == expected["crimes"].tolist()
    assert shown["tied"].tolist() == expected["tied"].tolist()


def test_what_is_not_known_is_named_with_its_months(
    sample_map: str, layered: Demo, open_page: Open
) -> None:
    missing = query(
        layered,
        "select month from coverage where force = 'sample-wellbank' and status = 'not_published' "
        "order by month",
    )["month"].tolist()
    assert missing == ["2025-09", "2025-10", "2025-11", "2025-12"]
    page = open_page(sample_map)
    gaps = page.locator("#gaps").inner_text()
    assert re.search(r"Well Bank[^\n]*\s.*Sep\w* 2025.*Dec\w* 2025", gaps)
    assert {area["id"] for area in drawn(page, ["hatch"])} == {"sample-wellbank"}
    assert {area["id"] for area in drawn(page, ["dots"])} == {"sample-silverpit"}
    notes = page.locator("body").inner_text()
    assert "Open Government Licence v3.0" in notes
    assert "anonymous" in notes
    assert page.locator("#built").inner_text() == (
        "Made from the police.uk release of December 2025 (36 months)."
    )


def test_crimes_of_a_force_that_did_not_publish_are_unknown_and_not_nought(
    sample_map: str, layered: Demo, open_page: Open, tmp_path: Path
) -> None:
    (cell,) = query(
        layered,
        "select hex_id from hotspot_frequency inner join hex_cells using (hex_id) inner join "
        "lsoa_areas as area using (lsoa21cd) where month = $month and scope = 'study-area' and "
        "crime_type = 'All crime' and window_months = 1 and area.force = 'sample-wellbank' "
        "order by rank limit 1",
        month=MONTH,
    )["hex_id"]
    page = open_page(f"{sample_map}?type=all-crime&window=1&scope=study-area&cell={cell}")
    settled(page)
    page.wait_for_function("() => document.querySelector('#about-cell rect')")
    about = details(page)
    assert "unknown, not nought" in about["Not published"]
    assert "Crimes, December 2025" not in about
    unknown = MONTHS[-4:]
    bars = [bar.get_attribute("data-month") for bar in page.locator("#about-cell rect").all()]
    assert bars == [month for month in MONTHS if month not in unknown]
    rows = [
        [part.text_content() for part in row.locator("th, td").all()]
        for row in page.locator("#about-cell tbody tr").all()
    ]
    assert [row[0] for row in rows[-4:]] == ["Sept 2025", "Oct 2025", "Nov 2025", "Dec 2025"]
    assert all(row[1] == "–" and "not published" in row[2] for row in rows[-4:])
    assert not any("not published" in row[2] or row[1] == "–" for row in rows[:-4])
    row = page.locator(f"#rows tr[data-id='{cell}']")
    assert row.locator("td.number").nth(1).inner_text() == "–"
    with page.expect_download() as coming:
        page.locator("#formats").get_by_text("CSV", exact=True).click()
    coming.value.save_as(tmp_path / "cells.csv")
    table = pd.read_csv(tmp_path / "cells.csv").set_index("hex_id")
    assert table.index.tolist() == [shown["id"] for shown in cells(page)]
    assert np.isnan(table.loc[cell, "crimes"])
    assert table[table["force"] != "sample-wellbank"]["crimes"].notna().all()


def test_further_layers_are_drawn_from_their_tables(
    sample_map: str, layered: Demo, open_page: Open
) -> None:
    page = open_page(f"{sample_map}?type=burglary&window=12&scope=study-area&layer=forecasts")
    settled(page)
    foretold = query_forecast(layered)
    hot = query(
        layered,
        "select hex_id from hotspots where month = $month and scope = 'study-area' and "
        "crime_type = 'Burglary' and window_months = 12",
        month=MONTH,
    )["hex_id"]
    came_true = len(set(hot) & set(foretold))
    key = page.locator("#legend").inner_text()
    assert re.search(rf"\b{came_true}\b", key)
    assert re.search(rf"\b{len(set(foretold) - set(hot))}\b", key)
    assert page.locator("#model option").count() == 2
    assert state(page)["layer"] == "forecasts"


def test_forecasts_stand_beside_the_map_s_month_whatever_month_is_asked_for(
    sample_map: str, open_page: Open
) -> None:
    address = f"{sample_map}?type=burglary&window=12&scope=study-area&layer=forecasts"
    page = open_page(f"{address}&month=2025-06")
    settled(page)
    assert state(page)["month"] is None
    assert "month" in page.locator("#messages").inner_text()
    assert page.locator("#month").is_disabled()
    key = page.locator("#key").inner_text()
    assert "hot at December 2025" in key
    plain = open_page(address)
    settled(plain)
    assert plain.locator("#key").inner_text() == key


@pytest.mark.parametrize("layer", ["tiers", "bivariate"])
def test_neighbourhoods_have_the_colour_of_their_class(
    sample_map: str, layered: Demo, open_page: Open, layer: str
) -> None:
    column = "tier" if layer == "tiers" else "bivariate"
    labels = query(
        layered,
        f"select lsoa21cd, lsoa21nm as name, {column} as class from lsoa_labels "
        "inner join lsoa_areas using (lsoa21cd) "
        "where month = '2024-12' and scope = 'sample-dogger'",
    ).set_index("lsoa21cd")
    page = open_page(f"{sample_map}?scope=sample-dogger&layer={layer}")
    settled(page)
    areas = {area["id"]: area for area in drawn(page, ["lsoas-sample-dogger-fill"])}
    assert len(areas) > 100
    assert set(areas) <= set(labels.index)
    colours: dict[Any, set[str]] = {}
    for code, area in areas.items():
        colours.setdefault(labels.loc[code, "class"], set()).add(area["colour"])
    assert all(len(of_class) == 1 for of_class in colours.values())
    assert len(set.union(*colours.values())) == len(colours)
    key = page.locator("#key").inner_text()
    assert "12 months to December 2025" in key
    if layer == "tiers":
        swatches = page.locator("#key .entry", has_text="tier of crimes").locator("*").all()
        of_key = [
            swatch.evaluate("s => getComputedStyle(s).backgroundColor") for swatch in swatches
        ]
        hexes = [
            "#" + "".join(f"{int(part):02x}" for part in re.findall(r"\d+", colour)[:3])
            for colour in of_key
        ]
        assert {tier: {hexes[int(tier)]} for tier in colours} == colours
    # what the pointer is told of one of them, away from the hot cells
    hot = {cell["lsoa"] for cell in cells(page)}
    code = next(code for code in sorted(areas) if labels.loc[code, "name"] not in hot)
    x, y = page.evaluate(
        """code => {
            const {map} = window.hotspotMap;
            const {width, height} = map.getCanvas().getBoundingClientRect();
            const layers = ["lsoas-sample-dogger-fill"];
            for (let x = 4; x < width; x += 3) for (let y = 4; y < height; y += 3) {
                const [area] = map.queryRenderedFeatures([x, y], {layers});
                if (area?.properties.id === code) return [x, y];
            }
        }""",
        code,
    )
    box = page.locator("#map canvas").bounding_box()
    assert box
    page.mouse.move(box["x"] + x, box["y"] + y)
    page.wait_for_function("() => !document.querySelector('#tip').hidden")
    of_class = labels.loc[code, "class"]
    if layer == "tiers":
        wanted = f"{['low', 'medium', 'high', 'very high'][int(of_class)]} tier"
    else:
        one, other = (["low", "medium", "high"][int(level)] for level in of_class.split("_"))
        wanted = f"Theft from the person {one}, Violence and sexual offences {other}"
    assert page.locator("#tip").inner_text().startswith(f"{labels.loc[code, 'name']}: {wanted}")


def test_streets_are_those_with_the_most_crimes(
    sample_map: str, layered: Demo, open_page: Open
) -> None:
    first = query(
        layered,
        "select name, round(length_m)::integer as metres, sum(crimes)::integer as crimes "
        "from segment_counts inner join street_segments using (force, segment_id) "
        "where force = 'sample-dogger' and crime_type = 'Burglary' and month = any($months) "
        "group by segment_id, name, length_m order by crimes desc, segment_id limit 1",
        months=MONTHS[-12:],
    ).iloc[0]
    page = open_page(f"{sample_map}?type=burglary&window=12&scope=sample-dogger&layer=segments")
    settled(page)
    key = page.locator("#key").inner_text()
    assert "street segments with the most crimes" in key
    assert "12 months to December 2025" in key
    said = [street["said"] for street in drawn(page, ["segments-sample-dogger-line"])]
    assert len({*said}) > 10
    most = max(said, key=lambda text: int(re.search(r": ([\d,]+) crime", text)[1]))  # type: ignore
    assert f"{first['name']}: {first.crimes} crime" in most
    assert most.endswith(f"on {first.metres} m")


@pytest.mark.parametrize("base_first", [True, False])
def test_neighbourhoods_lie_above_the_base_map_whichever_came_first(
    sample_map: str, layered: Demo, open_page: Open, tmp_path: Path, base_first: bool
) -> None:
    with with_basemap(layered, tmp_path / "copy") as (address, host, _):
        base = "" if base_first else "&base=off"
        page = open_page(f"{address}?scope=sample-dogger{base}", hosts=[host])
        page.select_option("#layer", "tiers")
        settled(page)
        if not base_first:
            page.locator("#base").check()
            settled(page)
        page.wait_for_function(
            "() => window.hotspotMap.map.getLayer('lsoas-sample-dogger-fill') && "
            "window.hotspotMap.map.getLayer('base')"
        )
        order = layer_names(page)
    above = ["land", "base", "lsoas-sample-dogger-fill", "hatch", "cells"]
    assert [name for name in order if name in above] == above


def query_forecast(layered: Demo) -> list[int]:
    lake = Lake(layered.settings.data_dir / "lake")
    with DuckDB().get_connection() as connection:
        partition = {"month": "2024-12", "model": "chance", "unit": "hex"}
        lake.view(connection, "forecasts", [partition])
        lake.view(connection, "scopes")
        return (
            connection.execute(
                "select unit_id::integer as id from forecasts inner join scopes using (scope) "
                "where scope = 'study-area' and crime_type = 'Burglary' and horizon_steps = 12 "
                "and rank <= k"
            )
            .df()["id"]
            .tolist()
        )


# --- The published maps -----------------------------------------------------------------------


@pytest.fixture
def published(shared_data: Path, tmp_path: Path) -> Iterator[tuple[str, dict[str, pd.DataFrame]]]:
    folder = tmp_path / "maps" / "2025-09"
    tables = published_map(folder, shared_data)
    with served(folder) as address:
        yield address, tables


@pytest.mark.parametrize(
    ("slug", "window"), [("violence-and-sexual-offences", 3), ("possession-of-weapons", 12)]
)
def test_the_published_maps_are_drawn_cell_by_cell(
    published: tuple[str, dict[str, pd.DataFrame]], open_page: Open, slug: str, window: int
) -> None:
    address, tables = published
    table = tables[f"{slug}-{window}"].set_index("hex_id")
    page = open_page(f"{address}?type={slug}&window={window}")
    shown = pd.DataFrame(cells(page)).set_index("id")
    assert len(shown) == len(table)
    assert set(shown.index) == set(table.index)
    shown = shown.loc[table.index]
    assert shown["hits"].tolist() == table["hits"].tolist()
    assert np.allclose(shown["frequency"], table["hits"] / table["n_windows"])
    # the corners, from the published centres, by PROJ
    angles = np.deg2rad(60.0 * np.arange(6))
    east = table["bng_e"].to_numpy()[:, None] + 200 * np.cos(angles)
    north = table["bng_n"].to_numpy()[:, None] + 200 * np.sin(angles)
    corners = np.array([ring[:6] for ring in shown["corners"]])
    back = Transformer.from_crs("EPSG:4326", "EPSG:27700", always_xy=True)
    easting, northing = back.transform(corners[..., 0], corners[..., 1])
    far = np.hypot(easting[:, :, None] - east[:, None], northing[:, :, None] - north[:, None])
    assert far.min(axis=2).max() < 0.5
    assert (far.argmin(axis=2) == far.argmin(axis=2)[0]).all()
    # darker where more often: the order of the published map
    frequencies = sorted({*shown["frequency"]})
    luminance = [_luminance(page, frequency) for frequency in frequencies]
    assert luminance == sorted(luminance, reverse=True)
    assert len({*luminance}) == len(luminance)


def _luminance(page: Page, frequency: float) -> float:
    colour = page.evaluate("f => window.hotspotMap.colour(f)", frequency)
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_in_the_dark_the_order_of_colours_is_kept(sample_map: str, open_page: Open) -> None:
    page = open_page(sample_map, color_scheme="dark")
    luminance = [_luminance(page, step / 20) for step in range(21)]
    assert luminance == sorted(luminance)


def test_the_real_map_shows_every_cell_of_the_table(real_lake: RealLake, open_page: Open) -> None:
    with DuckDB().get_connection() as connection:
        real_lake.lake.view(connection, "hotspot_frequency", [{"month": MONTH}])
        expected = connection.execute(
            "select hex_id, hits, windows from hotspot_frequency where scope = 'gwent' and "
            "crime_type = 'Public order' and window_months = 3 order by rank"
        ).df()
    with served(real_lake.settings.data_dir / "maps" / MONTH) as address:
        page = open_page(f"{address}?type=public-order&window=3&scope=gwent&base=off")
        shown = pd.DataFrame(cells(page))
        gaps = page.locator("#gaps").inner_text()
    assert shown["id"].tolist() == expected["hex_id"].tolist()
    assert shown["hits"].tolist() == expected["hits"].tolist()
    assert "Avon" in gaps


# --- What one does with it ------------------------------------------------------------------


def test_every_control_changes_what_is_shown_and_the_address(
    sample_map: str, open_page: Open
) -> None:
    page = open_page(sample_map)
    page.get_by_role("tab", name="Burglary", exact=True).click()
    page.wait_for_function(
        "() => document.querySelector('#list-caption').textContent.includes('Burglary')"
    )
    page.locator("#windows input[value='3']").check()
    page.select_option("#scope", "sample-wellbank")
    settled(page)
    assert state(page)["type"] == "burglary"
    assert state(page)["window"] == 3
    assert state(page)["scope"] == "sample-wellbank"
    for part in ("type=burglary", "window=3", "scope=sample-wellbank"):
        assert part in page.url
    page.go_back()
    settled(page)
    assert state(page)["scope"] == "study-area"
    page.go_forward()
    settled(page)
    assert state(page)["scope"] == "sample-wellbank"
    page.locator("#month").fill("20")
    settled(page)
    assert state(page)["month"] == MONTHS[20]
    page.locator("#play").click()
    page.wait_for_function(f"() => window.hotspotMap.state().month > '{MONTHS[21]}'")
    page.locator("#play").click()
    stopped = state(page)["month"]
    page.wait_for_timeout(1500)
    assert state(page)["month"] == stopped
    page.locator("#whole-time").click()
    assert state(page)["month"] is None
    ground = "() => getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.locator("#theme").click()
    assert state(page)["theme"] == "dark"
    assert "theme=dark" in page.url
    assert sum(map(int, re.findall(r"\d+", page.evaluate(ground)))) < 100
    page.locator("#theme").click()
    assert page.evaluate(ground) == light
    assert "theme=light" in page.url
    page.select_option("#scope", "sample-dogger")
    settled(page)
    heading = page.locator("th[data-name=crimes]")
    heading.get_by_role("button").click()
    crimes = [
        int(text.replace(",", ""))
        for text in page.locator("#rows tr td:nth-child(4)").all_inner_texts()
    ]
    assert heading.get_attribute("aria-sort") == "descending"
    assert crimes == sorted(crimes, reverse=True)


@pytest.mark.parametrize("key", ["End", "ArrowRight"])
def test_from_all_months_the_last_one_is_chosen_with_a_key(
    sample_map: str, open_page: Open, key: str
) -> None:
    page = open_page(sample_map)
    assert state(page)["month"] is None
    page.locator("#month").focus()
    page.keyboard.press(key)
    settled(page)
    assert state(page)["month"] == MONTH
    assert f"month={MONTH}" in page.url


def test_a_place_is_found_by_its_name_and_choosing_it_moves_the_map(
    sample_map: str, open_page: Open
) -> None:
    page = open_page(f"{sample_map}?type=all-crime&window=1")
    place = page.locator("#rows tr").nth(30).locator("button").inner_text().split("\n")[0]
    page.locator("#search").fill(place.upper())
    rows = page.locator("#rows tr")
    assert 0 < rows.count() < 200
    assert all(place.lower() in text.lower() for text in rows.all_inner_texts())
    before = page.evaluate("() => window.hotspotMap.map.getZoom()")
    rows.first.locator("button").click()
    settled(page)
    page.wait_for_function("() => !window.hotspotMap.map.isMoving()")
    cell = state(page)["cell"]
    assert cell == int(rows.first.get_attribute("data-id") or 0)
    assert f"cell={cell}" in page.url
    assert page.evaluate("() => window.hotspotMap.map.getZoom()") > before
    middle = page.evaluate("() => window.hotspotMap.map.getCenter()")
    easting, northing = grid.centres([cell])
    to_degrees = Transformer.from_crs("EPSG:27700", "EPSG:4326", always_xy=True)
    longitude, latitude = to_degrees.transform(easting[0], northing[0])
    assert abs(middle["lng"] - longitude) < 0.05
    assert abs(middle["lat"] - latitude) < 0.05
    assert page.locator("#details svg.spark rect").count() == 36


def test_a_click_on_the_map_chooses_the_cell_there(sample_map: str, open_page: Open) -> None:
    page = open_page(f"{sample_map}?type=all-crime&window=12")
    wanted = cells(page)[3]
    longitude, latitude = np.mean(wanted["corners"][:6], axis=0)
    page.evaluate(
        "([x, y]) => window.hotspotMap.map.jumpTo({center: [x, y], zoom: 12.5})",
        [longitude, latitude],
    )
    page.wait_for_function(
        "() => window.hotspotMap.map.loaded() && !window.hotspotMap.map.isMoving()"
    )
    settled(page)
    box = page.locator("#map canvas").bounding_box()
    assert box
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_function("() => window.hotspotMap.state().cell !== null")
    assert state(page)["cell"] == wanted["id"]
    assert details(page)["Cell"] == str(wanted["id"])


def test_a_link_brings_back_all_that_was_shown(sample_map: str, open_page: Open) -> None:
    first = open_page(f"{sample_map}?type=drugs&window=1&scope=sample-dogger&month=2025-03")
    first.locator("#rows button").nth(2).click()
    settled(first)
    first.wait_for_function("() => !window.hotspotMap.map.isMoving()")
    first.wait_for_timeout(500)
    before, address = state(first), first.url
    second = open_page(address)
    after = state(second)
    assert {**after, "at": None} == {**before, "at": None}
    assert after["at"]["zoom"] == pytest.approx(before["at"]["zoom"], abs=0.02)
    assert after["at"]["latitude"] == pytest.approx(before["at"]["latitude"], abs=1e-3)
    assert details(second) == details(first)


def test_an_address_that_asks_for_what_is_not_there_is_told(
    sample_map: str, open_page: Open
) -> None:
    page = open_page(f"{sample_map}?type=piracy&window=7&scope=atlantis&month=1999-01")
    told = page.locator("#messages").inner_text()
    for words in ("piracy", "7", "atlantis", "1999-01"):
        assert words in told
    assert page.locator("#rows tr").count() > 0


def test_all_of_it_works_with_the_keyboard_alone(sample_map: str, open_page: Open) -> None:
    page = open_page(sample_map)
    page.keyboard.press("Tab")  # the link that skips to the list
    assert "list" in page.evaluate("() => document.activeElement.textContent").lower()
    page.keyboard.press("Enter")
    assert page.evaluate("() => document.activeElement.id") == "search"
    page.keyboard.type("street")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("() => !!document.activeElement.closest('#rows')"):
            break
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_function("() => window.hotspotMap.state().cell !== null")
    second = page.locator("#rows tr").nth(1).get_attribute("data-id")
    assert state(page)["cell"] == int(second or 0)
    selected = page.get_by_role("tab", selected=True)
    selected.focus()
    before = state(page)["type"]
    page.keyboard.press("ArrowLeft")
    settled(page)
    if state(page)["type"] == before:
        page.keyboard.press("Enter")
        settled(page)
    assert state(page)["type"] != before
    page.locator("#windows input:checked").focus()
    page.keyboard.press("ArrowLeft")
    settled(page)
    assert state(page)["window"] == 3
    page.locator("#month").focus()
    page.keyboard.press("ArrowLeft")
    settled(page)
    assert state(page)["month"] is not None
    reached = set()
    page.locator("#theme").focus()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate("() => document.activeElement.id || document.activeElement.tagName")
        )
    assert {"scope", "whole-time", "play", "month", "layer", "search"} <= reached


def test_a_broken_or_renewed_map_says_so(
    sample_map: str, layered: Demo, open_page: Open, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(layered.folder / "maps" / MONTH, folder)
    index = json.loads((folder / "map.json").read_text())
    with served(folder) as address:
        page = open_page(address, complaints="404")
        for path in folder.glob("data-*/rankings/study-area/robbery-*"):
            path.unlink()
        (folder / "map.json").write_text(json.dumps({**index, "data": "data-renewed"}))
        page.get_by_role("tab", name="Robbery", exact=True).click()
        page.wait_for_function("() => document.querySelector('#messages').textContent.length > 0")
        assert "reload" in page.locator("#messages").inner_text().lower()
        assert state(page)["type"] != "robbery"
    (folder / "map.json").unlink()
    with served(folder) as address:
        page = open_page(address, complaints="404", wait=False)
        page.wait_for_function("() => document.querySelector('#messages').textContent.length > 0")
        assert "map.json" in page.locator("#messages").inner_text()


def test_a_map_that_was_renewed_before_its_first_list_came_offers_to_reload(
    sample_map: str, layered: Demo, open_page: Open
) -> None:
    index = json.loads((layered.folder / "maps" / MONTH / "map.json").read_text())
    old = [json.dumps({**index, "data": "data-gone"})]

    def renew(page: Page) -> None:
        page.route(
            "**/map.json",
            lambda route: route.fulfill(body=old.pop()) if old else route.continue_(),
        )

    page = open_page(sample_map, complaints="404", prepare=renew, wait=False)
    page.locator("#messages").get_by_role("button", name="Reload").click()
    page.wait_for_function("() => document.querySelectorAll('#rows tr').length > 0")
    assert page.locator("#messages").inner_text() == ""


def test_an_old_browser_is_told(sample_map: str, open_page: Open) -> None:
    def age(page: Page) -> None:
        page.add_init_script(
            "const supports = CSS.supports.bind(CSS);"
            "CSS.supports = (...asked) => !`${asked}`.includes('light-dark') && supports(...asked);"
        )

    page = open_page(sample_map, prepare=age)
    assert "older than 2024" in page.locator("#messages").inner_text()


def test_without_the_base_map_no_tile_is_asked_for_until_it_is_switched_on(
    sample_map: str, layered: Demo, open_page: Open, tmp_path: Path
) -> None:
    with with_basemap(layered, tmp_path / "copy") as (address, host, asked):
        page = open_page(f"{address}?base=off", hosts=[host])
        settled(page)
        assert not page.locator("#base").is_checked()
        assert not page.locator("#base-note").is_visible()
        assert "base" not in layer_names(page)
        assert asked == []
        page.locator("#base").check()
        page.wait_for_function("() => window.hotspotMap.map.areTilesLoaded()")
        settled(page)
        assert "base" in layer_names(page)
        assert len(asked) > 0
        assert "base=off" not in page.url


def test_with_the_documented_security_policy_all_of_it_works(
    sample_map: str, layered: Demo, open_page: Open, tmp_path: Path
) -> None:
    """What the policy forbids, the browser says to the console."""
    said = (ROOT / "docs" / "how-to" / "maps.md").read_text()
    (policy,) = re.findall(r"```text\n(default-src .*?)```", said, re.DOTALL)
    policy = " ".join(policy.split())
    assert policy.count("https://tile.openstreetmap.org") == 2
    policy = policy.replace("https://tile.openstreetmap.org", "TILES")
    with with_basemap(layered, tmp_path / "copy", Content_Security_Policy=policy) as served_map:
        address, host, asked = served_map
        page = open_page(f"{address}?scope=sample-dogger&layer=tiers", hosts=[host])
        settled(page)
        page.wait_for_function("() => window.hotspotMap.map.areTilesLoaded()")
        assert asked
        assert "base" in layer_names(page)
        assert not page.locator("#base-note").is_visible()
        for button in page.locator("#formats button").all():
            with page.expect_download() as coming:
                button.click()
            assert coming.value.path().stat().st_size > 1000


def test_where_the_base_map_cannot_be_reached_outlines_are_drawn(
    sample_map: str, layered: Demo, open_page: Open, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(layered.folder / "maps" / MONTH, folder)
    index = json.loads((folder / "map.json").read_text())
    tiles = {"tiles": "http://127.0.0.1:9/{z}/{x}/{y}.png", "attribution": "nobody", "max_zoom": 9}
    (folder / "map.json").write_text(json.dumps({**index, "basemap": tiles}))
    with served(folder) as address:
        page = open_page(address, complaints="ERR_", hosts=["http://127.0.0.1:9/"])
        page.wait_for_function("() => !document.querySelector('#base-note').hidden")
        assert "outlines" in page.locator("#base-note").inner_text()
        outlined = (
            "() => window.hotspotMap.map.querySourceFeatures('forces').map(f => f.properties.id)"
        )
        page.wait_for_function(f"({outlined})().length > 0")
        assert set(page.evaluate(outlined)) == set(layered.settings.forces)
        assert drawn(page, ["forces"])
        assert not any(name.startswith("lsoas-") for name in layer_names(page))
        page.evaluate(
            "([x, y]) => window.hotspotMap.map.jumpTo({center: [x, y], zoom: 11.5})",
            cells(page)[0]["corners"][0],
        )
        page.wait_for_function(
            "() => window.hotspotMap.map.getStyle().layers.some(l => l.id.startsWith('lsoas-'))"
        )
        settled(page)
        lines = [name for name in layer_names(page) if re.fullmatch("lsoas-.*-line", name)]
        assert len({area["id"] for area in drawn(page, lines)}) > 3


# --- Downloads ------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["csv", "geojson", "gpkg", "parquet"])
def test_a_download_holds_what_is_shown(
    sample_map: str, open_page: Open, tmp_path: Path, ending: str
) -> None:
    page = open_page(f"{sample_map}?type=vehicle-crime&window=12&scope=sample-silverpit")
    shown = cells(page)
    names = {"csv": "CSV", "geojson": "GeoJSON", "gpkg": "GeoPackage", "parquet": "GeoParquet"}
    with page.expect_download() as coming:
        page.locator("#formats").get_by_text(names[ending], exact=True).click()
    name = coming.value.suggested_filename
    assert name == f"hotspots-2025-12-sample-silverpit-vehicle-crime-12-months.{ending}"
    path = tmp_path / name
    coming.value.save_as(path)
    if ending == "csv":
        table = pd.read_csv(path)
    else:
        table = gpd.read_parquet(path) if ending == "parquet" else gpd.read_file(path)
        assert table.crs.is_geographic
        assert table.crs.datum.name.startswith("World Geodetic System 1984")
        easting, northing = grid.centres(table["hex_id"].to_numpy())
        inside = table.geometry.to_crs(27700)
        assert np.hypot(inside.centroid.x - easting, inside.centroid.y - northing).max() < 0.5
        assert np.allclose(inside.area, grid.CELL_AREA_M2, rtol=2e-3)
    assert table["hex_id"].tolist() == [cell["id"] for cell in shown]
    assert table["rank"].tolist() == list(range(1, len(shown) + 1))
    assert table["hits"].tolist() == [cell["hits"] for cell in shown]
    assert table["crimes"].tolist() == [cell["crimes"] for cell in shown]
    assert set(table["scope"]) == {"sample-silverpit"}
    assert set(table["crime_type"]) == {"Vehicle crime"}
    wanted = {"frequency", "persistence", "tied", "force", "lsoa", "place", "easting", "northing"}
    assert wanted <= {*table.columns}


@pytest.mark.parametrize("ending", ["csv", "geojson"])
def test_a_download_holds_the_rows_that_a_search_has_left(
    sample_map: str, open_page: Open, tmp_path: Path, ending: str
) -> None:
    page = open_page(f"{sample_map}?type=all-crime&window=12&scope=study-area")
    page.locator("#search").fill("silver pit")
    rows = [int(row.get_attribute("data-id") or 0) for row in page.locator("#rows tr").all()]
    assert 0 < len(rows) < len(cells(page))
    with page.expect_download() as coming:
        label = {"csv": "CSV", "geojson": "GeoJSON"}[ending]
        page.locator("#formats").get_by_text(label, exact=True).click()
    path = tmp_path / f"found.{ending}"
    coming.value.save_as(path)
    table = pd.read_csv(path) if ending == "csv" else gpd.read_file(path)
    assert table["hex_id"].tolist() == rows
    assert set(table["force"]) == {"sample-silverpit"}


# --- For everyone, everywhere ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "options"),
    [
        ("", {}),
        ("?cell=first", {"color_scheme": "dark"}),
        ("?layer=forecasts&month=2025-06", {}),
        ("", {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}),
        ("?embed=1", {}),
    ],
    ids=["page", "dark, a cell", "layer, a month", "phone", "embedded"],
)
def test_an_audit_finds_nothing_serious(
    sample_map: str, open_page: Open, address: str, options: dict[str, Any]
) -> None:
    page = open_page(sample_map + address.replace("first", "1651383"), **options)
    settled(page)
    page.add_script_tag(path=AXE)
    found = page.evaluate("() => axe.run()")
    serious = [
        (violation["id"], [node["target"] for node in violation["nodes"]][:3])
        for violation in found["violations"]
        if violation["impact"] in {"serious", "critical"}
    ]
    assert serious == []
    assert len(found["passes"]) > 15


def test_an_embedded_map_is_a_map_alone_with_a_way_out(sample_map: str, open_page: Open) -> None:
    page = open_page(f"{sample_map}?embed=1&type=burglary&window=3")
    assert page.get_by_role("tab", name="Burglary", exact=True).is_visible()
    assert not page.locator("#rows").is_visible()
    whole = page.locator("#whole")
    assert whole.is_visible()
    assert whole.get_attribute("target") == "_top"
    link = whole.get_attribute("href") or ""
    assert "type=burglary" in link
    assert "embed" not in link
    box, view = page.locator("#map").bounding_box(), page.viewport_size
    assert box
    assert view
    assert box["height"] > 0.6 * view["height"]


def test_an_embedded_map_says_what_the_chosen_cell_is(sample_map: str, open_page: Open) -> None:
    page = open_page(f"{sample_map}?embed=1&type=all-crime&window=1")
    tip = page.locator("#tip")
    assert not tip.is_visible()
    page.keyboard.press("n")
    tip.wait_for()
    chosen = cells(page)[0]
    assert state(page)["cell"] == chosen["id"]
    assert chosen["place"] in tip.inner_text()
    assert f"a hotspot in {chosen['hits']} of" in tip.inner_text()
    linked = open_page(f"{sample_map}?embed=1&type=all-crime&window=1&cell={chosen['id']}")
    settled(linked)
    assert linked.locator("#tip").is_visible()
    assert chosen["place"] in linked.locator("#tip").inner_text()


def test_on_a_phone_nothing_is_cut_off(sample_map: str, open_page: Open) -> None:
    page = open_page(
        sample_map, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True
    )
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 360
    box = page.locator("#map").bounding_box()
    assert box
    assert box["width"] > 300
    page.locator("#rows button").first.scroll_into_view_if_needed()
    assert page.locator("#rows button").first.is_visible()


def test_on_paper_the_map_is_a_picture_with_its_list_and_licences(
    sample_map: str, open_page: Open
) -> None:
    page = open_page(sample_map)
    paper = page.pdf()
    assert paper[:4] == b"%PDF"
    page.emulate_media(media="print")
    page.evaluate("() => window.dispatchEvent(new Event('beforeprint'))")
    assert not page.locator("#controls").is_visible()
    assert page.locator("#licences").is_visible()
    assert page.locator("#rows tr:visible").count() <= 25
    picture = page.locator("section.map img")
    assert picture.is_visible()
    assert picture.evaluate("img => img.naturalWidth") > 300


def test_a_wheel_carries_the_page_also_where_it_is_built_from_the_source_archive(
    browser: object, tmp_path: Path
) -> None:
    def build(kind: str, source: Path, folder: Path) -> Path:
        command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(folder)]
        subprocess.run(command, cwd=source, check=True, capture_output=True)
        (built,) = folder.iterdir()
        return built

    with tarfile.open(build("sdist", ROOT, tmp_path / "sdist")) as archive:
        sources = {name.partition("/")[2] for name in archive.getnames()}
        archive.extractall(tmp_path / "source", filter="data")
    assert {"site/src/main.ts", "site/package-lock.json", "site/vite.config.ts"} <= sources
    (source,) = (tmp_path / "source").iterdir()
    wheels = [
        build("wheel", ROOT, tmp_path / "from-checkout"),
        build("wheel", source, tmp_path / "from-sdist"),
    ]
    contents = []
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as packed:
            contents.append({*packed.namelist()})
            licences = packed.read("crime_assets/maps/page/licences.md").decode()
        for library in ("maplibre-gl", "proj4", "sql.js"):
            assert library in licences
    names = contents[0]
    assert contents[1] == names
    assert "crime_assets/maps/page/index.html" in names
    assert any(name.endswith(".wasm") for name in names)
    assert not any("node_modules" in name for name in names | sources)
