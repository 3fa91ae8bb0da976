"""A made-up city of few cells, whose busy cells stay busy, as samples and as files."""

from __future__ import annotations

import datetime
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from crime_assets.cities.samples import CHANNELS, IncidentMaps, Period, Samples
from crime_assets.models.incident_task import Results, read_results
from crime_assets_tests.cities.made import write_city, write_csv

FIRST = datetime.date(2009, 12, 30)
DAYS = 1466
PERIOD = Period(datetime.date(2010, 1, 1))
P = 5
CITY = "seattle"  # of the register, whose file and data a folder overrides
TINY: dict[str, Any] = {
    "filters": 4, "blocks": 1, "lstm_layers": 2, "lstm_units": 4, "cell_layers": 1,
    "cell_units": 2, "residual_units": 1, "epochs": 1, "batch_size": 8,
}  # fmt: skip


def made_samples(seed: int = 5, p: int = P) -> Samples:
    """Samples of p x p cells: a cell that is never active, others of 0.004 to 0.3 crimes a day.

    Of each fourteen days two are not observed. Robbery and theft alone occur.
    """
    random = np.random.default_rng(seed)
    rate = np.geomspace(0.004, 0.3, p * p)[random.permutation(p * p)]
    rate[7] = 0
    counts = np.zeros((DAYS, p * p, len(CHANNELS)), dtype=np.int32)
    for name, share in (("Robbery", 0.2), ("Theft", 0.8)):
        counts[..., CHANNELS.index(name)] = random.poisson(share * rate, (DAYS, p * p))
    counts[..., -1] = counts[..., :-1].sum(axis=-1)
    observed = np.arange(DAYS) % 14 < 12
    names = tuple(str(FIRST + datetime.timedelta(days=i)) for i in range(DAYS))
    counts[~observed] = 0
    return Samples(
        IncidentMaps(names, observed, csr_array(counts.reshape(DAYS, -1)), CHANNELS, p), PERIOD
    )


def changed_from(samples: Samples, day: int) -> Samples:
    """The samples with other incidents from a day on."""
    counts = samples.maps.counts.toarray()
    counts[day:][samples.maps.observed[day:]] += 3
    return Samples(replace(samples.maps, counts=csr_array(counts)), samples.period)


def write_town(folder: Path, slug: str = CITY, a_day: float = 8) -> None:
    """The YAML file and the CSV of a city of four years, three quarters of it around two places."""
    folder.mkdir(parents=True, exist_ok=True)
    write_city(folder, slug, study={"first_day": PERIOD.first_day})
    random = np.random.default_rng(3)
    rows = []
    for i in range(4 * 365 + 1):
        day = PERIOD.first_day + datetime.timedelta(days=i)
        for _ in range(random.poisson(a_day)):
            x, y = random.random(2)
            if (which := random.random()) < 0.75:
                x, y = np.clip((0.3, 0.7)[which < 0.25] + random.normal(0, 0.06, 2), 0, 1)
            kind = "ROBBED" if random.random() < 0.3 else "CAR BROKEN INTO"
            rows.append((f"{day} 12:00:00", kind, round(7 + x / 10, 6), round(50 + y / 10, 6)))
    write_csv(folder / f"{slug}.csv", rows)


def answer(folder: Path, failed: str = "") -> Results:
    """What a training could have answered: half of all cells are hot, whatever was seen.

    The chance of crime type c is (c + 1) / 100 where a training has no target.
    """
    task = json.loads((folder / "task.json").read_text())
    with np.load(folder / "inputs.npz") as inputs:
        shape = (len(task["test"]), len(inputs["cells"]))
    trainings = {}
    for one in task["trainings"]:
        half = np.full(shape, 0.5, dtype=np.float32)
        if one["target"] is None:
            half = np.ones((*shape, 1), np.float32) * np.arange(1, len(CHANNELS) + 1) / 100
        np.savez(folder / f"{one['name']}.npz", probability=half, expected=half)
        trainings[one["name"]] = {"seconds": 2.0, "parameters": 9, "failed": failed or None}
    (folder / "results.json").write_text(
        json.dumps({"machine": {"devices": ["CPU:0"]}, "trainings": trainings})
    )
    return read_results(folder)
