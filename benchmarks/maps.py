"""Figures of the map: how long the site of a month takes, and what it costs a browser to show it.

The site is made as the asset makes it, on the nation of :mod:`benchmarks.nation`, of the hotspots
that :mod:`benchmarks.hexes` publishes (made if they are not there). It has no layer beside
hotspots, and no base map, whose tiles are another's. Site, LSOAs and what is read of the nation lie
in a folder of their own, so that no other figure meets them.

The browser is Debian's Chromium without a graphics card: the processor draws, too. Its figures are
left out where it is not there.
"""

from __future__ import annotations

import gzip
import io
import json
import shutil
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from math import sin
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from benchmarks.hexes import (
    count_into_cells,
    count_snap_points,
    lay_the_grid,
    nation_settings,
    rank_all_months,
)
from benchmarks.measuring import Figure, Run, seconds_into
from benchmarks.nation import Nation, make_nation, the_nation
from crime_assets.lake import Lake, MissingPartition, create
from crime_assets.maps import site
from crime_assets.sources.boundaries import load_force_areas, load_lsoas

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

BUILD_SECONDS, MEMORY_GIB = 60, 4.0
FIRST_VIEW_KB, FIRST_VIEW_SECONDS, SWITCH_MS, FRAMES = 500, 2.0, 300, 30
SLOWER = 4
"""How many times the processor is throttled."""

COUNTED = ("hex_counts", "snap_counts", "hotspots")
"""The tables of which the map needs every month."""

PUBLISHED_KB = 2600
"""The lightest of the published maps of this kind: they weigh 2.6 to 4.1 MB."""

CROWD = 5_000
ZOOMED_IN = 11.0
DRAG_SECONDS = 2.0

TEXT = {".html", ".js", ".css", ".json", ".svg"}
"""What static hosts pack on the way."""

WITHOUT_A_CARD = [
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
]


def figures(run: Run) -> list[Figure]:
    """Measure everything about the map."""
    nation = the_nation(run.folder, run.share)
    make_nation(nation, run.say)
    here = (str(run.folder), run.share)
    if not _is_there(nation, "hex_counts"):
        run.measure(lay_the_grid, *here)
        run.measure(count_into_cells, *here, 1)
    if not _is_there(nation, "snap_counts"):
        run.measure(count_snap_points, *here)
    ranked = nation.lake.has("hotspot_frequency", {"month": nation.months[-1]})
    if not (ranked and _is_there(nation, "hotspots")):
        run.measure(rank_all_months, *here)
    run.measure(keep_what_is_read, *here)
    built = run.measure(build_the_site, *here)
    scanned = run.measure(scan_what_is_read, *here)
    made = built.value
    found = [
        Figure(
            f"the site of a month: {made['rankings']:,} rankings of {made['scopes']} scopes, "
            f"{made['cells']:,} cells, {made['files']:,} files of {made['bytes'] / 1e6:.1f} MB",
            made["build"],
            reference=scanned.value,
            reference_is="scan of the 36 months that it is made of into memory",
            most=BUILD_SECONDS,
        ),
        *(
            [Figure("the same, peak memory", built.peak_bytes / 2**30, "GiB", most=MEMORY_GIB)]
            if run.own_process
            else []
        ),
    ]
    if missing := what_is_missing():
        run.say(f"no figures of the browser: {missing}")
        return found
    return found + _figures_of_browser(run.measure(look_at_the_site, *here, run.rounds).value)


def _figures_of_browser(seen: dict[str, Any]) -> list[Figure]:
    first = seen["first"]

    def switch(measured: dict[str, Any], words: str = "", most: float | None = None) -> Figure:
        return Figure(
            f"switch of type, slowest of {measured['types']}, window of {measured['window']} "
            f"months, up to {measured['cells']:,} cells{words}",
            measured["ms"],
            "ms",
            reference=measured["read"],
            reference_is="its file fetched, unpacked and parsed, and nothing else",
            most=most,
        )

    return [
        Figure(
            "first view, over the wire",
            first["bytes"] / 1000,
            "kB",
            reference=PUBLISHED_KB,
            reference_is="the lightest published map, which holds one type and one window",
            most=FIRST_VIEW_KB,
        ),
        Figure(
            f"first view until list and map are drawn, processor throttled {SLOWER} times",
            first["slower"],
            reference=first["seconds"],
            reference_is="not throttled",
            most=FIRST_VIEW_SECONDS,
        ),
        switch(seen["switch"], most=SWITCH_MS),
        switch(seen["switch_slower"], f", throttled {SLOWER} times"),
        switch(seen["switch_most"]),
        *(
            Figure(
                f"drag the map, {where}: {drag['cells']:,} cells",
                drag["frames"],
                "frames/s",
                reference=drag["without"],
                reference_is="the same without cells",
                # promised of many cells; near by, the outlines of LSOAs are what costs
                least=FRAMES if where == "all in view" else None,
            )
            for where, drag in seen["drag"].items()
        ),
    ]


# --- The site -------------------------------------------------------------------------------


def _home(nation: Nation) -> Path:
    """CRIME_DATA_DIR of the map."""
    return nation.folder / "maps"


def _is_there(nation: Nation, table: str) -> bool:
    """Whether every month of ``table`` is there, with the columns that it has now."""
    with duckdb.connect() as connection:
        try:
            nation.lake.view(connection, table, [{"month": month} for month in nation.months])
        except MissingPartition:
            return False
    return True


def keep_what_is_read(folder: str, share: float) -> int:
    """Keep the tables of the map, and the LSOAs with them."""
    nation = the_nation(Path(folder), share)
    shutil.rmtree(_home(nation), ignore_errors=True)
    lake = nation.lake.freeze(_home(nation) / "lake")
    with nation.engine().get_connection() as connection:
        load_lsoas(connection, nation.lsoa_boundaries, "lsoa_boundaries")
        load_force_areas(connection, nation.force_boundaries)
        create(connection, "lsoa/lsoa_areas")
        return lake.publish(connection, "lsoa_areas", "lsoa_areas").rows


def build_the_site(folder: str, share: float) -> dict[str, Any]:
    """Make the site of the last month."""
    from crime_assets.maps.assets import make_map

    nation = the_nation(Path(folder), share)
    settings = replace(nation_settings(nation), data_dir=_home(nation), basemap=None)
    seconds: list[float] = []
    with nation.engine().get_connection() as connection, seconds_into(seconds):
        made = make_map(connection, Lake(_home(nation) / "lake"), settings, nation.months[-1])
    return {
        "build": seconds[0],
        "cells": made.audits["map_equals_table"]["cells"],
        **{name: made.metadata[name] for name in ("rankings", "scopes", "files", "bytes")},
    }


def scan_what_is_read(folder: str, share: float) -> float:
    """Scan the tables that the site is made of into memory."""
    nation = the_nation(Path(folder), share)
    months = [{"month": month} for month in nation.months]
    seconds: list[float] = []
    with nation.engine().get_connection() as connection, seconds_into(seconds):
        for table in (*COUNTED, "hotspot_frequency"):
            nation.lake.view(connection, table, months if table in COUNTED else months[-1:])
            connection.execute(f"create temp table scanned as from {table}")
            connection.execute("drop table scanned")
    return seconds[0]


# --- The browser ----------------------------------------------------------------------------


def what_is_missing() -> str:
    """Why a browser cannot show the site; empty where it can."""
    if not site.is_built():
        return site.NOT_BUILT
    return "" if shutil.which("chromium") else "there is no `chromium` (Debian's package)"


def look_at_the_site(folder: str, share: float, rounds: int) -> dict[str, Any]:
    """Show the site in a browser: load it, switch between types, drag the map."""
    from playwright.sync_api import sync_playwright

    nation = the_nation(Path(folder), share)
    maps = _home(nation) / "maps" / nation.months[-1]
    described = json.loads((maps / site.INDEX).read_text(encoding="utf-8"))
    with _served(maps) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=WITHOUT_A_CARD
        )
        with _opened(browser, address):
            pass  # what a browser and a server do once
        seen = {
            "first": _load(browser, address, rounds),
            **_switch(browser, address, described, rounds),
            "drag": _drag(browser, address, described, rounds),
        }
        browser.close()
    return seen


def _load(browser: Browser, address: str, rounds: int) -> dict[str, float]:
    """Bytes of the first view, and seconds until it is drawn: the medians."""
    seconds: dict[int, list[float]] = {1: [], SLOWER: []}
    for slower in [1, SLOWER] * rounds:
        with _opened(browser, address, slower) as (page, drawn):
            seconds[slower].append(drawn)
            size = page.evaluate(BYTES)
    median = {slower: statistics.median(of) for slower, of in seconds.items()}
    return {"bytes": size, "seconds": median[1], "slower": median[SLOWER]}


def _switch(
    browser: Browser, address: str, described: dict[str, Any], rounds: int
) -> dict[str, Any]:
    """Milliseconds that the slowest switch to a type takes: the median of each, in new windows."""
    start = described["start"]
    rankings = described["rankings"][start["scope"]]

    def slowest(window: int, slower: int = 1) -> dict[str, Any]:
        names = {t["slug"]: f"{t['slug']}-{window}" for t in described["types"]}
        types = [t for t in names if names[t] in rankings and t != start["type"]]
        times: dict[str, list[float]] = {t: [] for t in types}
        for _ in range(rounds):
            with _opened(browser, f"{address}?window={window}", slower) as (page, _):
                for t in types:
                    times[t].append(page.evaluate(SWITCH, t))
        median = {t: statistics.median(of) for t, of in times.items()}
        worst = max(types, key=median.__getitem__)
        file = f"{described['data']}/rankings/{start['scope']}/{names[worst]}.json.gz"
        with _opened(browser, address, slower) as (page, _):
            read = statistics.median(page.evaluate(READ, file) for _ in range(rounds))
        return {
            "ms": median[worst],
            "read": read,
            "types": len(types),
            "window": window,
            "cells": max(rankings[names[t]] for t in types),
        }

    return {
        "switch": slowest(start["window"]),
        "switch_slower": slowest(start["window"], SLOWER),
        "switch_most": slowest(min(described["windows"])),
    }


def _drag(
    browser: Browser, address: str, described: dict[str, Any], rounds: int
) -> dict[str, dict[str, float]]:
    """Frames per second while the map is dragged about, by turns with its cells and without them.

    Of the ranking of the first scope whose cells are nearest to CROWD, and not fewer if possible.
    The most frames count: a busy machine only takes from them.
    """
    rankings = described["rankings"][described["start"]["scope"]]
    name = min(rankings, key=lambda n: (rankings[n] < CROWD, abs(rankings[n] - CROWD)))
    crime_type, window = name.rsplit("-", 1)
    found = {}
    with _opened(browser, f"{address}?type={crime_type}&window={window}") as (page, _):
        for where in ("all in view", "zoomed in to the outlines of LSOAs"):
            if where != "all in view":
                page.evaluate(ZOOM_IN, ZOOMED_IN)
            cells = page.evaluate(IN_VIEW)
            frames: dict[bool, list[float]] = {True: [], False: []}
            for with_cells in [True, False] * rounds:
                page.evaluate(SHOW_CELLS, with_cells)
                frames[with_cells].append(_frames(page))
            found[where] = {
                "cells": cells,
                "frames": max(frames[True]),
                "without": max(frames[False]),
            }
    return found


def _frames(page: Page) -> float:
    """How often in a second the map is drawn while the mouse drags it about."""
    page.wait_for_timeout(1000)  # outlines are asked for once the map stands still
    page.wait_for_function(AT_REST)
    box = page.locator("#map").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.evaluate(COUNT)
    started = time.monotonic()
    while (t := time.monotonic() - started) < DRAG_SECONDS:
        page.mouse.move(x + 150 * sin(3 * t), y + 100 * sin(2 * t))
    frames = page.evaluate("framesPerSecond()")
    page.mouse.move(x, y)
    page.wait_for_timeout(200)  # so that it does not glide on
    page.mouse.up()
    return float(frames)


@contextmanager
def _opened(browser: Browser, address: str, slower: float = 1) -> Iterator[tuple[Page, float]]:
    """The site in a new window, drawn; and the seconds that took."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Emulation.setCPUThrottlingRate", {"rate": slower})
    page.goto(address, wait_until="commit")
    page.wait_for_function(READY)
    yield page, page.evaluate(SECONDS)
    context.close()


class _Host(SimpleHTTPRequestHandler):
    """Gives out files as static hosts do: text packed on the way, what is packed as it is."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def send_head(self) -> Any:
        path = Path(self.translate_path(self.path))
        path = path / "index.html" if path.is_dir() else path
        if path.suffix not in TEXT or not path.is_file():
            return super().send_head()
        packed = _packed(path)
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(path))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(packed)))
        self.end_headers()
        return io.BytesIO(packed)

    def log_message(self, *_: object) -> None:
        pass


@cache
def _packed(path: Path) -> bytes:
    return gzip.compress(path.read_bytes(), compresslevel=6)


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    """The address of the files below ``folder``, for as long as the block lasts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Host, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


READY = "performance.getEntriesByName('ready').length && hotspotMap.map"
"""Whether `hotspotMap.ready` has resolved, and there is a map."""

SECONDS = "performance.getEntriesByName('ready')[0].startTime / 1000"
"""From the start of the navigation until then."""

SWITCH = """async (type) => {
    const frame = () => new Promise(requestAnimationFrame);
    const switches = () => performance.getEntriesByName("switch").length;
    const [before, started] = [switches(), performance.now()];
    const time = () => performance.now() - started;
    document.getElementById(`tab-${type}`).click();
    while (switches() === before && time() < 30_000) await frame();
    await frame();
    return time();
}"""
"""Milliseconds from the click until the frame after that in which it was drawn."""

READ = """async (name) => {
    const started = performance.now();
    const packed = await fetch(name, { cache: "no-store" });
    const text = packed.body.pipeThrough(new DecompressionStream("gzip"));
    await new Response(text).json();
    return performance.now() - started;
}"""

BYTES = """() => ["navigation", "resource"].flatMap((kind) => performance.getEntriesByType(kind))
    .reduce((sum, { transferSize }) => sum + transferSize, 0)"""
"""What has come over the wire."""

ZOOM_IN = """(zoom) => {
    const [[longitude, latitude]] = hotspotMap.cells()[0].corners;
    hotspotMap.map.jumpTo({ center: [longitude, latitude], zoom });
}"""
"""To the hottest cell."""

SHOW_CELLS = """(shown) => hotspotMap.map.setLayoutProperty(
    "cells", "visibility", shown ? "visible" : "none")"""

AT_REST = "hotspotMap.map.loaded() && !hotspotMap.map.isMoving()"

IN_VIEW = """() => hotspotMap.cells().filter(
    ({ corners }) => hotspotMap.map.getBounds().contains(corners[0])).length"""

COUNT = """() => {
    const since = performance.now();
    let frames = 0;
    const count = () => frames++;
    hotspotMap.map.on("render", count);
    window.framesPerSecond = () => {
        hotspotMap.map.off("render", count);
        return (1000 * frames) / (performance.now() - since);
    };
}"""
"""How often the map is drawn from now on."""
