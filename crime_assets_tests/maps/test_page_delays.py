"""The page while files are on their way, and where they do not come.

What is shown, what the address and a download call it, and what the map lies on belong together at
any moment, however slow the network is and whatever the reader does meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from gzip import decompress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from pyproj import Transformer

from crime_assets_tests.conftest import Demo
from crime_assets_tests.maps.conftest import Open, published_map, served
from crime_assets_tests.maps.test_page import (
    cells,
    drawn,
    layer_names,
    query,
    settled,
    state,
    with_basemap,
)

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow

ROBBERY = "**/rankings/study-area/robbery-12*"
DOGGER, SILVERPIT = "sample-dogger", "sample-silverpit"


class Held:
    """Requests for files that stay on their way until they are let through, or fail."""

    def __init__(self, page: Page, pattern: str) -> None:
        self.page, self.pattern = page, pattern
        self.requests: list[Any] = []
        self.holds = True
        page.route(pattern, self._hold)

    def _hold(self, request: Any) -> None:
        if self.holds:
            self.requests.append(request)
        else:
            request.continue_()

    def wait(self) -> None:
        """Wait until one is on its way."""
        for _ in range(100):
            if self.requests:
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"nobody asked for {self.pattern}")

    def fail(self) -> None:
        """Answer those on their way as a server that has too much to do."""
        self.wait()
        for request in self.requests:
            request.fulfill(status=503)
        self.requests.clear()

    def release(self) -> None:
        """Let them through, and those that follow."""
        self.wait()
        self.holds = False
        for request in self.requests:
            request.continue_()
        settled(self.page)


def choose_type(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()


def caption(page: Page) -> str:
    return page.locator("#list-caption").inner_text()


def tab(page: Page) -> str:
    return page.get_by_role("tab", selected=True).inner_text()


def at_rest(page: Page, move: str) -> None:
    """Move the map, and wait until it has told the page where it lies."""
    page.evaluate(
        f"""() => new Promise(done => {{
            window.hotspotMap.map.once("moveend", () => setTimeout(done, 300)).{move};
        }})"""
    )


def lies_in(page: Page, layered: Demo, scope: str) -> bool:
    """Whether the middle of the map is within the bounds of a scope."""
    index = json.loads((layered.folder / "maps" / "2025-12" / "map.json").read_text())
    (west, south, east, north) = next(s["bounds"] for s in index["scopes"] if s["slug"] == scope)
    centre = page.evaluate("() => window.hotspotMap.map.getCenter()")
    to_metres = Transformer.from_crs(4326, 27700, always_xy=True)
    easting, northing = to_metres.transform(centre["lng"], centre["lat"])
    return bool(west < easting < east and south < northing < north)


def arrived(page: Page) -> None:
    settled(page)
    page.wait_for_function("() => !window.hotspotMap.map.isMoving()")


# --- Rankings -------------------------------------------------------------------------------


def test_a_change_that_fails_late_does_not_undo_a_later_choice(
    sample_map: str, open_page: Open
) -> None:
    page = open_page(sample_map, complaints="503")
    held = Held(page, ROBBERY)
    choose_type(page, "Robbery")
    held.wait()
    choose_type(page, "Burglary")
    page.wait_for_function(
        "() => document.querySelector('#list-caption').textContent.includes('Burglary')"
    )
    held.fail()
    settled(page)
    assert state(page)["type"] == "burglary"
    assert "type=burglary" in page.url
    assert tab(page) == "Burglary"
    assert page.locator("#messages").inner_text() == ""


def test_until_a_ranking_comes_all_but_the_controls_is_of_the_one_that_is_shown(
    sample_map: str, open_page: Open, tmp_path: Path
) -> None:
    page = open_page(f"{sample_map}?type=burglary&window=12", complaints="503")
    shown = cells(page)
    held = Held(page, ROBBERY)
    choose_type(page, "Robbery")
    held.wait()
    assert tab(page) == "Robbery"
    page.locator("#theme").click()
    at_rest(page, "panBy([30, 30])")
    assert "Burglary" in caption(page)
    assert "type=burglary" in page.url
    with page.expect_download() as coming:
        page.locator("#formats").get_by_text("CSV", exact=True).click()
    assert "burglary" in coming.value.suggested_filename
    coming.value.save_as(tmp_path / "cells.csv")
    table = pd.read_csv(tmp_path / "cells.csv")
    assert set(table["crime_type"]) == {"Burglary"}
    assert table["hex_id"].tolist() == [cell["id"] for cell in shown]
    held.fail()
    settled(page)
    held.holds = False
    assert tab(page) == "Burglary"
    assert "503" in page.locator("#messages").inner_text()
    assert "theme=dark" in page.url
    choose_type(page, "Robbery")
    page.wait_for_function(
        "() => document.querySelector('#list-caption').textContent.includes('Robbery')"
    )
    assert "type=robbery" in page.url
    assert "theme=dark" in page.url
    page.go_back()
    settled(page)
    assert "Burglary" in caption(page)


def test_of_several_changes_that_fail_none_is_left(sample_map: str, open_page: Open) -> None:
    page = open_page(f"{sample_map}?type=burglary&window=12", complaints="503")
    robbery, drugs = Held(page, ROBBERY), Held(page, "**/rankings/study-area/drugs-12*")
    choose_type(page, "Robbery")
    robbery.wait()
    choose_type(page, "Drugs")
    robbery.fail()
    drugs.fail()
    settled(page)
    assert tab(page) == "Burglary"
    assert state(page)["type"] == "burglary"
    assert "Burglary" in caption(page)


def test_a_step_back_that_fails_leaves_what_is_shown(sample_map: str, open_page: Open) -> None:
    page = open_page(f"{sample_map}?type=burglary&window=12", complaints="503")
    choose_type(page, "Robbery")
    page.wait_for_url("**type=robbery**")
    page.reload()
    page.evaluate("() => window.hotspotMap.ready")
    held = Held(page, "**/rankings/study-area/burglary-12*")
    page.go_back()
    held.fail()
    settled(page)
    assert tab(page) == "Robbery"
    assert "Robbery" in caption(page)
    assert "type=robbery" in page.url


def test_an_area_that_another_change_overtakes_is_still_gone_to(
    sample_map: str, layered: Demo, open_page: Open
) -> None:
    page = open_page(f"{sample_map}?type=burglary&window=12&scope={DOGGER}")
    held = Held(page, f"**/rankings/{SILVERPIT}/*")
    page.select_option("#scope", SILVERPIT)
    held.wait()
    page.locator("#windows input[value='3']").check()
    held.release()
    arrived(page)
    assert state(page)["scope"] == SILVERPIT
    assert state(page)["window"] == 3
    assert lies_in(page, layered, SILVERPIT)
    page.go_back()
    arrived(page)
    assert (state(page)["scope"], state(page)["window"]) == (DOGGER, 12)
    assert lies_in(page, layered, DOGGER)


def test_a_cell_that_is_chosen_while_a_ranking_is_on_its_way_is_described(
    sample_map: str, layered: Demo, open_page: Open
) -> None:
    hot = query(
        layered,
        "select hex_id from hotspot_frequency where month = '2025-12' and scope = 'study-area' "
        "and crime_type = 'Robbery' and window_months = 12 order by hits desc, hex_id limit 1",
    )["hex_id"]
    page = open_page(f"{sample_map}?type=burglary&window=12")
    held = Held(page, ROBBERY)
    choose_type(page, "Robbery")
    held.wait()
    page.evaluate("id => window.hotspotMap.select(id)", int(hot.iloc[0]))
    held.release()
    assert "Robbery" in caption(page)
    alone = open_page(f"{sample_map}?type=robbery&window=12&cell={hot.iloc[0]}")
    settled(alone)
    said = page.locator("#about-cell").inner_text()
    assert said == alone.locator("#about-cell").inner_text()
    assert "Crimes of each" in said


@pytest.mark.parametrize("failing", ["rankings", "outlines/forces"])
def test_a_first_file_that_fails_leaves_a_map_that_works(
    sample_map: str, open_page: Open, failing: str
) -> None:
    pattern = f"**/{failing}*" if "/" in failing else f"**/{failing}/**"
    page = open_page(
        f"{sample_map}?type=burglary&scope={DOGGER}",
        complaints="503",
        prepare=lambda page: page.route(pattern, lambda route: route.fulfill(status=503)),
    )
    settled(page)
    assert page.locator("#messages .message").count() == 1
    assert "503" in page.locator("#messages").inner_text()
    page.unroute(pattern)
    choose_type(page, "Robbery")
    page.wait_for_function("() => document.querySelectorAll('#rows tr').length > 0")
    settled(page)
    assert page.locator("#messages .message").count() == 0
    assert "Robbery" in caption(page)
    assert "cells" in layer_names(page)
    page.select_option("#layer", "tiers")
    settled(page)
    assert len(drawn(page, [f"lsoas-{DOGGER}-fill"])) > 100


def test_before_the_first_list_nothing_can_be_broken(
    sample_map: str, layered: Demo, open_page: Open
) -> None:
    held: list[Held] = []
    page = open_page(
        f"{sample_map}?type=burglary&scope={DOGGER}",
        wait=False,
        prepare=lambda page: held.extend(
            [Held(page, "**/rankings/**"), Held(page, "**/maplibre-gl*.js")]
        ),
    )
    rankings, library = held
    rankings.wait()
    page.locator("#formats").get_by_text("CSV", exact=True).click()
    page.locator("#search").fill("a")
    page.locator("#search").fill("")
    rankings.release()
    assert page.locator("#rows tr").count() > 0
    with page.expect_download():
        page.locator("#formats").get_by_text("CSV", exact=True).click()
    library.wait()
    page.select_option("#scope", SILVERPIT)
    page.wait_for_url(f"**scope={SILVERPIT}**")
    library.release()
    page.evaluate("() => window.hotspotMap.ready")
    arrived(page)
    assert lies_in(page, layered, SILVERPIT)


def test_back_and_forward_take_the_map_along_and_leave_the_colours(
    sample_map: str, layered: Demo, open_page: Open, tmp_path: Path
) -> None:
    with with_basemap(layered, tmp_path / "copy") as (address, host, _):
        page = open_page(f"{address}?scope={DOGGER}", hosts=[host])
        settled(page)
        page.select_option("#scope", SILVERPIT)
        page.wait_for_url(f"**scope={SILVERPIT}**")
        arrived(page)
        assert lies_in(page, layered, SILVERPIT)
        page.locator("#theme").click()
        page.locator("#base").uncheck()
        page.go_back()
        arrived(page)
        assert lies_in(page, layered, DOGGER)
        assert "theme=dark" in page.url
        assert "base=off" in page.url
        assert not page.locator("#base").is_checked()
        page.go_forward()
        arrived(page)
        assert lies_in(page, layered, SILVERPIT)


def test_a_new_area_does_not_have_the_place_of_the_old_one(
    sample_map: str, layered: Demo, open_page: Open
) -> None:
    page = open_page(f"{sample_map}?scope={DOGGER}")
    at_rest(page, "panBy([20, 20])")
    assert "at=" in page.url
    pushed = page.evaluate(
        """async scope => {
            const select = document.querySelector("#scope");
            const push = history.pushState.bind(history);
            const address = new Promise(done => {
                history.pushState = (...what) => { push(...what); done(location.search); };
            });
            select.value = scope;
            select.dispatchEvent(new Event("change"));
            return address;
        }""",
        SILVERPIT,
    )
    assert f"scope={SILVERPIT}" in pushed
    assert "at=" not in pushed
    arrived(page)
    page.go_back()
    arrived(page)
    assert lies_in(page, layered, DOGGER)
    page.go_forward()
    arrived(page)
    assert lies_in(page, layered, SILVERPIT)


def test_a_step_back_to_a_map_that_had_not_moved_shows_its_area_again(
    sample_map: str, open_page: Open
) -> None:
    page = open_page(f"{sample_map}?type=burglary&scope={DOGGER}")
    zoom = "() => window.hotspotMap.map.getZoom()"
    before = page.evaluate(zoom)
    choose_type(page, "Robbery")
    page.wait_for_url("**type=robbery**")
    page.locator("#rows button").first.click()
    page.wait_for_function(f"() => window.hotspotMap.map.getZoom() > {before + 1}")
    page.wait_for_function("() => !window.hotspotMap.map.isMoving()")
    page.wait_for_url("**at=**")
    page.go_back()
    page.wait_for_url("**type=burglary**")
    arrived(page)
    assert abs(page.evaluate(zoom) - before) < 0.3


def test_two_steps_back_leave_each_address_to_its_own_entry(
    sample_map: str, open_page: Open
) -> None:
    page = open_page(f"{sample_map}?type=burglary", complaints="503")
    for name, slug in (("Robbery", "robbery"), ("Drugs", "drugs")):
        choose_type(page, name)
        page.wait_for_url(f"**type={slug}**")
    page.reload()
    page.evaluate("() => window.hotspotMap.ready")
    robbery, burglary = Held(page, ROBBERY), Held(page, "**/rankings/study-area/burglary-12*")
    page.go_back()
    robbery.wait()
    page.go_back()
    burglary.wait()
    at_rest(page, "panBy([20, 20])")
    robbery.holds = False
    for request in robbery.requests:
        request.continue_()
    page.wait_for_timeout(300)
    assert "type=burglary" in page.url
    assert "Drugs" in caption(page)
    burglary.release()
    assert "Burglary" in caption(page)
    assert "type=burglary" in page.url
    page.go_forward()
    page.wait_for_url("**type=robbery**")


def test_sorting_waits_for_no_file(sample_map: str, open_page: Open) -> None:
    page = open_page(f"{sample_map}?type=burglary", complaints="503")
    held = Held(page, ROBBERY)
    choose_type(page, "Robbery")
    held.wait()
    page.locator("#headings").get_by_text("Crimes", exact=True).click()
    assert page.locator("#headings [data-name=crimes]").get_attribute("aria-sort") == "descending"
    held.fail()
    settled(page)
    assert state(page)["sort"] == "-crimes"
    assert "sort=-crimes" in page.url


# --- Layers ---------------------------------------------------------------------------------


def test_neighbourhoods_that_arrive_after_the_map_has_moved_are_drawn(
    sample_map: str, open_page: Open
) -> None:
    held: list[Held] = []
    page = open_page(
        f"{sample_map}?scope={DOGGER}&layer=tiers",
        prepare=lambda page: held.append(Held(page, "**/outlines/lsoas/*")),
    )
    at_rest(page, "panBy([5, 5])")
    held[0].release()
    assert len(drawn(page, [f"lsoas-{DOGGER}-fill"])) > 100


def test_tiers_that_arrive_after_another_area_was_chosen_colour_nothing(
    sample_map: str, open_page: Open
) -> None:
    """The tiers of a force are of its own neighbourhoods, those of all forces of all."""
    page = open_page(f"{sample_map}?scope={DOGGER}&layer=tiers")
    settled(page)
    held = Held(page, f"**/layers/tiers/{SILVERPIT}*")
    page.select_option("#scope", SILVERPIT)
    held.wait()
    page.select_option("#scope", DOGGER)
    page.wait_for_function(
        f"() => window.hotspotMap.state().scope === '{DOGGER}' && !window.hotspotMap.map.isMoving()"
    )
    held.release()
    areas = drawn(page, [f"lsoas-{DOGGER}-fill"])
    assert {area["colour"] is None for area in areas} == {False}


@pytest.mark.parametrize(
    ("layer", "files", "lines"),
    [
        ("segments", "**/layers/segments/*", "segments-"),
        ("tiers", "**/outlines/lsoas/*", "lsoas-"),
    ],
)
def test_a_layer_that_arrives_after_it_was_switched_off_is_not_drawn(
    sample_map: str,
    layered: Demo,
    open_page: Open,
    tmp_path: Path,
    layer: str,
    files: str,
    lines: str,
) -> None:
    with with_basemap(layered, tmp_path / "copy") as (address, host, _):
        page = open_page(f"{address}?scope={DOGGER}", hosts=[host])
        settled(page)
        held = Held(page, files)
        page.select_option("#layer", layer)
        held.wait()
        page.select_option("#layer", "")
        at_rest(page, "panBy([5, 5])")
        held.release()
        there = [name for name in layer_names(page) if name.startswith(lines)]
        assert there
        assert drawn(page, there) == []
        page.select_option("#layer", layer)
        settled(page)
        assert drawn(page, there) != []


def test_a_layer_that_fails_is_told_once_and_asked_for_again(
    sample_map: str, open_page: Open
) -> None:
    page = open_page(f"{sample_map}?scope={DOGGER}", complaints="503")
    settled(page)
    held = Held(page, "**/outlines/lsoas/*")
    page.select_option("#layer", "tiers")
    held.fail()
    settled(page)
    at_rest(page, "panBy([5, 5])")
    held.fail()
    settled(page)
    assert page.locator("#messages .message").count() == 1
    held.holds = False
    at_rest(page, "panBy([5, 5])")
    settled(page)
    assert len(drawn(page, [f"lsoas-{DOGGER}-fill"])) > 100


def test_a_layer_that_fails_after_another_was_chosen_says_nothing_and_leaves_nothing(
    sample_map: str, open_page: Open
) -> None:
    page = open_page(f"{sample_map}?scope={DOGGER}&layer=segments", complaints="503")
    settled(page)
    streets = [f"segments-{DOGGER}-line"]
    assert drawn(page, streets) != []
    held = Held(page, "**/layers/tiers/*")
    page.select_option("#layer", "tiers")
    held.wait()
    page.select_option("#layer", "")
    page.wait_for_function("() => !window.hotspotMap.state().layer")
    held.fail()
    settled(page)
    assert page.locator("#messages").inner_text() == ""
    page.select_option("#layer", "segments")
    settled(page)
    page.select_option("#layer", "tiers")
    held.fail()
    settled(page)
    assert "503" in page.locator("#messages").inner_text()
    assert drawn(page, streets) == []


def test_a_model_that_did_not_forecast_a_ranking_did_not_miss_everything(
    sample_map: str, open_page: Open
) -> None:
    page = open_page(f"{sample_map}?scope={DOGGER}&layer=forecasts&window=12&model=rolling_mean_12")
    settled(page)
    assert state(page)["model"] == "rolling_mean_12"

    def of_chance_alone(route: Any) -> None:
        answer = route.fetch()
        body = answer.body()
        found = json.loads(decompress(body) if body[:2] == b"\x1f\x8b" else body)
        del found["models"]["rolling_mean_12"]
        route.fulfill(status=200, body=json.dumps(found))

    page.route("**/layers/forecasts/*/*-1.json.gz", of_chance_alone)
    page.locator("#windows input[value='1']").check()
    settled(page)
    assert state(page)["model"] == "chance"
    assert page.locator("#model").input_value() == "chance"
    assert "did not forecast" in page.locator("#messages").inner_text()


def test_a_map_that_the_browser_took_away_comes_back_as_it_was(
    sample_map: str, open_page: Open
) -> None:
    page = open_page(
        f"{sample_map}?scope={DOGGER}&layer=tiers&type=burglary", complaints="context loss"
    )
    settled(page)

    def colours() -> set[tuple[str, str]]:
        return {(area["id"], area["colour"]) for area in drawn(page, [f"lsoas-{DOGGER}-fill"])}

    before = colours()
    page.evaluate(
        """() => {
            const canvas = window.hotspotMap.map.getCanvas();
            window.context = canvas.getContext("webgl2").getExtension("WEBGL_lose_context");
            window.context.loseContext();
        }"""
    )
    page.wait_for_function("() => !window.hotspotMap.map.style")
    choose_type(page, "Robbery")
    page.wait_for_function(
        "() => document.querySelector('#list-caption').textContent.includes('Robbery')"
    )
    page.mouse.move(640, 500)
    page.locator("#theme").click()
    assert "type=robbery" in page.url
    page.evaluate("() => window.context.restoreContext()")
    page.wait_for_function("() => window.hotspotMap.map.style?.getLayer('cells')")
    settled(page)
    assert colours() == before
    assert layer_names(page).index("cells") > layer_names(page).index(f"lsoas-{DOGGER}-fill")
    assert page.locator("#messages").inner_text() == ""


def test_where_the_network_goes_outlines_take_the_place_of_the_base_map(
    sample_map: str, layered: Demo, open_page: Open, tmp_path: Path
) -> None:
    with with_basemap(layered, tmp_path / "copy") as (address, host, _):
        page = open_page(address, hosts=[host], complaints="ERR_INTERNET_DISCONNECTED")
        settled(page)
        assert "base" in layer_names(page)
        page.context.set_offline(True)
        page.wait_for_function("() => !window.hotspotMap.map.getLayer('base')")
        assert page.locator("#base-note").is_visible()
        page.context.set_offline(False)
        page.wait_for_function("() => window.hotspotMap.map.getLayer('base')")
        assert page.locator("#base").is_checked()
        assert not page.locator("#base-note").is_visible()


# --- The chosen cell ------------------------------------------------------------------------


def marked(page: Page) -> list[int]:
    rows = page.locator("#rows tr:has([aria-current=true])").all()
    return [int(row.get_attribute("data-id") or 0) for row in rows]


def test_the_chosen_cell_stays_marked_in_the_list(sample_map: str, open_page: Open) -> None:
    page = open_page(f"{sample_map}?type=all-crime&window=1")
    ids = [cell["id"] for cell in cells(page)]
    page = open_page(f"{sample_map}?type=all-crime&window=1&cell={ids[2]}")
    page.evaluate("id => window.hotspotMap.select(id)", ids[5])
    page.locator("#search").fill(str(ids[5]))
    assert marked(page) == [ids[5]]
    page.locator("#search").fill("")
    assert marked(page) == [ids[5]]


def test_a_cell_far_down_the_list_is_shown_there(
    open_page: Open, tmp_path: Path, shared_data: Path
) -> None:
    published_map(tmp_path, shared_data)
    with served(tmp_path) as address:
        page = open_page(
            f"{address}?type=violence-and-sexual-offences&window=3", complaints="404"
        )  # these maps have no outlines of neighbourhoods
        assert page.locator("#rows tr").count() == 200
        last = cells(page)[450]["id"]
        page.evaluate("id => window.hotspotMap.select(id)", last)
        assert marked(page) == [last]
        assert page.locator("#rows tr").count() == 600
        linked = open_page(page.url)
        assert marked(linked) == [last]


def test_an_embedded_map_goes_on_saying_what_the_chosen_cell_is(
    sample_map: str, open_page: Open
) -> None:
    page = open_page(f"{sample_map}?embed=1&type=burglary&window=12")
    hot = cells(page)[0]["id"]
    page.evaluate("id => window.hotspotMap.select(id)", hot)
    arrived(page)
    tip: Callable[[], str] = page.locator("#tip").inner_text
    said = tip()
    assert "Rank" in said
    page.mouse.move(900, 500)
    page.mouse.move(905, 505)
    assert tip() == said
    page.evaluate("() => window.hotspotMap.select(1)")
    assert "Cell 1" in tip()
    assert "no hotspot" in tip()
