"""Classify the real LSOAs of England and Wales, and of Gwent, and write the page of it; by hand.

    python docs/make_neighbourhoods.py --data DATA --work WORK

DATA holds ``lsoa/england_wales_lsoa_month_type_*.parquet``, ``boundaries/`` and
``police_uk/archive``, as the tests have them. Two lakes are made in WORK by the project's own jobs,
and found again there: the nation from a table of counts, Gwent from the archive. Written are
``explanation/neighbourhoods.md`` below its mark, and its pictures. From nothing it takes an hour.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import dagster as dg
import duckdb
import pandas as pd
from matplotlib.figure import Figure

from crime_assets.classification.charts import split_worth
from crime_assets.classification.files import folder
from crime_assets.definitions import build_definitions
from crime_assets.hexes.pictures import png
from crime_assets.lake import Lake
from crime_assets.lsoa.labels import LABELS
from crime_assets.models.classifiers import CLASSIFIERS, NAIVE_CLASS
from crime_assets.partitions import months_back
from crime_assets.settings import Settings

DOCS = Path(__file__).parent
PAGE = DOCS / "explanation" / "neighbourhoods.md"
PICTURES = DOCS / "pictures"
MARK = "<!-- what follows is written by docs/make_neighbourhoods.py -->"

NATION, LONDON, GWENT = "england-and-wales", "metropolitan", "gwent"
NATION_CUT_OFF, GWENT_CUT_OFF = "2025-04", "2024-12"
TITLES = {"is_hotspot": "hotspot", "tier": "four tiers", "bivariate": "nine classes"}
STUDY = {"is_hotspot": 0.952, "tier": 0.849, "bivariate": 0.641}
SPLITS = {
    "time": "in time",
    "space": "other land",
    "force": "other forces",
    "random": "at random (optimistic)",
}
WHY_CODES_DIFFER = """\
Two things bring it about. Older files have codes of 2011: in 2022, six in ten of these crimes. And
the boundaries used here are generalised to 20 m, while the codes were made with others: in 2025 all
of these crimes carry the code of an area whose edge is at most 20 m from their point, half of them
at most 3 m."""

ORDER = ("random_forest", "gradient_boosting", "logistic_regression", NAIVE_CLASS)


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the lakes where they are not there, and write what the page shows of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of real data")
    parser.add_argument("--work", type=Path, required=True, help="where the lakes are made")
    options = parser.parse_args(arguments)
    data, work = options.data.absolute(), options.work.absolute()
    nation, gwent = made_nation(data, work / "nation"), made_gwent(data, work / "gwent")
    of_nation = evaluations(nation, NATION_CUT_OFF)
    of_gwent = evaluations(gwent, GWENT_CUT_OFF)
    text = PAGE.read_text(encoding="utf-8").split(MARK)[0] + MARK + "\n\n"
    text += "\n\n".join(
        [
            *nation_part(of_nation, nation),
            *london_part(of_nation),
            *force_part(of_nation),
            *gwent_part(of_gwent, gwent),
            *codes_part(gwent),
        ]
    )
    PAGE.write_text(text.rstrip() + "\n", encoding="utf-8")
    rows = of_nation[(of_nation["scope"] == NATION) & of_nation["class"].isna()]
    kept = rows[rows["metric"].isin(["accuracy", "macro_f1"]) & (rows["group_kind"] == "all")]
    save(split_worth(kept[kept["label"] == "tier"], "Four tiers"), "neighbourhoods-splits")
    for name in ("tier", "bivariate"):
        drawn = folder(nation.data_dir, NATION_CUT_OFF, "gradient_boosting") / f"{name}.png"
        (PICTURES / f"neighbourhoods-{name}.png").write_bytes(drawn.read_bytes())
    kept.drop(columns=["class", "group_kind", "group_name", "p_value"]).round(6).sort_values(
        ["label", "split", "model", "metric"]
    ).to_csv(PICTURES / "neighbourhoods.csv", index=False, lineterminator="\n")


# --- Lakes ----------------------------------------------------------------------------------


def made_nation(data: Path, place: Path) -> Settings:
    """The lake of the nation, from the table of its counts: two cut-offs, the later one judged."""
    settings = settings_of(
        data,
        place,
        CRIME_LSOA_COUNTS=next((data / "lsoa").glob("england_wales_lsoa_month_type_*.parquet")),
        CRIME_LSOA_LOOKUP=data / "boundaries" / "lsoa_2011_to_2021.csv.gz",
    )
    before = months_back(NATION_CUT_OFF, 13)[0]
    make(settings, "lsoa_areas", [None])
    make(settings, "lsoa_counts", months_back("2026-04", 36))
    classified(settings, before, NATION_CUT_OFF)
    return settings


def made_gwent(data: Path, place: Path) -> Settings:
    """The lake of Gwent, from the archive: 48 months, three years before the later cut-off."""
    settings = settings_of(
        data, place, CRIME_ARCHIVE_URL=data / "police_uk" / "archive", CRIME_FORCES=GWENT
    )
    for table in ("hex_cells", "scopes", "scope_cells", "lsoa_areas"):
        make(settings, table, [None])
    span = months_back("2025-12", 48)
    for table in ("street_crimes_csv", "street_crimes"):
        make(settings, table, span, force=GWENT)
    for table in ("coverage", "hex_counts", "snap_counts", "lsoa_counts"):
        make(settings, table, span)
    make(settings, "hotspots", [months_back(GWENT_CUT_OFF, 13)[0], GWENT_CUT_OFF])
    classified(settings, months_back(GWENT_CUT_OFF, 13)[0], GWENT_CUT_OFF)
    return settings


def classified(settings: Settings, before: str, cut_off: str) -> None:
    """Features and labels of both cut-offs; every model at the later one, and judged."""
    for table in ("lsoa_features", "lsoa_labels"):
        make(settings, table, [before, cut_off])
    for table in ("lsoa_predictions", "lsoa_evaluations"):
        for model in sorted(CLASSIFIERS, key=lambda m: m != NAIVE_CLASS):
            make(settings, table, [cut_off], model=model)


def settings_of(data: Path, place: Path, **more: object) -> Settings:
    """The settings of a lake in ``place``, with the real boundaries."""
    return Settings.from_environment(
        {
            "CRIME_DATA_DIR": str(place),
            "CRIME_LSOA_BOUNDARIES": str(data / "boundaries" / "lsoa_2021.parquet"),
            "CRIME_FORCE_BOUNDARIES": str(data / "boundaries" / "police_force_areas_2023.parquet"),
            **{name: str(value) for name, value in more.items()},
        }
    )


def make(
    settings: Settings,
    table: str,
    wanted: Iterable[str | None],
    *,
    force: str = "",
    model: str = "",
) -> None:
    """Materialise those of the ``wanted`` months of a table that the lake lacks."""
    lake = Lake(settings.data_dir / "lake")
    definitions = build_definitions(settings)
    key = dg.AssetKey([table, model] if model else table)
    asset = definitions.resolve_assets_def(key)
    for month in wanted:
        place = {"month": month} if month else {}
        if force:
            place["force"] = force
        if model:
            place["model"] = model
        raw = table == "street_crimes_csv"
        if not raw and lake.has(table, place):
            continue
        if raw and lake.has("street_crimes", place):
            continue
        started = time.monotonic()
        partition = str(dg.MultiPartitionKey({"month": month, "force": force})) if force else month
        with dg.DagsterInstance.local_temp() as instance:
            dg.materialize(
                [asset],
                partition_key=partition,
                instance=instance,
                run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
            )
        say(f"{key.to_user_string()} {partition or ''}: {time.monotonic() - started:.0f} s")


def say(text: str) -> None:
    """A line of progress."""
    print(text, flush=True)


def evaluations(settings: Settings, month: str) -> pd.DataFrame:
    """The figures of all models at one cut-off."""
    root = settings.data_dir / "lake" / "lsoa_evaluations" / f"month={month}"
    return duckdb.sql(
        f"select * from read_parquet('{root}/*/data.parquet', hive_partitioning = true)"
    ).df()


# --- The page -------------------------------------------------------------------------------


def nation_part(found: pd.DataFrame, settings: Settings) -> Iterable[str]:
    """England and Wales: every model under every split, and whether hotspots are random."""
    yield "## England and Wales"
    yield (
        f"{areas_of(found, NATION):,} areas, cut-off {NATION_CUT_OFF}, fitted on "
        f"{months_back(NATION_CUT_OFF, 13)[0]}. {features_left(settings, NATION_CUT_OFF)}"
    )
    yield split_table(found, NATION)
    yield "![Accuracy and macro F1 of the four tiers by model and split]" + (
        "(../pictures/neighbourhoods-splits.png)"
    )
    yield "Against the class of last year, split in time, on the same areas:"
    yield difference_table(found, NATION)
    yield (
        "![Tiers of the areas of England and Wales and of central London, as foretold]"
        "(../pictures/neighbourhoods-tier.png)"
    )
    yield (
        "![Nine classes of theft from the person by violence, as foretold]"
        "(../pictures/neighbourhoods-bivariate.png)"
    )
    yield "Global Moran's I (queen contiguity, 999 permutations), and p by permutation:"
    moran = found[(found["metric"] == "moran_i") & (found["scope"] == NATION)]
    yield table(
        ["of", *(title(model) for model in ORDER)],
        [
            [what, *(moran_cell(moran, what, model) for model in ORDER)]
            for what in ("density", "tier", "is_hotspot", "residual")
        ],
    )
    yield "Prediction sets that were calibrated to hold the true class in nine areas of ten:"
    yield table(
        ["label", "model", "hold the true class", "classes in a set"],
        [
            [
                TITLES[label],
                title(model),
                cell(found, NATION, "time", label, model, "conformal_coverage"),
                cell(found, NATION, "time", label, model, "conformal_size"),
            ]
            for label in LABELS
            for model in ORDER[:2]
        ],
    )


def london_part(found: pd.DataFrame) -> Iterable[str]:
    """The study's own city: what stands of its figures when time decides."""
    yield "## London, when time decides"
    yield (
        f"The {areas_of(found, LONDON):,} areas of the Metropolitan Police, as a scope of its own. "
        "The study's figures are of other years and types; what can be compared is the order of "
        "size."
    )
    yield table(
        ["label", "the study, at random", "forest, at random", "forest, in time",
         "boosting, in time", "same class as last year"],
        [
            [
                TITLES[label],
                f"{STUDY[label]:.3f}",
                cell(found, LONDON, "random", label, "random_forest", "accuracy"),
                cell(found, LONDON, "time", label, "random_forest", "accuracy"),
                cell(found, LONDON, "time", label, "gradient_boosting", "accuracy"),
                cell(found, LONDON, "time", label, NAIVE_CLASS, "accuracy"),
            ]
            for label in LABELS
        ],
    )  # fmt: skip
    yield "Against the class of last year, split in time:"
    yield difference_table(found, LONDON)


def force_part(found: pd.DataFrame) -> Iterable[str]:
    """Each force as a scope of its own: the forest beside last year's class."""
    yield "## By force"
    yield (
        "Each force as a scope of its own, with limits and models of its own, split in time: "
        "accuracy in %, random forest / same class as last year. In the last column the nation's "
        "forest: the share of its hotspots that it foretold (recall), and of other areas wrongly "
        "called hotspots."
    )
    rows = []
    for scope in sorted(set(found["scope"]) - {NATION}):
        of_scope = [scope, f"{areas_of(found, scope):,}"]
        for label in LABELS:
            pair = [
                value(found, scope, "time", label, model, "accuracy")
                for model in ("random_forest", NAIVE_CLASS)
            ]
            of_scope.append(" / ".join(f"{100 * v:.1f}" for v in pair))
        of_force = found[
            (found["scope"] == NATION)
            & (found["group_name"] == scope)
            & (found["label"] == "is_hotspot")
            & (found["model"] == "random_forest")
        ].set_index("metric")["value"]
        of_scope.append(
            f"{100 * of_force['recall']:.0f} % / {100 * of_force['false_positive_rate']:.1f} %"
        )
        rows.append(of_scope)
    yield table(["force", "areas", *TITLES.values(), "recall / wrongly"], rows)
    ahead = {
        label: [
            value(found, scope, "time", label, "random_forest", "accuracy")
            > value(found, scope, "time", label, NAIVE_CLASS, "accuracy")
            for scope in set(found["scope"]) - {NATION}
        ]
        for label in LABELS
    }
    yield (
        "The forest is ahead in "
        + ", ".join(
            f"{sum(of_label)} of {len(of_label)} forces ({TITLES[label]})"
            for label, of_label in ahead.items()
        )
        + "."
    )


def gwent_part(found: pd.DataFrame, settings: Settings) -> Iterable[str]:
    """From the archive to the forest, with all three years of history."""
    scope = str(found["scope"].mode().iloc[0])
    yield "## Gwent, from the archive"
    yield (
        f"{areas_of(found, scope):,} areas, counted by point in polygon, cut-off "
        f"{GWENT_CUT_OFF}: 36 months of history, the year 2025 as the outcome; fitted on "
        f"{months_back(GWENT_CUT_OFF, 13)[0]}, which has two years of history. "
        f"{features_left(settings, GWENT_CUT_OFF)}"
    )
    yield table(
        ["label", "model", "accuracy", "macro F1", "AUROC", "macro F1 - last year's class"],
        [
            [
                TITLES[label],
                title(model),
                cell(found, scope, "time", label, model, "accuracy"),
                cell(found, scope, "time", label, model, "macro_f1"),
                cell(found, scope, "time", label, model, "auroc"),
                "" if model == NAIVE_CLASS else apart(found, scope, label, model, "macro_f1"),
            ]
            for label in LABELS
            for model in ORDER
        ],
    )


def codes_part(settings: Settings) -> Iterable[str]:
    """How many crimes were published with another code than that of the area they lie in."""
    root = settings.data_dir / "lake" / "lsoa_counts"
    found = duckdb.sql(
        "select month[1:4] as year, sum(crimes)::bigint as crimes, "
        "1 - sum(same_code) / sum(crimes) as other from "
        f"read_parquet('{root}/*/data.parquet', hive_partitioning = true, "
        "hive_types_autocast = false) group by 1 order by 1"
    ).fetchall()
    yield "## Published codes"
    yield (
        "The share of Gwent's located crimes whose published code is not that of the LSOA (2021) "
        "that they lie in:"
    )
    yield table(
        ["year", "located crimes", "another code"],
        [[year, f"{crimes:,}", f"{100 * other:.1f} %"] for year, crimes, other in found],
    )
    yield WHY_CODES_DIFFER


# --- Words and figures ----------------------------------------------------------------------


def title(model: str) -> str:
    """A model as the tables call it."""
    return CLASSIFIERS[model].title.lower()


def rows_of(
    found: pd.DataFrame, scope: str, split: str, label: str, model: str, metric: str
) -> pd.DataFrame:
    """The figure of all areas and classes: one row or none."""
    return found[
        (found["scope"] == scope)
        & (found["split"] == split)
        & (found["label"] == label)
        & (found["model"] == model)
        & (found["metric"] == metric)
        & (found["group_kind"] == "all")
        & found["class"].isna()
    ]


def value(found: pd.DataFrame, *where: str) -> float:
    """One figure, nan where it is not there."""
    rows = rows_of(found, *where)
    return float(rows["value"].iloc[0]) if len(rows) else float("nan")


def cell(found: pd.DataFrame, *where: str) -> str:
    """One figure with its interval; a dash where it is not there."""
    rows = rows_of(found, *where)
    if not len(rows):
        return "–"
    row = rows.iloc[0]
    known = pd.notna(row["low"])
    return f"{row['value']:.3f}" + (f" ({row['low']:.3f}–{row['high']:.3f})" if known else "")


def apart(found: pd.DataFrame, scope: str, label: str, model: str, metric: str) -> str:
    """The difference to last year's class in points, its interval and p; bold where real."""
    rows = rows_of(found, scope, "time", label, model, f"{metric}_difference")
    if not len(rows):
        return "–"
    row = rows.iloc[0]
    text = f"{100 * row['value']:+.1f}"
    if pd.notna(row["low"]):
        text += f" ({100 * row['low']:+.1f} to {100 * row['high']:+.1f})"
        if row["low"] > 0 or row["high"] < 0:
            text = f"**{text}**"
    return text


def split_table(found: pd.DataFrame, scope: str) -> str:
    """Every model under every split."""
    return table(
        ["label", "split", "model", "accuracy", "weighted F1", "macro F1", "AUROC"],
        [
            [
                TITLES[label],
                SPLITS[split],
                title(model),
                *(
                    cell(found, scope, split, label, model, metric)
                    for metric in ("accuracy", "weighted_f1", "macro_f1", "auroc")
                ),
            ]
            for label in LABELS
            for split in SPLITS
            for model in ORDER
        ],
    )


def difference_table(found: pd.DataFrame, scope: str) -> str:
    """Each model - last year's class, in points; what is real is bold."""
    return table(
        ["label", "model", "accuracy, points", "macro F1, points", "AUROC, points"],
        [
            [
                TITLES[label],
                title(model),
                *(
                    apart(found, scope, label, model, metric)
                    for metric in ("accuracy", "macro_f1", "auroc")
                ),
            ]
            for label in LABELS
            for model in ORDER
            if model != NAIVE_CLASS
        ],
    )


def moran_cell(moran: pd.DataFrame, what: str, model: str) -> str:
    """Moran's I and its p value."""
    row = moran[(moran["class"] == what) & (moran["model"] == model)].iloc[0]
    return f"{row['value']:.3f} (p {row['p_value']:.3f})"


def areas_of(found: pd.DataFrame, scope: str) -> int:
    """How many areas a scope was judged on."""
    rows = found[(found["scope"] == scope) & (found["split"] == "time")]
    return int(rows[rows["group_kind"] == "all"]["areas"].max())


def features_left(settings: Settings, cut_off: str) -> str:
    """Which features the models saw at a cut-off, as the file of importances names them."""
    path = folder(settings.data_dir, cut_off, "random_forest") / "importances.csv"
    used = pd.read_csv(path).query("label == 'tier'")["feature"].tolist()
    return f"The models see {len(used)} features: " + ", ".join(f"`{n}`" for n in used) + "."


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def save(figure: Figure, name: str) -> None:
    """Write a picture of the page."""
    (PICTURES / f"{name}.png").write_bytes(png(figure))


if __name__ == "__main__":
    main()
