"""The Dagster UI as a person sees it, on the lake that ``make demo`` made.

With ``DOCS_PICTURES=1`` in the environment the pictures go to ``docs/pictures/``; they are those of
the documentation.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from crime_assets.demo import sample_environment
from crime_assets_tests.conftest import Demo

if TYPE_CHECKING:
    from playwright.sync_api import Page

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
START_S = 120
SEEN_MS = 60_000


@pytest.fixture(scope="module")
def ui(demo: Demo) -> Iterator[str]:
    """The address of a webserver on the demo's instance."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    webserver = subprocess.Popen(
        [Path(sys.executable).with_name("dagster-webserver"), "-m", "crime_assets.definitions",
         "--host", "127.0.0.1", "--port", str(port)],
        env={
            **os.environ,
            **sample_environment(demo.folder),
            "DAGSTER_HOME": str(demo.folder / "dagster"),
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + START_S
        while True:
            try:
                requests.get(f"{address}/server_info", timeout=2)
                break
            except requests.RequestException:
                assert webserver.poll() is None, "the webserver ended"
                assert time.monotonic() < deadline, "the webserver does not answer"
                time.sleep(0.5)
        yield address
    finally:
        os.killpg(webserver.pid, signal.SIGKILL)
        webserver.wait()


@pytest.fixture
def page(ui: str) -> Iterator[Page]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        opened = browser.new_page(viewport={"width": 1400, "height": 860}, base_url=ui)
        opened.set_default_timeout(SEEN_MS)
        yield opened
        browser.close()


def take(page: Page, name: str, tmp_path: Path) -> None:
    """Take a picture of what is seen; it must show something."""
    page.wait_for_timeout(1500)  # for what is faded in
    folder = PICTURES if os.environ.get("DOCS_PICTURES") else tmp_path
    picture = page.screenshot(path=folder / f"{name}.png")
    assert len(picture) > 20_000, "an empty page"


def test_the_asset_graph_shows_every_group_and_what_leads_where(page: Page, tmp_path: Path) -> None:
    page.goto("/asset-groups")
    for group in ("sources", "hexes", "lsoa", "maps", "quality", "forecasting", "warehouse"):
        page.get_by_text(group, exact=True).first.wait_for()
    take(page, "ui-groups", tmp_path)
    page.goto("/assets/hotspot_frequency?view=lineage")
    for table in ("coverage", "hotspots", "scope_cells", "hotspot_map"):
        page.get_by_text(table, exact=True).first.wait_for()
    take(page, "ui-graph", tmp_path)


def test_the_partitions_of_street_crimes_are_months_by_forces(page: Page, tmp_path: Path) -> None:
    page.goto("/assets/street_crimes?view=partitions")
    page.get_by_text("Materialized (108)").wait_for()
    page.get_by_text("Failed (0)").wait_for()
    page.get_by_placeholder("Filter by force").fill("sample")
    page.get_by_text("sample-wellbank", exact=True).first.wait_for()
    page.get_by_placeholder("Filter by month").fill("2025")
    page.get_by_text("sample-dogger", exact=True).first.click()
    page.get_by_text("2025-12", exact=True).first.wait_for()
    take(page, "ui-partitions", tmp_path)
    page.get_by_text("2025-12", exact=True).first.click()
    page.get_by_text("located").first.wait_for()


def test_the_checks_of_hex_counts_say_what_they_promise(page: Page, tmp_path: Path) -> None:
    page.goto("/assets/hex_counts?view=checks")
    page.get_by_text("nothing_lost").first.click()
    page.get_by_text("Located crimes = sum of the counts + crimes outside the grid.").wait_for()
    page.get_by_text("Passed").first.wait_for()
    take(page, "ui-checks", tmp_path)


def test_the_automation_page_lists_sensors_and_schedules(page: Page, tmp_path: Path) -> None:
    page.goto("/automation")
    for name in ("police_uk_releases", "changed_files", "followers", "monthly_release",
                 "yearly_rereading", "nightly_inventory", "weekly_clean_up"):  # fmt: skip
        page.get_by_text(name, exact=True).first.wait_for()
    take(page, "ui-automation", tmp_path)
