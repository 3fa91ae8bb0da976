"""One classifier on one scope: fitted a year before the cut-off, and held to account by parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crime_assets import DataError
from crime_assets.classification import conformal
from crime_assets.classification.design import Areas, columns_of, common_features
from crime_assets.classification.splits import FORCE, RANDOM, SPACE, TIME, folds_of
from crime_assets.lsoa.labels import LABELS
from crime_assets.models import classifiers
from crime_assets.models.classifiers import Classifier, Fitted

LEAST_OF_SPLITS = 1000
"""Scopes with fewer areas are forecast, but not split in other ways: each part would be small."""


class NoClasses(DataError):
    """A scope cannot be classified, and why."""


@dataclass(frozen=True)
class Predicted:
    """What is said of some areas of a scope: probabilities (m, k), classes (m,), conformal sets.

    ``sets`` (m, k) is there for the split in time, where it was calibrated.
    """

    split: str
    label: str
    codes: NDArray[np.str_]
    predicted: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    sets: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Explained:
    """The fitted model of one label, and what each feature was worth to it (p,)."""

    label: str
    fitted: Fitted
    names: tuple[str, ...]
    impurity: NDArray[np.float64]
    permutation: NDArray[np.float64]


def foretell(
    classifier: Classifier,
    before: Areas,
    now: Areas,
    label: str,
    *,
    explain: bool = False,
) -> tuple[Predicted, Explained | None]:
    """The classes of the year after ``now``, learnt from ``before`` and what became of it.

    Conformal sets are calibrated on ``before``, block by block held out. With ``explain`` the
    importances are measured, on the first part held out. Raises :class:`NoClasses` where fewer
    than two classes are known.
    """
    k = len(LABELS[label])
    names = common_features([before, now])
    known = before.truth[label] >= 0
    truth = before.truth[label]
    if len(np.unique(truth[known])) < 2:
        raise NoClasses(
            f"{label}: all {known.sum()} areas are of one class"
            if known.any()
            else f"{label}: no class is known"
        )
    features = columns_of(before, names)

    def fitted_on(rows: NDArray[np.bool_]) -> Fitted:
        last = before.last[label][rows]
        return classifiers.fit(classifier, features[rows], last, truth[rows], k)

    held_out = np.full((len(known), k), np.nan)
    permutation = np.full(len(names), np.nan)
    for learnt, asked in folds_of(SPACE, before, label):
        part = fitted_on(learnt)
        held_out[asked] = part.probabilities(features[asked], before.last[label][asked])
        if explain and np.isnan(permutation).all():
            permutation = classifiers.permutation_importances(part, features[asked], truth[asked])
    whole = fitted_on(known)
    probabilities = whole.probabilities(columns_of(now, names), now.last[label])
    seen = ~np.isnan(held_out[:, 0])
    least = conformal.threshold(held_out[seen], truth[seen])
    predicted = Predicted(
        TIME,
        label,
        now.codes,
        whole.predict(probabilities, now.last[label]),
        probabilities,
        conformal.sets(probabilities, least),
    )
    if not explain:
        return predicted, None
    impurity = classifiers.impurity_importances(whole, len(names))
    return predicted, Explained(label, whole, tuple(names), impurity, permutation)


def held_out(
    classifier: Classifier, areas: Areas, label: str, names: Sequence[str] | None = None
) -> Iterator[Predicted]:
    """What is said of each area by a model that has not seen it: by space, by force, at random.

    ``areas`` know what became of them. ``names`` are the features (default: all that are known):
    with those of the split in time the splits can be compared. Scopes of few areas whose class is
    known have no other split than time, those of few forces none by force.
    """
    if (areas.truth[label] >= 0).sum() < LEAST_OF_SPLITS:
        return
    k = len(LABELS[label])
    names = common_features([areas]) if names is None else names
    features, last, truth = columns_of(areas, names), areas.last[label], areas.truth[label]
    for split in (SPACE, FORCE, RANDOM):
        probabilities = np.full((len(truth), k), np.nan)
        predicted = np.full(len(truth), -1)
        for learnt, asked in folds_of(split, areas, label):
            fitted = classifiers.fit(classifier, features[learnt], last[learnt], truth[learnt], k)
            probabilities[asked] = fitted.probabilities(features[asked], last[asked])
            predicted[asked] = fitted.predict(probabilities[asked], last[asked])
        asked = predicted >= 0
        if asked.any():
            yield Predicted(
                split, label, areas.codes[asked], predicted[asked], probabilities[asked]
            )
