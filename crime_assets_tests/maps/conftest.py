"""Maps to look at, and a browser to look with.

Everything is served from loopback, and a page that says anything to the browser's console fails
its test.
"""

from __future__ import annotations

import base64
import gzip
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import dagster as dg
import pandas as pd
import pytest

from crime_assets.definitions import build_definitions
from crime_assets.demo import sample_environment
from crime_assets.lake import DuckDB
from crime_assets.maps import site
from crime_assets.maps.outlines import FORCE_TOLERANCE_M, outlines
from crime_assets.partitions import months_back
from crime_assets.register import FORCES
from crime_assets.settings import Settings
from crime_assets.sources.boundaries import load_force_areas
from crime_assets_tests.conftest import NO_COMPUTE_LOGS, Demo, made_once, run_job

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

MONTH = "2025-12"
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
)
"""A processor draws what a graphics card would."""


class _Quiet(SimpleHTTPRequestHandler):
    """Packs text, as static hosts do."""

    headers_too: Mapping[str, str] = {}

    def end_headers(self) -> None:
        for name, value in self.headers_too.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *_: object) -> None:
        pass

    def send_head(self) -> Any:
        path = Path(self.translate_path(self.path))
        path = path / "index.html" if path.is_dir() else path
        if not path.is_file() or path.suffix not in {".html", ".js", ".css", ".json"}:
            return super().send_head()
        packed = gzip.compress(path.read_bytes())
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(packed)))
        self.end_headers()
        self.wfile.write(packed)
        return None


def served(folder: Path, headers: Mapping[str, str] | None = None) -> AbstractContextManager[str]:
    """The address under which ``folder`` can be read, with these headers in every answer."""
    handler = type("Handler", (_Quiet,), {"headers_too": headers or {}})
    return _running(partial(handler, directory=str(folder)))


@contextmanager
def tiles_served(asked: list[str]) -> Iterator[str]:
    """The address of a base map whose tiles are all alike; ``asked`` gets the path of each."""

    class Tiles(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self.send_header("Access-Control-Allow-Origin", "*")
            self.end_headers()
            self.wfile.write(_TILE)

    with _running(Tiles) as address:
        yield address


_TILE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)
"""A picture of one pixel."""


@contextmanager
def _running(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, without a window.

    Of a module: while it lives an event loop runs in this thread, and nobody else may run one.
    """
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    missing = None if chromium else "no chromium is installed"
    missing = missing if site.is_built() else f"{site.PAGE} is not built: make site"
    if missing and os.environ.get("CI"):
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=chromium, args=[*CHROMIUM_FLAGS])


Open = Callable[..., "Page"]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Opens an address and waits until the map is drawn.

    ``prepare`` is called with the page before. Fails where the page complains to the console of
    anything but ``complaints``, or asks other hosts than its own and ``hosts``.
    """
    said: list[str] = []
    allowed: list[str] = []
    contexts = []

    def opened(
        address: str,
        *,
        complaints: str | None = None,
        hosts: Sequence[str] = (),
        wait: bool = True,
        prepare: Callable[[Page], object] | None = None,
        **options: Any,
    ) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda m: said.append(m.text) if m.type in {"error", "warning"} else 0)
        page.on("pageerror", lambda error: said.append(str(error)))
        known = ("/".join(address.split("/")[:3]), "data:", "blob:", *hosts)
        page.on(
            "request",
            lambda request: (
                None if request.url.startswith(known) else said.append(f"asked {request.url}")
            ),
        )
        if complaints:
            allowed.append(complaints)
        if prepare:
            prepare(page)
        page.goto(address)
        if wait:
            page.evaluate("() => window.hotspotMap.ready")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert [line for line in said if not any(words in line for words in allowed)] == []


@pytest.fixture(scope="session")
def layered(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A copy of the demo whose map has all further layers."""

    def settings_in(folder: Path) -> Settings:
        return Settings.from_environment(sample_environment(folder / "sample"))

    def make(folder: Path) -> None:
        shutil.copytree(demo.folder, folder / "sample")
        settings = settings_in(folder)
        run_job(settings, "count_lsoas", "2023-01", MONTH)
        run_job(settings, "label_lsoas", "2024-12")
        for force in settings.forces:
            run_job(settings, "lay_streets", force)
        run_job(settings, "count_segments", "2025-01", MONTH)
        forecast = build_definitions(settings).resolve_job_def("forecast")
        for cut_off in ("2024-12", "2025-09", "2025-11"):
            with dg.DagsterInstance.local_temp(
                overrides={"compute_logs": NO_COMPUTE_LOGS}
            ) as instance:
                forecast.execute_in_process(
                    instance=instance,
                    partition_key=cut_off,
                    run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
                    asset_selection=[
                        dg.AssetKey(["forecasts", model]) for model in ("rolling_mean_12", "chance")
                    ],
                )
        run_job(settings, "draw_map", MONTH)

    with made_once(tmp_path_factory, "layered", make) as folder:
        yield replace(demo, folder=folder / "sample", settings=settings_in(folder))


@pytest.fixture(scope="session")
def sample_map(layered: Demo) -> Iterator[str]:
    """The address of the sample's map, with all further layers."""
    with served(layered.folder / "maps" / MONTH) as address:
        yield address


PUBLISHED_MONTHS = months_back("2025-09", 36)


def published_map(folder: Path, shared_data: Path) -> dict[str, pd.DataFrame]:
    """Make a site of the two published maps, from their tables alone; returns these by slug."""
    tables = {
        ("Violence and sexual offences", 3): "violence-and-sexual-offences-3m",
        ("Possession of weapons", 12): "possession-of-weapons-12m",
    }
    files = site.Files(folder)
    found, sizes = {}, {}
    for (crime_type, window_months), name in tables.items():
        table = pd.read_csv(shared_data / "published" / f"{name}.csv")
        table = table.sort_values(["hits", "hex_id"], ascending=[False, True])
        slug = f"{crime_type.lower().replace(' ', '-')}-{window_months}"
        content = {
            "scope": "england-and-wales",
            "crime_type": crime_type,
            "window_months": window_months,
            "month": PUBLISHED_MONTHS[-1],
            "k": 1483,
            "windows": int(table["n_windows"].iloc[0]),
            "complete": sum(1 << i for i in range(window_months - 1, 36)),
            "tied": 0,
            "hex_id": table["hex_id"].tolist(),
            "hits": table["hits"].tolist(),
        }
        files.add(f"rankings/england-and-wales/{slug}", content)
        found[slug], sizes[slug] = table, len(table)
    with DuckDB().get_connection() as connection:
        areas = shared_data / "boundaries" / "police_force_areas_2023.parquet"
        load_force_areas(connection, str(areas))
        query = "select force as code, force as name, geometry from force_areas"
        files.add("outlines/forces", outlines(connection, query, FORCE_TOLERANCE_M))
    description = {
        "title": "Published hotspots",
        "month": PUBLISHED_MONTHS[-1],
        "months": PUBLISHED_MONTHS,
        "releases": {},
        "note": None,
        "types": [
            {"slug": crime_type.lower().replace(" ", "-"), "name": crime_type, "counted": True}
            for crime_type, _ in tables
        ],
        "windows": [3, 12],
        "scopes": [
            {
                "slug": "england-and-wales",
                "name": "England and Wales",
                "kind": "nation",
                "k": 1483,
                "bounds": [82_200, 5_000, 656_000, 658_000],
            }
        ],
        "rankings": {"england-and-wales": sizes},
        "history": False,
        "forces": {
            force.force: {"name": force.name, "coverage": "p" * 36}
            for force in FORCES.values()
            if force.kind == "territorial"
        },
        "layers": {},
        "basemap": None,
        "licences": [],
        "start": {
            "type": "violence-and-sexual-offences",
            "window": 3,
            "scope": "england-and-wales",
        },
    }
    site.publish(files, description)
    return found
