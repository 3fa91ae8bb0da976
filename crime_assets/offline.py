"""Watch a release arrive, without a network: ``make dev-offline``.

Makes the sample as it was before its newest release, starts a double of data.police.uk that will
publish it, and the Dagster UI with the sensors on. Nobody touches anything then: the sensors find
the release, and a few minutes later it is on the map.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from rich.console import Console

from crime_assets.automation.backfill import backfill, step
from crime_assets.automation.event_log import use_instance
from crime_assets.demo import sample_environment
from crime_assets.settings import Settings
from crime_assets.sources.double import PoliceUkDouble, earlier_release
from crime_assets.sources.sample import write_sample

INTERVAL_S = 10
"""Seconds between two questions of each sensor: on one's own machine nobody minds."""


def environment(folder: Path, double: PoliceUkDouble) -> dict[str, str]:
    """The settings of a deployment on the sample, which ``double`` publishes."""
    return sample_environment(folder) | {
        "CRIME_ARCHIVE_URL": double.archive_url,
        "CRIME_API_URL": double.api_url,
        "CRIME_AUTOMATION": "sensors",
        "CRIME_RELEASE_INTERVAL_S": str(INTERVAL_S),
    }


def prepare(folder: Path, console: Console) -> tuple[Path, list[str]]:
    """Make the sample in ``folder`` and a lake of it as of its release before the newest.

    Returns the folder of archives and the two releases. What is there already stays, unless the
    newest is on the map: then there is nothing left to watch.
    """
    website, prepared = folder / "website", folder / "prepared"
    releases = sorted(path.stem for path in website.glob("*.zip"))
    if prepared.exists() and (folder / "maps" / releases[-1]).exists():
        console.print(f"{releases[-1]} has arrived here before: beginning anew.")
        shutil.rmtree(folder)
    use_instance(folder / "dagster")
    if prepared.exists():
        return website, releases
    with step(console, "Making the sample: an archive as police.uk publishes it, boundaries"):
        sample = write_sample(folder)
        releases = earlier_release(sample.archive, website)
    with PoliceUkDouble(website, releases=releases[:1], limited=False) as double:
        settings = Settings.from_environment(os.environ | environment(folder, double))
        if failed := backfill(settings, sample.months[0], releases[0], console):
            raise SystemExit("\n".join(failed))
    prepared.touch()
    return website, releases


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="make dev-offline", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("data/offline"))
    parser.add_argument("--port", type=int, default=3000, help="of the Dagster UI")
    parser.add_argument("--map-port", type=int, default=8300)
    parser.add_argument("--double-port", type=int, default=8400)
    parser.add_argument("--after", type=float, default=90, help="seconds until the release is out")
    given = parser.parse_args()
    for port in (given.port, given.map_port, given.double_port):
        with socket.socket() as taken:
            if taken.connect_ex(("127.0.0.1", port)) == 0:
                parser.error(f"port {port} is taken: say another, such as PORT=3001")
    folder = given.folder.absolute()
    console = Console()
    website, releases = prepare(folder, console)
    with PoliceUkDouble(website, releases=releases[:1], port=given.double_port) as double:
        maps = f"http://127.0.0.1:{given.map_port}"
        settings = environment(folder, double) | {"CRIME_MAP_URL": maps}
        console.print(
            f"\nDagster UI:  http://127.0.0.1:{given.port} (Automation: three sensors are on)\n"
            f"Maps:        {maps}\n"
            f"police.uk:   {double.url} (its double: press the button, or wait "
            f"{given.after:.0f} s, and {releases[-1]} is out)\n"
            f"Log:         {folder / 'dagster.log'}\n"
        )
        threading.Thread(
            target=watch,
            args=(double, releases[-1], given.after, folder / "maps", maps, console),
            daemon=True,
        ).start()
        serve_maps = [sys.executable, "-m", "http.server", str(given.map_port)]
        serve_maps += ["--bind", "127.0.0.1", "--directory", str(folder / "maps")]
        dagster = [str(Path(sys.executable).with_name("dagster")), "dev"]
        dagster += ["-m", "crime_assets.definitions", "--host", "127.0.0.1"]
        dagster += ["--port", str(given.port)]
        with (
            (folder / "dagster.log").open("w") as log,
            subprocess.Popen(
                serve_maps, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            ) as server,
        ):
            try:
                ended = subprocess.run(
                    dagster, env=os.environ | settings, stdout=log, stderr=log, check=False
                )
                raise SystemExit(f"Dagster has ended ({ended.returncode}); its log says why.")
            except KeyboardInterrupt:
                pass
            finally:
                server.kill()


def watch(
    double: PoliceUkDouble, release: str, after: float, maps: Path, url: str, console: Console
) -> None:
    """Publish a release after so many seconds, unless it is out; say so, and when it is on a map.

    ``maps`` is the folder of the maps, a site by month each, and ``url`` where it is served.
    """
    begun = time.monotonic()
    while release in double.withheld:
        if time.monotonic() - begun >= after:
            double.publish(release)
        time.sleep(0.2)
    out = time.monotonic()
    console.print(f"[bold]{release} is out.[/] The sensors ask every {INTERVAL_S} s.")
    while not (maps / release / "index.html").exists():
        time.sleep(0.2)
    seconds = time.monotonic() - out
    console.print(f"[bold]{release} is on the map[/], {seconds:.0f} s later: {url}/{release}/")


if __name__ == "__main__":
    main()
