"""The London study: features of areas, three labels, three random forests, and how they are judged.

Source: the notebook "Predicting and Stratifying Crime Hotspots in London Using Spatiotemporal
Features (2011-2024)", whose choices are kept, also where one would choose otherwise:

- The numbers of the clusters stay as k-means has them. They are arbitrary, those of two years do
  not correspond, and so the flags "increasing" and "decreasing" say little. Nor do they correspond
  between the year that is fitted and the year that is judged where the split is in time.
- ``Is_Increasing`` holds for areas whose cluster stays the same, ``Is_Decreasing`` does not.
- Test areas are drawn at random from the year that is foretold: the model has seen that year in
  the areas around them.

So each forest is judged twice: by the study's random split, and split in time (fitted on the labels
of the year before, judged on the label year). Beside them stands persistence: the class of the year
before. :mod:`crime_assets.london.published` has the figures that the study printed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crime_assets import DataError
from crime_assets.lsoa.clusters import clusters, trends
from crime_assets.lsoa.labels import LABELS, bivariate, is_hotspot, tiers

if TYPE_CHECKING:
    import pandas as pd

LABEL_YEAR = 2024
FIRST_YEAR = 2011
PAIR = ("THEFT FROM THE PERSON", "VIOLENCE WITH INJURY")
"""The two types of the nine classes."""

RECENT_YEARS = 3
TREES = 100
SEED = 42
TEST_SHARE = 0.2
STRATIFIED = frozenset({"bivariate"})
"""The labels whose classes the study drew in proportion; the others it drew from all areas."""
SHOWN_IMPORTANCES = 15

RANDOM = "random split"
TIME = "split in time"
PERSISTENCE = "persistence"
METHODS = (RANDOM, TIME, PERSISTENCE)


@dataclass(frozen=True)
class Panel:
    """Crimes of n areas: ``crimes`` (n, years, types), with areas, years and types in order.

    ``area_km2`` (n,) is their size. ``lines`` (n, types) says from how many published lines a count
    was summed, at least 1: see :meth:`densities`.
    """

    areas: NDArray[np.str_]
    area_km2: NDArray[np.float64]
    years: tuple[int, ...]
    types: tuple[str, ...]
    crimes: NDArray[np.int64]
    lines: NDArray[np.int64]

    def densities(self, year: int) -> NDArray[np.float64]:
        """Crimes / km² / year (n, types).

        Where a type was published in two lines for an area, the study's pivot takes their mean and
        its total their sum. So do this and :meth:`total`.
        """
        counts = self.crimes[:, self._at(year)] / self.lines
        return np.asarray(counts / self.area_km2[:, None])

    def density_of(self, crime_type: str, year: int) -> NDArray[np.float64]:
        """Crimes of one type / km² / year (n,)."""
        if crime_type not in self.types:
            raise DataError(f"no type {crime_type!r}; there are {', '.join(self.types)}")
        return self.densities(year)[:, self.types.index(crime_type)]

    def total(self, year: int) -> NDArray[np.float64]:
        """Crimes of all types / km² / year (n,)."""
        return np.asarray(self.crimes[:, self._at(year)].sum(axis=1) / self.area_km2)

    def _at(self, year: int) -> int:
        if year not in self.years:
            raise DataError(
                f"no year {year}; complete are {', '.join(map(str, self.years))}: a year needs "
                "twelve months in the two MPS files together"
            )
        return self.years.index(year)


def panel(table: pd.DataFrame, area_km2: pd.Series) -> Panel:
    """The panel of a full grid with ``lsoa21cd``, ``year``, ``crime_type``, ``crimes``, ``lines``.

    ``area_km2`` has the size of each area by its code. Raises :class:`crime_assets.DataError` where
    a combination is missing or stands twice, or an area has no size.
    """
    keys = ["lsoa21cd", "year", "crime_type"]
    ordered = table.sort_values(keys)
    areas, years, types = (np.unique(ordered[key].to_numpy()) for key in keys)
    shape = (len(areas), len(years), len(types))
    if len(ordered) != np.prod(shape) or ordered.duplicated(keys).any():
        raise DataError(
            f"{len(ordered):,} rows, but {shape[0]:,} areas x {shape[1]} years x {shape[2]} types "
            f"are {np.prod(shape):,}: the grid is not whole; materialise mps_lsoa_years again"
        )
    sizes = area_km2.reindex(areas).to_numpy(dtype=float)
    if not (sizes > 0).all():
        raise DataError(
            f"{int((~(sizes > 0)).sum()):,} areas have no size, {areas[~(sizes > 0)][0]} for one: "
            "the boundaries are not those of the crimes"
        )
    lines = ordered["lines"].to_numpy().reshape(shape).max(axis=1)
    return Panel(
        areas=areas.astype(str),
        area_km2=sizes,
        years=tuple(int(year) for year in years),
        types=tuple(str(name) for name in types),
        crimes=ordered["crimes"].to_numpy(dtype=np.int64).reshape(shape),
        lines=np.maximum(lines, 1),
    )


def flags(yearly: ArrayLike) -> dict[str, NDArray[np.int64]]:
    """The study's three flags of the clusters of the years (n, years), from the earliest on.

    Unlike :func:`crime_assets.lsoa.clusters.trends`, stable areas are increasing too.
    """
    found = trends(yearly)
    return {
        "Is_Increasing": (found["increasing"] | found["stable"]).astype(np.int64),
        "Is_Stable": found["stable"].astype(np.int64),
        "Is_Decreasing": found["decreasing"].astype(np.int64),
    }


def features(panel: Panel, last_year: int, first_year: int = FIRST_YEAR) -> pd.DataFrame:
    """What is known of each area at the end of ``last_year``: a row an area, named as in the study.

    Clusters of the last three years, their flags, the cluster of the mean densities since
    ``first_year``; densities of each type; total densities, their mean and change. With 27 types
    these are 39 columns. Their order is that in which the study's merges leave them: a forest with
    a seed depends on it. Raises :class:`crime_assets.DataError` where a year is not there.
    """
    import pandas as pd

    recent = range(last_year - RECENT_YEARS + 1, last_year + 1)
    yearly = {f"Cluster_{year}": clusters(panel.densities(year)) for year in recent}
    mean = np.mean([panel.densities(y) for y in range(first_year, last_year + 1)], axis=0)
    by_type = zip(panel.types, panel.densities(last_year).T, strict=True)
    totals = {f"Total_Density_{year}": panel.total(year) for year in recent}
    levels = list(totals.values())
    columns = {
        **yearly,
        **flags(np.column_stack(list(yearly.values()))),
        "Cluster_Static": clusters(mean),
        **{f"{last_year}_Crime_Density_{name}": density for name, density in by_type},
        **totals,
        f"density_avg_{RECENT_YEARS}yr": np.mean(levels, axis=0),
        f"density_change_{RECENT_YEARS}yr": levels[-1] - levels[0],
    }
    return pd.DataFrame(columns, index=pd.Index(panel.areas, name="lsoa21cd"))


def labels(panel: Panel, year: int, pair: tuple[str, str] = PAIR) -> dict[str, NDArray[np.int64]]:
    """The three labels of the areas (n,) in a year, as positions among their classes."""
    total = panel.total(year)
    nine = bivariate(*(panel.density_of(name, year) for name in pair))
    return {
        "is_hotspot": is_hotspot(total).astype(np.int64),
        "tier": tiers(total),
        "bivariate": np.searchsorted(LABELS["bivariate"], nine),
    }


@dataclass(frozen=True)
class Verdict:
    """How good one method is for one label.

    ``rows`` is ``test`` (the areas that the random split holds out, for each method the same) or
    ``all``. ``confusion`` (classes, classes) has the truth in rows. ``auc`` (classes,) is that of
    each class against the rest, nan where a class is empty; persistence has no scores and none.
    F1 is 0 for a class that is never foretold, and counts no class that is neither there nor
    foretold.
    """

    label: str
    method: str
    rows: str
    areas: int
    accuracy: float
    weighted_f1: float
    macro_f1: float
    confusion: NDArray[np.int64]
    auc: tuple[float, ...] = ()


@dataclass(frozen=True)
class Study:
    """What the study finds of one panel and one label year.

    ``importances`` maps each label to the mean decrease of impurity by feature, the largest first,
    of the forest of the random split. ``predictions`` has a row for each label and area: the class
    that it then had (``observed``), what each method said, ``held_out`` (whether the random split
    had the area among its test areas) and ``in_sample``: what a forest says of the very rows that
    it was fitted on, as on the study's maps. ``clusters`` has a column for each year, and
    ``static``; ``totals`` has the total densities by which one may put them in order.
    """

    label_year: int
    first_year: int
    pair: tuple[str, str]
    features: pd.DataFrame
    verdicts: tuple[Verdict, ...]
    importances: dict[str, pd.Series]
    predictions: pd.DataFrame
    clusters: pd.DataFrame
    totals: pd.DataFrame

    def verdict(self, label: str, method: str, rows: str = "test") -> Verdict:
        """The verdict on a method; raises ``KeyError`` where there is none."""
        for found in self.verdicts:
            if (found.label, found.method, found.rows) == (label, method, rows):
                return found
        raise KeyError((label, method, rows))


def run_study(
    panel: Panel,
    label_year: int = LABEL_YEAR,
    first_year: int = FIRST_YEAR,
    pair: tuple[str, str] = PAIR,
) -> Study:
    """Fit the forests of the three labels and judge them, by all of :data:`METHODS`.

    The random split and persistence see features up to ``label_year - 1``. The split in time fits
    features up to ``label_year - 2`` on the labels of ``label_year - 1``, so it needs the five
    years up to ``label_year``. Takes some ten seconds for 4,990 areas of 27 types.
    """
    import pandas as pd

    known, known_before = (features(panel, label_year - ago, first_year) for ago in (1, 2))
    truth, truth_before = (labels(panel, label_year - ago, pair) for ago in (0, 1))
    x, x_before = known.to_numpy(dtype=float), known_before.to_numpy(dtype=float)
    everything = np.arange(len(x))

    verdicts, importances, predictions = [], {}, []
    for label, classes in LABELS.items():
        y, y_before = truth[label], truth_before[label]
        train, test = random_split(y, stratified=label in STRATIFIED)
        drawn = _fitted(x[train], y[train])
        in_sample = _fitted(x, y)
        in_time = _fitted(x_before, y_before)
        says = {
            RANDOM: _probabilities(drawn, x, len(classes)),
            TIME: _probabilities(in_time, x, len(classes)),
            PERSISTENCE: None,
        }
        foretold = {
            RANDOM: drawn.predict(x),
            TIME: in_time.predict(x),
            PERSISTENCE: y_before,
        }
        for method in METHODS:
            for rows, at in (("test", test), ("all", everything)):
                if (method, rows) != (RANDOM, "all"):  # it was fitted on four fifths of them
                    scores = says[method]
                    verdicts.append(
                        _judged(
                            (label, method, rows),
                            y[at],
                            foretold[method][at],
                            None if scores is None else scores[at],
                        )
                    )
        importance = pd.Series(drawn.feature_importances_, index=known.columns)
        importances[label] = importance.sort_values(ascending=False, kind="stable")
        names = np.array(classes)
        predictions.append(
            pd.DataFrame(
                {
                    "label": label,
                    "lsoa21cd": panel.areas,
                    "observed": names[y],
                    **{method.replace(" ", "_"): names[foretold[method]] for method in METHODS},
                    "in_sample": names[in_sample.predict(x)],
                    "held_out": np.isin(everything, test),
                }
            )
        )
    history = range(first_year, label_year)
    totals = pd.DataFrame({str(year): panel.total(year) for year in history}, index=known.index)
    return Study(
        label_year=label_year,
        first_year=first_year,
        pair=pair,
        features=known,
        verdicts=tuple(verdicts),
        importances=importances,
        predictions=pd.concat(predictions, ignore_index=True),
        clusters=pd.DataFrame(
            {str(year): clusters(panel.densities(year)) for year in history}
            | {"static": known["Cluster_Static"].to_numpy()},
            index=known.index,
        ),
        totals=totals.assign(static=totals.mean(axis=1)),
    )


def random_split(y: ArrayLike, *, stratified: bool) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Positions of the areas to fit and to test on, as the study's seed draws them.

    Without ``stratified`` they depend on the number of areas alone. Raises
    :class:`crime_assets.DataError` where a class is too small to be drawn in proportion.
    """
    from sklearn.model_selection import train_test_split

    y = np.asarray(y)
    try:
        train, test = train_test_split(
            np.arange(len(y)),
            test_size=TEST_SHARE,
            random_state=SEED,
            stratify=y if stratified else None,
        )
    except ValueError as error:
        raise DataError(f"the areas cannot be split in proportion: {error}") from error
    return train, test


def _fitted(x: NDArray[np.float64], y: NDArray[np.int64]) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    # two jobs grow the same trees as one
    return RandomForestClassifier(n_estimators=TREES, random_state=SEED, n_jobs=2).fit(x, y)


def _probabilities(model: Any, x: NDArray[np.float64], classes: int) -> NDArray[np.float64]:
    """(n, classes), nought for classes that the model has never seen."""
    whole = np.zeros((len(x), classes))
    whole[:, model.classes_] = model.predict_proba(x)
    return whole


def _judged(
    name: tuple[str, str, str],
    truth: NDArray[np.int64],
    foretold: NDArray[np.int64],
    scores: NDArray[np.float64] | None,
) -> Verdict:
    from sklearn import metrics

    classes = range(len(LABELS[name[0]]))
    weighted, macro = (
        float(metrics.f1_score(truth, foretold, average=mean, zero_division=0))
        for mean in ("weighted", "macro")
    )
    return Verdict(
        *name,
        areas=len(truth),
        accuracy=float(np.mean(truth == foretold)),
        weighted_f1=weighted,
        macro_f1=macro,
        confusion=metrics.confusion_matrix(truth, foretold, labels=list(classes)),
        auc=() if scores is None else tuple(_auc(truth == c, scores[:, c]) for c in classes),
    )


def _auc(inside: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(inside, scores)) if 0 < inside.sum() < len(inside) else np.nan
