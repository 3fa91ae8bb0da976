"""Run the experiments of the grid study on real data and write the page of them.

    python docs/make_grids.py --data DATA --work WORK [san-francisco-16 ..]

DATA is a folder with ``incidents/``; predictions and trainings are kept in WORK, and found again
there. Without names the three reduced experiments are run. With ``--page`` nothing is run, and the
page is written from what was kept. What the page quotes is kept beside the pictures as CSV.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from crime_assets.grids import study
from crime_assets.grids.judging import METRICS
from crime_assets.grids.methods import METHODS, NAIVE
from crime_assets.grids.published import COSTS, PUBLISHED
from crime_assets.grids.report import verdict
from crime_assets.models.incident_parameters import PUBLISHED_PARAMETERS

DOCS = Path(__file__).parent
PAGE = DOCS / "explanation" / "grids.md"
MARK = "<!-- what follows is written by docs/make_grids.py -->"
PLACES = {
    "san-francisco-16": "San Francisco, 16 x 16",
    "minneapolis-16": "Minneapolis, 16 x 16",
    "san-francisco-40": "San Francisco, 40 x 40",
}
PICTURES = {
    "metrics": "F1, AUCPR, AUROC, PAI, PEI* and PAI by count, by method, with 95 % intervals; the "
    "dashed line is persistence, and the table has the numbers",
    "curves": "ROC and precision-recall curves of all twelve predictions together, by method; "
    "dashed is persistence",
}
COMPARED = ("f1", "auroc", "pai", "pai_by_count")
"""The metrics whose differences to persistence stand in the tables."""

RULES = {"persistence": "persistence", "rolling_mean": "the rolling mean"}
PRINTED = ("f1", "aucpr", "auroc", "pai")
"""The published metrics that stand beside ours."""

PARAMETERS = "parameters-of-grid-networks.csv"
"""Of the pictures' folder: how many parameters our networks have, beside the published."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the experiments and write what the page shows."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("names", nargs="*", help=", ".join(PLACES))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path)
    parser.add_argument("--page", action="store_true", help="write the page alone")
    options = parser.parse_args(arguments)
    if not options.page:
        os.environ["CRIME_INCIDENTS"] = str((options.data / "incidents").resolve())
        work = options.work or Path(tempfile.mkdtemp())
        for name in options.names or PLACES:
            path = DOCS / "experiments" / "grids" / f"{name}.yaml"
            if study.main([str(path), "--out", str(work)]):
                raise SystemExit(1)
            keep(name, work / name)
        count_parameters().to_csv(DOCS / "pictures" / PARAMETERS, index=False)
    write_page()


def count_parameters() -> pd.DataFrame:
    """The parameters of the networks of the study's table 1, published and ours."""
    from crime_assets.models.incident_networks import our_parameters

    ours = our_parameters()
    return pd.DataFrame(
        [
            {"network": name, "published": count, "ours": ours[name]}
            for name, (count, _) in PUBLISHED_PARAMETERS.items()
        ]
    )


def keep(name: str, folder: Path) -> None:
    """What the page shows of one experiment."""
    rows = pd.read_parquet(folder / "evaluations.parquet")
    rows = rows[rows["origin"].isna()].drop(columns=["origin", "coverage"])
    effort = pd.read_csv(folder / "effort.csv")
    rows = rows.merge(effort, on=["cells", "method", "crime_type"])
    rows["parameters"] = rows["parameters"].astype("Int64")
    for column, digits in (("value", 4), ("low", 4), ("high", 4), ("seconds", 1)):
        rows[column] = rows[column].astype(float).round(digits)
    rows.to_csv(DOCS / "pictures" / f"grid-{name}.csv", index=False)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    about = {k: manifest[k] for k in ("reduction", "data", "failed", "packages")}
    text = json.dumps(about, indent=1, sort_keys=True) + "\n"
    (DOCS / "pictures" / f"grid-{name}.json").write_text(text, encoding="utf-8")
    cells = rows["cells"].iloc[0]
    for kind in PICTURES:
        drawn = (folder / f"{kind}-{cells}-all-crime.png").read_bytes()
        (DOCS / "pictures" / f"grid-{name}-{kind}.png").write_bytes(drawn)


# --- The page -------------------------------------------------------------------------------


def write_page() -> None:
    """What follows the mark, from what :func:`keep` has kept."""
    text = PAGE.read_text(encoding="utf-8").split(MARK)[0] + MARK + "\n\n"
    text += parameters_table(pd.read_csv(DOCS / "pictures" / PARAMETERS)) + "\n"
    for name, place in PLACES.items():
        path = DOCS / "pictures" / f"grid-{name}.csv"
        if path.exists():
            about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            text += "\n" + "\n\n".join(section(name, place, pd.read_csv(path), about)) + "\n"
    PAGE.write_text(text, encoding="utf-8")


def parameters_table(counts: pd.DataFrame) -> str:
    """The parameters of the networks, published and ours."""
    head = ["Trainable parameters (Philadelphia, 40 x 40)", "published", "ours"]
    lines = [head, ["---", "---:", "---:"]]
    for row in counts.itertuples(index=False):
        lines.append([row.network, f"{row.published:,}", f"{row.ours:,}"])
    return as_table(lines)


def section(name: str, place: str, rows: pd.DataFrame, about: Mapping[str, Any]) -> Iterator[str]:
    """One experiment: what it rests on, who won, the tables, the pictures."""
    (data,) = about["data"].values()
    days, foretold = data["days"], data["observed_days_foretold"]
    yield f"## {place}"
    yield (
        f"{data['active_cells']:,} cells in the study, {days[0]} to {days[1]}; "
        f"{data['observed_days_to_learn_from']:,} observed days to learn from, {min(foretold)} to "
        f"{max(foretold)} of each 30 that are foretold. Reduced: {about['reduction']}."
    )
    for what, why in about["failed"].items():
        yield f"Left out: {what} ({why})."
    types = list(dict.fromkeys(rows["crime_type"]))
    for crime_type in types:
        of_type = rows[rows["crime_type"] == crime_type]
        yield f"### {place}: {crime_type}"
        yield verdicts(of_type)
        if crime_type == types[0]:
            yield whole_table(of_type, int(rows["cells"].iloc[0]))
            for kind, words in PICTURES.items():
                yield f"![{place}, {crime_type}: {words}.](../pictures/grid-{name}-{kind}.png)"
        else:
            yield short_table(of_type)


def verdicts(rows: pd.DataFrame) -> str:
    """How many methods that learn are clearly better than each naive rule, by metric."""
    learning = [m for m in dict.fromkeys(rows["method"]) if METHODS[m].kind != "rule"]
    sentences = []
    for rule in NAIVE:
        apart = rows[(rows["against"] == rule) & rows["method"].isin(learning)]
        counts = []
        for metric, what in METRICS.items():
            found = [
                verdict(row.low, row.high)
                for row in apart[apart["metric"] == metric].itertuples(index=False)
            ]
            if found:
                counts.append(f"{found.count('better')} / {found.count('worse')} by {what}")
        sentences.append(
            f"Of {len(learning)} methods that learn, clearly better / worse than {RULES[rule]}: "
            f"{', '.join(counts)}."
        )
    means = rows[rows["against"].isna()]
    best = []
    for metric, what in METRICS.items():
        of_metric = means[means["metric"] == metric]
        if len(of_metric):
            row = of_metric.loc[of_metric["value"].idxmax()]
            best.append(f"{METHODS[row['method']].title} by {what} ({row['value']:.3f})")
    return f"First stand {', '.join(best)}. {' '.join(sentences)}"


def whole_table(rows: pd.DataFrame, p: int) -> str:
    """All metrics, differences to persistence, seconds, and what was printed of Philadelphia."""
    head = ["", *METRICS.values(), *(f"{METRICS[m]} − persistence" for m in COMPARED), "seconds",
            "parameters", "printed, Philadelphia, 40 x 40: seconds",
            *(f"printed, Philadelphia: {METRICS[m]}" for m in PRINTED)]  # fmt: skip
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    for method in ordered(rows):
        of_method = rows[rows["method"] == method]
        values = figures(of_method, None)
        apart = figures(of_method, "persistence")
        row = of_method.iloc[0]
        printed = [PUBLISHED.get((method, p, metric)) for metric in PRINTED]
        lines.append(
            [
                named(method),
                *(interval(values.get(metric)) for metric in METRICS),
                *(difference(apart.get(metric)) for metric in COMPARED),
                f"{row['seconds']:,.1f}",
                "" if pd.isna(row["parameters"]) else f"{int(row['parameters']):,}",
                f"{COSTS[method].seconds:,}" if method in COSTS else "",
                *("" if value is None else f"{value:.2f}" for value in printed),
            ]
        )
    return as_table(lines)


def short_table(rows: pd.DataFrame) -> str:
    """The metrics of the further crime types, and differences to persistence."""
    head = ["", *METRICS.values(), *(f"{METRICS[m]} − persistence" for m in COMPARED)]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    for method in ordered(rows):
        of_method = rows[rows["method"] == method]
        values, apart = figures(of_method, None), figures(of_method, "persistence")
        lines.append(
            [
                named(method),
                *(f"{values[m].value:.3f}" if m in values else "" for m in METRICS),
                *(difference(apart.get(metric)) for metric in COMPARED),
            ]
        )
    return as_table(lines)


def ordered(rows: pd.DataFrame) -> list[str]:
    """The methods, the highest AUROC first."""
    means = rows[rows["against"].isna() & (rows["metric"] == "auroc")]
    return means.sort_values("value", ascending=False, kind="stable")["method"].tolist()


def figures(rows: pd.DataFrame, against: str | None) -> dict[str, Any]:
    """The figures of one method by metric."""
    chosen = rows["against"].isna() if against is None else rows["against"] == against
    return {row.metric: row for row in rows[chosen].itertuples(index=False)}


def named(method: str) -> str:
    """The method's title; rules in italics."""
    title = METHODS[method].title
    return f"*{title}*" if METHODS[method].kind == "rule" else title


def interval(row: Any) -> str:
    """A mean and its interval, if it has one."""
    if row is None:
        return ""
    if pd.isna(row.low):
        return f"{row.value:.3f} (few months)"
    return f"{row.value:.3f} ({row.low:.3f} to {row.high:.3f})"


def difference(row: Any) -> str:
    """A difference, bold where its interval excludes nought."""
    if row is None:
        return ""
    said = f"{row.value:+.3f}"
    return said if verdict(row.low, row.high) == "no difference" else f"**{said}**"


def as_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as a Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


if __name__ == "__main__":
    main()
