"""The experiments of the grid study, one after the other, and a table of what came of them.

    python -m benchmarks.grids --out results/grids bodies dropout

Without names those of ``docs/experiments/grids`` are run, but for :data:`FURTHER`, the quickest
first. They take about an hour on two cores where they are reduced; where they are not they are for
a GPU. What is done is not done again.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from crime_assets.grids import study

FOLDER = Path(__file__).parents[1] / "docs" / "experiments" / "grids"
EXPERIMENTS = (
    "san-francisco-16", "minneapolis-16", "san-francisco-40", "channels", "multi-label",
    "depth-and-width", "dropout", "bodies", "cell-size", "minneapolis-40",
)  # fmt: skip
"""The reduced ones first."""

FURTHER = ("philadelphia-40",)
"""Those whose incidents are not in the project's data: they are run where they are named."""

METRICS = ("f1", "aucpr", "auroc", "pai")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the experiments that are named, or all; the incidents are those of CRIME_INCIDENTS."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.grids", description=main.__doc__)
    parser.add_argument("names", nargs="*", choices=[*EXPERIMENTS, *FURTHER, []], metavar="NAME",
                        help=", ".join([*EXPERIMENTS, *FURTHER]))  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("results") / "grids",
                        help="default: %(default)s")  # fmt: skip
    options = parser.parse_args(arguments)
    console, failed = Console(highlight=False), []
    for name in options.names or EXPERIMENTS:
        started = time.monotonic()
        if study.main([str(FOLDER / f"{name}.yaml"), "--out", str(options.out)]):
            failed.append(name)
            continue
        console.print(table_of(options.out / name, name, time.monotonic() - started))
    if failed:
        console.print(f"failed: {', '.join(failed)}")
    return bool(failed)


def table_of(folder: Path, name: str, seconds: float) -> Table:
    """The means of the first grid and crime type, and what each method took."""
    rows = pd.read_parquet(folder / "evaluations.parquet")
    effort = pd.read_csv(folder / "effort.csv").set_index(["cells", "crime_type", "method"])
    place = rows["cells"].iloc[0], rows["crime_type"].iloc[0]
    rows = rows[(rows["cells"] == place[0]) & (rows["crime_type"] == place[1])]
    means = rows[rows["origin"].isna() & rows["against"].isna()]
    values = means.pivot_table(index="method", columns="metric", values="value", sort=False)
    table = Table(title=f"{name}: {place[1]}, {place[0]} x {place[0]}, in {seconds / 60:.1f} min")
    for column in ("method", *METRICS, "seconds"):
        table.add_column(column, justify="left" if column == "method" else "right")
    for method, row in values.iterrows():
        figures = ["" if pd.isna(row.get(m)) else f"{row[m]:.3f}" for m in METRICS]
        table.add_row(str(method), *figures, f"{effort.loc[(*place, method), 'seconds']:.1f}")
    return table


if __name__ == "__main__":
    sys.exit(main())
