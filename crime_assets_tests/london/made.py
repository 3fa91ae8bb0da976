"""Files of the shape of the Metropolitan Police's two wide tables, made up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from crime_assets.london.mps import categories

HISTORICAL = pd.period_range("2010-04", "2023-03", freq="M").strftime("%Y%m").tolist()
RECENT = pd.period_range("2023-04", "2025-03", freq="M").strftime("%Y%m").tolist()
TYPES = (
    "ARSON",
    "BICYCLE THEFT",
    "SHOPLIFTING",
    "THEFT FROM THE PERSON",
    "VIOLENCE WITH INJURY",
)

Line = tuple[str, str, Mapping[str, int]]
"""An area, a minor category, and the crimes of months; those not named have none."""


def wide(lines: Sequence[Line], months: Sequence[str], majors: Mapping[str, str] = {}) -> str:
    """The text of a file with these lines; ``majors`` overrides the usual major categories."""
    head = ["LSOA Code", "LSOA Name", "Borough", "Major Category", "Minor Category", *months]
    usual = {**categories(), **majors}
    rows = [
        [code, f"Town {code[-3:]}", "Town", usual.get(minor, "OTHER"), minor]
        + [str(crimes.get(month, 0)) for month in months]
        for code, minor, crimes in lines
    ]
    return "\n".join(",".join(row) for row in [head, *rows]) + "\n"


def write_pair(folder: Path, codes: Sequence[str], seed: int = 1) -> tuple[Path, Path]:
    """Both files, of all TYPES in the areas ``codes``: busy areas are busy in every year."""
    random = np.random.default_rng(seed)
    rate = random.gamma(0.7, 3.0, size=(len(codes), len(TYPES)))
    paths = folder / "historical.csv", folder / "recent.csv"
    for path, months in zip(paths, (HISTORICAL, RECENT), strict=True):
        counts = random.poisson(rate[:, :, None], size=(*rate.shape, len(months)))
        lines = [
            (code, minor, dict(zip(months, counts[i, j].tolist(), strict=True)))
            for i, code in enumerate(codes)
            for j, minor in enumerate(TYPES)
        ]
        path.write_text(wide(lines, months), encoding="utf-8")
    return paths
