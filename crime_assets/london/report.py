"""The London study as a page: each published figure, and beside it what the split was worth."""

from __future__ import annotations

from collections.abc import Mapping

from crime_assets.london.mps import findings_as_markdown
from crime_assets.london.published import AREAS, FEATURES, PUBLISHED
from crime_assets.london.study import (
    FIRST_YEAR,
    LABEL_YEAR,
    PAIR,
    PERSISTENCE,
    RANDOM,
    SHOWN_IMPORTANCES,
    TIME,
    Study,
    Verdict,
)
from crime_assets.lsoa.labels import CLASS_TITLES, LABELS

FIGURES = {
    "accuracy": lambda verdict: verdict.accuracy,
    "weighted F1": lambda verdict: verdict.weighted_f1,
    "macro F1": lambda verdict: verdict.macro_f1,
}
COLUMNS = {
    "random split": (RANDOM, "test"),
    "split in time": (TIME, "test"),
    "persistence": (PERSISTENCE, "test"),
    "split in time, all areas": (TIME, "all"),
    "persistence, all areas": (PERSISTENCE, "all"),
}
NAMES = {"is_hotspot": "hotspot", "tier": "four tiers", "bivariate": "nine classes"}


def is_the_study(study: Study) -> bool:
    """Whether the published figures are of the same years and pair as this study's."""
    asked = (study.label_year, study.first_year, study.pair)
    return asked == (LABEL_YEAR, FIRST_YEAR, PAIR)


def comparison(study: Study, *, auc: bool = True) -> str:
    """Every figure of every label and method as a Markdown table, beside the published one.

    Persistence has no scores, and so no AUC; without ``auc`` it is left out for all.
    """
    published = PUBLISHED if is_the_study(study) else {}
    first = ["label", "figure", *(["published"] if published else [])]
    rows = [[*first, *COLUMNS], ["---"] * (len(first) + len(COLUMNS))]
    for label, classes in LABELS.items():
        verdicts = [study.verdict(label, *where) for where in COLUMNS.values()]
        if published:
            verdicts = [published[label], *verdicts]
        for name, figure in FIGURES.items():
            rows.append([NAMES[label], name, *(f"{figure(v):.3f}" for v in verdicts)])
        for k in range(len(classes) if auc else 0):
            title = f"AUC, {CLASS_TITLES[label][k]}"
            rows.append([NAMES[label], title, *(_auc(v, k) for v in verdicts)])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def matrix(verdict: Verdict) -> str:
    """A confusion matrix as a Markdown table: truth in rows, prediction in columns."""
    names = [name.replace("_", " ") for name in LABELS[verdict.label]]
    rows = [["", *names], ["---"] * (len(names) + 1)]
    for name, counts in zip(names, verdict.confusion, strict=True):
        rows.append([f"**{name}**", *(str(count) for count in counts)])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def as_markdown(study: Study, findings: Mapping[str, tuple[str, ...]]) -> str:
    """The whole page. ``findings`` are what was odd about the files."""
    areas, columns = study.features.shape
    size = f"{areas:,} areas and {columns} features"
    if is_the_study(study) and (areas, columns) != (AREAS, FEATURES):
        size += f" (the study had {AREAS:,} and {FEATURES}: its release of the files was another)"
    lines = [
        f"# The London study, labels of {study.label_year}",
        f"Of {size}. History since {study.first_year}; the nine classes are of "
        f"{' and '.join(name.lower() for name in study.pair)}.",
        "- *Random split*: a forest fitted on four fifths of the areas and judged on the others, "
        "in the same year. It is what the study published.",
        f"- *Split in time*: a forest fitted on the labels of {study.label_year - 1}, judged on "
        f"those of {study.label_year}. The numbers of the clusters mean something else in each "
        "year, as they do in the study.",
        f"- *Persistence*: the class of {study.label_year - 1}.",
        "The first three are judged on the same areas.",
        comparison(study),
        "## Confusion matrices",
    ]
    for label in LABELS:
        lines.append(f"### {NAMES[label].capitalize()}, random split")
        lines.append(matrix(study.verdict(label, RANDOM)))
        if is_the_study(study):
            lines += ["As published:", matrix(PUBLISHED[label])]
        lines += ["Split in time, the same areas:", matrix(study.verdict(label, TIME))]
    lines.append(f"## The {SHOWN_IMPORTANCES} most important features")
    for label, values in study.importances.items():
        shown = [f"{name} {value:.3f}" for name, value in values.head(SHOWN_IMPORTANCES).items()]
        lines.append(f"**{NAMES[label].capitalize()}**: {', '.join(shown)}.")
    lines += [
        "## The files",
        findings_as_markdown(findings) if findings else "Nothing odd was found in them.",
    ]
    return "\n\n".join(lines) + "\n"


def _auc(verdict: Verdict, k: int) -> str:
    return f"{verdict.auc[k]:.3f}" if verdict.auc else ""
