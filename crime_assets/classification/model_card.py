"""A card for each classifier: what it is, how good it was, and what it must not be used for.

Its fields are those of the cards of forecasters (see :mod:`crime_assets.forecasting.model_card`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from crime_assets.forecasting.model_card import (
    MISUSES,
    OPEN,
    Card,
    Field,
    Section,
    about_the_data,
    owner,
    risks,
)
from crime_assets.forecasting.report import LICENCE
from crime_assets.lsoa.labels import LABELS

if TYPE_CHECKING:
    import pandas as pd

    from crime_assets.models.classifiers import Classifier

_METRICS = ("accuracy", "macro_f1", "weighted_f1", "auroc", "conformal_coverage")


def model_card(
    name: str,
    classifier: Classifier,
    evaluations: pd.DataFrame | None,
    scope: str,
    provenance: Mapping[str, object],
) -> Card:
    """The card of one classifier, from its rows of ``lsoa_evaluations`` of one cut-off, if any.

    ``scope`` is the one whose figures are shown; ``provenance`` is shown as it is given.
    """
    title = f"{classifier.title} ({name})"
    tier_1 = (
        Field("Name", (title,)),
        Field(
            "Description",
            (
                f"{classifier.title}: {classifier.what}",
                "It says of small areas (LSOAs) how much recorded crime they will have in the next "
                "twelve months compared with the others, so that people who know a place can ask "
                "what could be done about it.",
            ),
        ),
        Field("Website URL", ("The documentation of crime_assets, its folder docs/.",)),
        Field("Contact email", (OPEN,)),
    )
    sentences, table = (
        (("It has not been judged yet: no figure says how good it is.",), ())
        if evaluations is None
        else _performance(evaluations, scope)
    )
    specification = (
        Field("Model", (f"Registered as {name}. Source: {classifier.source}.",)),
        Field("Model task", ("Classify places by recorded crime. It classifies nobody.",)),
        Field("Model performance", sentences, table=table),
        Field("Source data", (LICENCE,)),
        Field(
            "Data versions and cut-off",
            table=(("What", "Which"), *((str(k), str(v)) for k, v in provenance.items())),
        ),
        *about_the_data(),
    )
    return Card(
        name,
        f"Model card: {title}",
        (
            Section("Tier 1: Overview", tier_1),
            Section(
                "What it must not be used for",
                (
                    Field("Limits of this classifier", (classifier.limits,)),
                    Field("Uses that are ruled out", bullets=MISUSES),
                ),
            ),
            Section("Tier 2: Owner and responsibility", owner()),
            Section("Tier 2: Tool specification", specification),
            Section("Tier 2: Risks, mitigations and impact assessments", risks()),
        ),
    )


def _performance(
    evaluations: pd.DataFrame, scope: str
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Whether it beats last year's class, a sentence a label, and its figures by split."""
    rows = evaluations[(evaluations["scope"] == scope) & (evaluations["group_kind"] == "all")]
    rows = rows[rows["class"].isna()]
    sentences, table = [], [("Label", "Split", "Metric", "Value", "95 % interval")]
    for label in LABELS:
        of_label = rows[rows["label"] == label]
        for _, row in of_label.iterrows():
            known = row["low"] == row["low"]
            if row["metric"] in _METRICS:
                ends = f"{row['low']:.3f} to {row['high']:.3f}" if known else "–"
                table.append((label, row["split"], row["metric"], f"{row['value']:.3f}", ends))
            if row["split"] == "time" and row["metric"] == "macro_f1_difference":
                worth = "better than" if row["low"] > 0 else "worse than" if row["high"] < 0 else ""
                ends = f"{100 * row['low']:+.1f} to {100 * row['high']:+.1f}"
                sentences.append(
                    f"{label}: {worth or 'no different, as far as can be told, from'} the class of "
                    f"last year, by {100 * row['value']:+.1f} points of macro F1 "
                    f"({ends if known else 'too few blocks of areas for an interval'})."
                )
    return tuple(sentences) or ("It is what others are compared with.",), tuple(table)
