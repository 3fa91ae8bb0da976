"""How long Dagster waits for this project's definitions, and what they bring in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from benchmarks.measuring import Figure, Run

HEAVY = ("tensorflow", "great_expectations", "sklearn", "geopandas")
"""What takes seconds to import, and which no run and no webserver should wait for."""


def figures(run: Run) -> list[Figure]:
    """Measure `import dagster` and the definitions in fresh processes, by turns."""
    run.say("Load dagster and the definitions in fresh processes, by turns ..")
    pairs = 2 * run.rounds + 1
    times: dict[str, list[float]] = {"dagster": [], "crime_assets.definitions": []}
    brought: set[str] = set()
    for turn in range(pairs + 1):  # the first of all reads the files
        for module, of_module in times.items():
            seconds, modules = load(module)
            if turn:
                of_module.append(seconds)
            if module != "dagster":
                brought |= modules
    reference, ours = (median(of_module) for of_module in times.values())
    heavy = sorted(brought & set(HEAVY))
    return [
        Figure(
            f"definitions.py loads, median of {pairs} pairs of fresh processes",
            ours,
            reference=reference,
            reference_is="import dagster",
            most_ratio=2,
        ),
        Figure(
            f"heavy modules brought in, of {', '.join(HEAVY)}: {', '.join(heavy) or 'none'}",
            len(heavy),
            "modules",
            most=0,
        ),
    ]


def load(module: str) -> tuple[float, set[str]]:
    """Seconds that a fresh process takes to import ``module`` and end, and what it imported."""
    code = f"import json, sys, {module}; print(json.dumps(list(sys.modules)))"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CRIME_")}
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        cwd=Path(__file__).parents[1],
        env=environment,
    )
    return time.perf_counter() - started, set(json.loads(done.stdout))
