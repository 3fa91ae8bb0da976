"""Take the documentation's pictures of the map; run by hand, and commit what it writes.

    make demo && .venv/bin/python docs/make_map_pictures.py data/sample/maps/2025-12

Opens the folder of a map in headless Chromium. The pictures of the documentation are those of the
synthetic sample, with all further layers (docs/how-to/maps.md says what they are made from).
"""

from __future__ import annotations

import argparse
import io
import shutil
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

PICTURES = Path(__file__).parent / "pictures"
COLOURS = 128
"""In a PNG: few enough for a small file, many enough for a ramp."""

FLAGS = ("--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--ignore-gpu-blocklist")
SCREEN = {"width": 1280, "height": 800}

VIEWS: dict[str, tuple[str, dict[str, Any]]] = {
    "map-page": ("?type=violence-and-sexual-offences&window=12", {}),
    "map-cell": ("?type=all-crime&window=3&scope=sample-silverpit&cell=first", {}),
    "map-dark": (
        "?type=burglary&window=3&month=2025-06&scope=sample-silverpit",
        {"color_scheme": "dark"},
    ),
    "map-forecast": ("?type=burglary&window=12&layer=forecasts&scope=sample-silverpit", {}),
    "map-phone": ("?type=drugs&window=12", {"viewport": {"width": 390, "height": 780}}),
    "map-embed": (
        "?embed=1&type=robbery&window=12",
        {"viewport": {"width": 760, "height": 460}},
    ),
}
"""What each picture shows: the query of the page, and the browser it is looked at with."""


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="of a map: .../maps/2025-12")
    folder = parser.parse_args().folder
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder))
    )
    Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}/"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=[*FLAGS]
        )
        for name, (query, options) in VIEWS.items():
            page = browser.new_page(**{"viewport": SCREEN, **options})
            page.goto(address + query.replace("&cell=first", ""))
            page.evaluate("() => window.hotspotMap.ready")
            if "cell=first" in query:
                page.locator("#rows button").nth(2).click()
            page.wait_for_timeout(3000)
            image = Image.open(io.BytesIO(page.screenshot()))
            image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(
                PICTURES / f"{name}.png", optimize=True
            )
            print(name, (PICTURES / f"{name}.png").stat().st_size)
            page.close()
        browser.close()
    server.shutdown()


if __name__ == "__main__":
    main()
