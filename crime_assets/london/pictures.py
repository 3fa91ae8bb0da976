"""Pictures of the London study: importances, confusion matrices, and maps of areas by class.

A map of what a forest says of the rows that it was fitted on says "in-sample" in its title.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from crime_assets.hexes.pictures import INK
from crime_assets.london.study import METHODS, SHOWN_IMPORTANCES, Study
from crime_assets.lsoa.clusters import in_order
from crime_assets.lsoa.labels import LABELS
from crime_assets.lsoa.pictures import (
    STUDY_PALETTE,
    Outlines,
    bivariate_map,
    cluster_map,
    tier_map,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLES = {"is_hotspot": "hotspots", "tier": "tiers", "bivariate": "nine classes"}
SAID_BY = {
    "observed": "as they were",
    "split_in_time": "foretold from the years before",
    "in_sample": "in-sample: of the rows that the forest was fitted on",
}
"""What is mapped: columns of the predictions, with what a title says of them."""


def pictures(study: Study, areas: Outlines) -> Iterator[tuple[str, Figure]]:
    """All pictures of a study with the names of their files; ``areas`` are those of its panel."""
    yield "importances", importances_picture(study)
    yield "confusion", confusion_picture(study)
    yield "clusters", clusters_picture(study, areas)
    for label in ("tier", "bivariate"):
        for said_by in SAID_BY:
            yield (
                f"{TITLES[label]}-{said_by}".replace(" ", "-").replace("_", "-"),
                classes_picture(study, label, said_by, areas),
            )


def importances_picture(study: Study) -> Figure:
    """The fifteen features by which each forest's trees gain most (mean decrease of impurity)."""
    figure = _figure(13.5, 4.2)
    for axes, (label, values) in zip(
        figure.subplots(1, len(LABELS)), study.importances.items(), strict=True
    ):
        shown = values.head(SHOWN_IMPORTANCES)[::-1]
        axes.barh([_short(name) for name in shown.index], shown, color="#5e7fa8")
        axes.set_title(f"{TITLES[label]} of {study.label_year}", fontsize=9, color=INK)
        axes.tick_params(labelsize=6.5)
        axes.set_xlabel("mean decrease of impurity", fontsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def confusion_picture(study: Study) -> Figure:
    """The confusion matrices of all labels and methods, on the same test areas."""
    figure = _figure(10.5, 10.5)
    grid = figure.subplots(len(LABELS), len(METHODS))
    for label, row in zip(LABELS, grid, strict=True):
        for method, axes in zip(METHODS, row, strict=True):
            verdict = study.verdict(label, method)
            matrix = verdict.confusion
            share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
            axes.imshow(share, cmap="Oranges", vmin=0, vmax=1)
            for (y, x), count in np.ndenumerate(matrix):
                colour = "white" if share[y, x] > 0.6 else INK
                axes.text(x, y, count, ha="center", va="center", fontsize=6.5, color=colour)
            names = [name.replace("_", " ") for name in LABELS[label]]
            axes.set_xticks(range(len(names)), names, fontsize=6.5)
            axes.set_yticks(range(len(names)), names, fontsize=6.5)
            axes.set_title(
                f"{TITLES[label]}, {method}: {verdict.accuracy:.1%}", fontsize=8.5, color=INK
            )
    for axes in grid[:, 0]:
        axes.set_ylabel(f"class in {study.label_year}", fontsize=7.5)
    for axes in grid[-1]:
        axes.set_xlabel("class foretold", fontsize=7.5)
    return figure


def clusters_picture(study: Study, areas: Outlines) -> Figure:
    """The clusters of every year and of the mean of all, in order, so that maps can be compared."""
    ordered = {
        f"mean since {study.first_year}" if name == "static" else str(name): in_order(
            study.clusters[name], study.totals[name]
        )
        for name in study.clusters
    }
    return cluster_map(
        areas,
        ordered,
        "Clusters of areas by their mix of crime, from the least crime to the most",
        "Renumbered for this picture: the study's features have the numbers that k-means gave.",
    )


def classes_picture(study: Study, label: str, said_by: str, areas: Outlines) -> Figure:
    """A map of the tiers or the nine classes (in the study's palette), see :data:`SAID_BY`."""
    rows = study.predictions[study.predictions["label"] == label]
    classes = np.searchsorted(LABELS[label], rows[said_by].to_numpy(dtype=str))
    title = f"{TITLES[label]} of {study.label_year}, {SAID_BY[said_by]}".capitalize()
    if label == "tier":
        return tier_map(areas, classes, title)
    one, other = (name.capitalize() for name in study.pair)
    return bivariate_map(areas, classes, title, (one, other), palette=STUDY_PALETTE)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _short(feature: str) -> str:
    """``2023_Crime_Density_OTHER THEFT`` as ``2023 other theft``."""
    year, found, crime_type = feature.partition("_Crime_Density_")
    return f"{year} {crime_type.lower()}" if found else feature
