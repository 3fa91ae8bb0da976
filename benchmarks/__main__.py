"""Measure what the project promises, print one table, and fail where a limit is missed.

* `python -m benchmarks`: all figures, on a nation of 18 million crimes
* `python -m benchmarks ingest loading`: some of them
* `python -m benchmarks --quick`: a smoke test on a tenth of the nation, which judges nothing
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import (
    backfill,
    cities,
    forecasting,
    gldnet,
    hexes,
    ingest,
    loading,
    lsoa,
    maps,
    streets,
)
from benchmarks.measuring import Figure, Run

GROUPS = {
    "loading": loading.figures,
    "ingest": ingest.figures,
    "hexes": hexes.figures,
    "lsoa": lsoa.figures,
    "streets": streets.figures,
    "cities": cities.figures,
    "forecasting": forecasting.figures,
    "gldnet": gldnet.figures,
    "maps": maps.figures,
    "backfill": backfill.figures,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the groups named in the arguments; returns 1 where a limit is missed, else 0."""
    options = _options(arguments)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 170)
    started = time.monotonic()

    def say(text: str) -> None:
        console.print(f"[dim]{time.monotonic() - started:6.0f} s[/]  {text}")

    run = Run(
        folder=options.folder.absolute(),
        share=options.share,
        rounds=options.rounds,
        own_process=not options.same_process,
        archive=str(options.archive.absolute()) if options.archive else None,
        say=say,
    )
    run.folder.mkdir(parents=True, exist_ok=True)
    found = [figure for name in options.names or GROUPS for figure in GROUPS[name](run)]
    judged = options.share == 1
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    console.print(
        f"\n{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"{time.monotonic() - started:.0f} s, load {load:.1f}"
        + ("" if judged else f"; {options.share:g} of the nation: limits are not judged")
    )
    console.print(table_of(found, judged))
    missed = [figure for figure in found if judged and figure.ok is False]
    for figure in missed:
        console.print(f"[red]missed:[/] {figure.name}: {figure.limit}")
    return 1 if missed else 0


def table_of(figures: Sequence[Figure], judged: bool = True) -> Table:
    """The figures as a table: figure, ours, reference, ratio, limit, ok."""
    table = Table(show_lines=False, pad_edge=False)
    table.add_column("figure", overflow="fold", max_width=66)
    for column in ("ours", "reference", "ratio"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("limit", overflow="fold")
    table.add_column("ok")
    table.add_column("what the reference is", overflow="fold", max_width=44)
    words = {True: "[green]yes[/]", False: "[red]no[/]", None: ""}
    for figure in figures:
        table.add_row(
            figure.name,
            _amount(figure.ours, figure.unit),
            "" if figure.reference is None else _amount(figure.reference, figure.unit),
            "" if figure.ratio is None else f"{figure.ratio:.3g}",
            figure.limit,
            words[figure.ok] if judged else "",
            figure.reference_is,
        )
    return table


def _amount(value: float, unit: str) -> str:
    return f"{value:,.0f} {unit}" if unit in ("rows/s", "modules") else f"{value:.2f} {unit}"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(GROUPS)}")
    parser.add_argument("--quick", action="store_true", help="a tenth of the nation, one round")
    parser.add_argument("--share", type=float, default=1.0, help="another part of it, below 1")
    parser.add_argument("--rounds", type=int, default=3, help="repetitions; the fastest counts")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("data/benchmark"),
        help="where the nation is made and kept (default %(default)s; 2 GB)",
    )
    parser.add_argument("--archive", type=Path, help="a folder of real police.uk archives")
    parser.add_argument(
        "--same-process",
        action="store_true",
        help="one process for all: quicker, but it cannot tell the peak memory of each",
    )
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(GROUPS):
        parser.error(f"no figures of {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    if options.quick:
        options.share, options.rounds = 0.1, 1
    if not 0 < options.share <= 1:
        parser.error(f"--share {options.share:g}: the nation's part is above 0 and at most 1")
    return options


if __name__ == "__main__":
    sys.exit(main())
