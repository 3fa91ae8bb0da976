"""The Metropolitan Police's "MPS LSOA Level Crime": two wide files become one table of years.

A line of a file is an area and a minor category, a column is a month. One file holds the past, the
other the most recent 24 months; each release moves the seam between them, and category names change
there. The files come from the London Datastore (data.london.gov.uk), data set "MPS Recorded Crime:
Geographic Breakdown", under the Open Government Licence v3.0.

The merge is that of the London study (see :mod:`crime_assets.london.study`): lines of one area,
name, major and minor category are one line, a month that both files hold is that of the historical
file, and what stands in neither is nought. What is odd is not repaired but reported.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from crime_assets import DataError

if TYPE_CHECKING:
    import pandas as pd

CITY_OF_LONDON = ("E01000001", "E01000002", "E01000003", "E01000005")
"""The areas that the study takes out: another force polices them. Two newer areas of the City,
E01032739 and E01032740, stay in it, without a crime."""

NEARLY_EMPTY = 0.1
"""A month with less than this share of the median month's crimes is a stub, not a month."""

WHERE_FROM = (
    'download "MPS LSOA Level Crime (Historical)" and "MPS LSOA Level Crime (most recent 24 '
    'months)" from the London Datastore (https://data.london.gov.uk), data set "MPS Recorded '
    'Crime: Geographic Breakdown"'
)

_KEYS = ("lsoa_code", "lsoa_name", "major_category", "minor_category")
_MONTH = re.compile(r"\d{4}(0[1-9]|1[0-2])")
_SHOWN = 8


@dataclass(frozen=True)
class MpsYears:
    """Crimes by area, year and type, and what was odd about the files.

    ``table`` has ``lsoa21cd``, ``year``, ``crime_type`` (the minor category), ``crimes`` and
    ``lines``: from how many published lines the crimes come, 0 where there is none, more than 1
    where the type stands under several major categories or the area has several names. It is a full
    grid in that order. ``published`` are the crimes of its years in the files, ``outside`` those
    of them in areas that it does not hold. ``findings`` maps what is odd to where it is.
    """

    table: pd.DataFrame
    published: int
    outside: int
    findings: Mapping[str, tuple[str, ...]]


@cache
def categories() -> Mapping[str, str]:
    """The major category of each minor category that is known: those of ``categories.csv``."""
    with (Path(__file__).parent / "categories.csv").open(encoding="utf-8", newline="") as file:
        return {row["minor"]: row["major"] for row in csv.DictReader(file)}


def read_wide(path: Path | str) -> pd.DataFrame:
    """Crimes by line (area, its name, major and minor category) and month (``201004``), in order.

    Headers may be spelled ``LSOA Code`` or ``lsoa_code``; a gzip file is unpacked. Raises
    :class:`crime_assets.DataError` where the file is not there, is no such table, holds a line
    twice, or a count that is no whole number of crimes.
    """
    import pandas as pd

    try:
        table = pd.read_csv(path, encoding="utf-8-sig", low_memory=False)
    except FileNotFoundError as error:
        raise DataError(f"{path} is not there: {WHERE_FROM}") from error
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise DataError(f"{path} cannot be read as CSV ({error}): {WHERE_FROM}") from error
    table.columns = [str(name).strip().lower().replace(" ", "_") for name in table.columns]
    months = sorted(name for name in table.columns if _MONTH.fullmatch(name))
    lacking = [name for name in _KEYS if name not in table.columns]
    if lacking or not months:
        raise DataError(
            f"{path} has the columns {', '.join(table.columns[:_SHOWN])} ..; it lacks "
            f"{', '.join(lacking) or 'months such as 201004'}: {WHERE_FROM}"
        )
    twice = [name for name in table.columns if re.fullmatch(r"\d{6}\.\d+", name)]
    if twice:
        raise DataError(f"{path} holds the month {twice[0].split('.')[0]} twice")
    if table[list(_KEYS)].isna().to_numpy().any():
        line = int(table[list(_KEYS)].isna().any(axis=1).to_numpy().argmax()) + 2
        raise DataError(f"{path}, line {line}: no area or no category")
    counts = table.set_index(list(_KEYS))[months]
    if not counts.index.is_unique:
        repeated = ", ".join(counts.index[counts.index.duplicated()][0])
        raise DataError(f"{path} holds the line {repeated} twice: it is not the file as published")
    numbers = counts.apply(pd.to_numeric, errors="coerce")
    wrong = (numbers.isna() & counts.notna()) | (numbers < 0) | (numbers % 1 > 0)
    if wrong.to_numpy().any():
        row, column = np.argwhere(wrong.to_numpy())[0]
        raise DataError(
            f"{path}, line {row + 2}, month {months[column]}: '{counts.iat[row, column]}' is no "
            "number of crimes"
        )
    return numbers.fillna(0).astype(np.int64)


def mps_years(historical: pd.DataFrame, recent: pd.DataFrame, areas: Collection[str]) -> MpsYears:
    """Merge two files of :func:`read_wide` and sum their complete years over the full grid.

    ``areas`` are the codes of the boundaries, without those that are to be left out. A year is
    complete if all of its months are there and none is a stub: this drops the first and the last
    year that are cut off. Raises :class:`crime_assets.DataError` where no year is complete.
    """
    import pandas as pd

    both = [month for month in historical.columns if month in recent.columns]
    merged = pd.concat([historical, recent.drop(columns=both)], axis=1, sort=True)
    merged = merged.fillna(0).astype(np.int64).sort_index(axis=1)
    totals = merged.sum()
    stubs = totals.index[totals < NEARLY_EMPTY * totals.median()].tolist()
    span = pd.period_range(_period(merged.columns[0]), _period(merged.columns[-1]), freq="M")
    missing = [m for m in span.strftime("%Y%m") if m not in merged.columns]
    months = {year: [m for m in merged.columns if m[:4] == year] for year in _years(merged)}
    complete = [y for y, of in months.items() if len(of) == 12 and not set(of) & set(stubs)]
    if not complete:
        raise DataError(
            f"no year has twelve months: the files hold {merged.columns[0]} to "
            f"{merged.columns[-1]}, without {_list(missing) or 'a gap'}, and nearly empty are "
            f"{_list(stubs) or 'none'}; {WHERE_FROM}"
        )
    yearly = pd.DataFrame({int(year): merged[months[year]].sum(axis=1) for year in complete})

    by_type = yearly.groupby(["lsoa_code", "minor_category"])
    codes = sorted(set(areas))
    types = sorted(yearly.index.unique("minor_category"))
    grid = pd.MultiIndex.from_product([codes, types])
    crimes = by_type.sum().reindex(grid, fill_value=0).to_numpy()
    lines = by_type.size().reindex(grid, fill_value=0).to_numpy()
    shape = (len(codes), len(types), len(complete))
    table = pd.DataFrame(
        {
            "lsoa21cd": np.repeat(codes, shape[1] * shape[2]),
            "year": np.tile(np.repeat([int(y) for y in complete], shape[1]), shape[0]),
            "crime_type": np.tile(types, shape[0] * shape[2]),
            "crimes": crimes.reshape(shape).swapaxes(1, 2).ravel(),
            "lines": np.repeat(lines.reshape(shape[0], 1, shape[1]), shape[2], axis=1).ravel(),
        }
    )
    # counted from the files as they stand, not from their merge: nothing may be lost in it
    first, second = (
        file[[m for m in file.columns if m[:4] in complete and m not in without]].sum().sum()
        for file, without in ((historical, ()), (recent, both))
    )
    vanished = yearly[~yearly.index.get_level_values("lsoa_code").isin(codes)]
    findings = {
        "types in the historical file only": _types(historical, but_not=recent),
        "types in the recent file only": _types(recent, but_not=historical),
        "types that are not in categories.csv": [t for t in types if t not in categories()],
        "types under several major categories": _several(merged, "minor_category"),
        "areas with several names": _several(merged, "lsoa_code"),
        "areas that are not in the grid": [
            f"{code} ({crimes:,} crimes)"
            for code, crimes in vanished.sum(axis=1).groupby("lsoa_code").sum().items()
        ],
        "areas without a line": sorted(set(codes) - set(yearly.index.unique("lsoa_code"))),
        "months in both files that differ": _differences(historical, recent, both),
        "months missing between the first and the last": missing,
        "nearly empty months": [f"{month} ({totals[month]:,} crimes)" for month in stubs],
        "years left out": [
            f"{year} ({len(of)} months{', one nearly empty' if set(of) & set(stubs) else ''})"
            for year, of in months.items()
            if year not in complete
        ],
    }
    return MpsYears(
        table,
        published=int(first + second),
        outside=int(vanished.to_numpy().sum()),
        findings={what: tuple(where) for what, where in findings.items() if where},
    )


def findings_as_markdown(findings: Mapping[str, tuple[str, ...]]) -> str:
    """What is odd about the files, as a Markdown table."""
    rows = [f"| {what} | {len(where):,} | {_list(where)} |" for what, where in findings.items()]
    return "\n".join(["| what | how many | where |", "|---|---|---|", *rows])


def _list(items: Collection[str]) -> str:
    """The items, or the first of them."""
    return ", ".join([*list(items)[:_SHOWN], *([".."] if len(items) > _SHOWN else [])])


def _period(month: str) -> str:
    return f"{month[:4]}-{month[4:]}"


def _years(merged: pd.DataFrame) -> list[str]:
    return sorted({month[:4] for month in merged.columns})


def _types(file: pd.DataFrame, but_not: pd.DataFrame) -> list[str]:
    """Minor categories of one file that the other does not have."""
    others = set(but_not.index.unique("minor_category"))
    return sorted(set(file.index.unique("minor_category")) - others)


def _several(merged: pd.DataFrame, key: str) -> list[str]:
    """The types (or areas) that stand under more than one major category (or name)."""
    partner = {"minor_category": "major_category", "lsoa_code": "lsoa_name"}[key]
    pairs = merged.index.to_frame(index=False)[[key, partner]].drop_duplicates()
    found = pairs[pairs[key].duplicated(keep=False)].groupby(key)[partner].agg(sorted)
    return [f"{name} ({' and '.join(others)})" for name, others in found.items()]


def _differences(historical: pd.DataFrame, recent: pd.DataFrame, both: list[str]) -> list[str]:
    """The months that the files do not agree on; the historical file's are kept."""
    one, other = historical[both].align(recent[both], join="outer", axis=0, fill_value=0)
    lines = (one != other).sum()
    return [
        f"{month} ({lines[month]:,} lines; {one[month].sum():,} crimes are kept, the recent file "
        f"has {other[month].sum():,})"
        for month in both
        if lines[month]
    ]
