"""Pictures of how good a classifier of areas is, drawn with Matplotlib.

Each is a function that returns a figure. Of two classes only the second has a curve, since that of
the first is its mirror; up to four share a panel; more have a panel each, since nine lines that
cross cannot be told apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crime_assets.classification.scoring import bins_of, confusion
from crime_assets.forecasting.report import OKABE_ITO
from crime_assets.hexes.pictures import INK

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SPLIT_TITLES = {
    "time": "next year",
    "force": "other forces",
    "space": "other places",
    "random": "random parts (optimistic)",
}
"""Splits in the order in which they are shown: the honest ones first."""

TOP_FEATURES = 15

_GRID = "#c4beb4"
_SOFT = "#77716a"
_MARKERS = ("o", "s", "^", "D", "v", "P")
_MOST_POINTS = 400
"""On a curve: more cannot be seen, and make a picture slow."""

_Curve = Callable[["Axes", int, str, dict[str, Any]], None]


def confusion_matrix(
    truth: ArrayLike, predicted: ArrayLike, titles: Sequence[str], title: str = ""
) -> Figure:
    """True classes (rows) by predicted ones (columns): counts, and shares of the row as colour.

    ``truth`` and ``predicted`` (n,) are positions of classes, ``titles`` (k,) what they are called.
    A cell of nought is left empty; the diagonal is framed.
    """
    import matplotlib as mpl
    from matplotlib.patches import Rectangle

    k = len(titles)
    cells = confusion(truth, predicted, k)
    rows = cells.sum(axis=1, keepdims=True)
    shares = np.divide(cells, rows, out=np.zeros(cells.shape), where=rows > 0)
    side = {2: 1.15, 3: 1.0, 4: 0.92}.get(k, 0.68)
    drawn, axes = _figure((1.9 + side * k, 1.5 + 0.72 * side * k), title)
    axes.imshow(shares, cmap=mpl.colormaps["Blues"], vmin=0, vmax=1, aspect="auto")
    size = 8.5 if k <= 4 else 7
    for i, j in np.argwhere(cells > 0):
        colour = "white" if shares[i, j] > 0.55 else INK
        words = f"{cells[i, j]:,}\n{_percent(shares[i, j])}"
        axes.text(j, i, words, ha="center", va="center", fontsize=size, color=colour)
    for i in range(k):
        axes.add_patch(Rectangle((i - 0.5, i - 0.5), 1, 1, fill=False, ec=INK, lw=1.2, zorder=3))
    axes.set_xticks(range(k), _wrapped(titles), rotation=0)
    axes.set_yticks(
        range(k), [f"{name} ({n:,})" for name, n in zip(titles, rows[:, 0], strict=True)]
    )
    axes.set(xlabel="predicted", ylabel="what it then was (areas)")
    axes.set_xticks(np.arange(k - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(k - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    _plain(axes)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return drawn


def roc_curves(
    truth: ArrayLike, probabilities: ArrayLike, titles: Sequence[str], title: str = ""
) -> Figure:
    """Share of the class found over share of the others wrongly taken, with the area under it.

    ``truth`` (n,) are positions of classes, ``probabilities`` (n, k), ``titles`` (k,). Classes that
    no area or every area has have no curve.
    """
    from sklearn.metrics import auc, roc_curve

    truth, probabilities = np.asarray(truth), np.asarray(probabilities)

    def draw(axes: Axes, c: int, name: str, style: dict[str, Any]) -> None:
        wrong, found, _ = roc_curve(truth == c, probabilities[:, c])
        label = f"{name}AUC {auc(wrong, found):.3f}"
        axes.plot(*_thinned(100 * wrong, 100 * found), label=label, **style)

    drawn, panels = _by_class(truth, titles, title, draw, "lower right")
    for axes in panels:
        axes.plot([0, 100], [0, 100], color=_GRID, linewidth=0.9, zorder=1)
        axes.set(xlim=(0, 100), ylim=(0, 101))
    _axis_titles(drawn, panels, "of the other areas, % wrongly taken", "of the class, % found")
    return drawn


def precision_recall_curves(
    truth: ArrayLike, probabilities: ArrayLike, titles: Sequence[str], title: str = ""
) -> Figure:
    """Share of those taken that have the class over share of the class found.

    The legend has the average precision and the base rate: the share of areas that have the class,
    which is what a choice by lot reaches (dotted). Arguments as in :func:`roc_curves`.
    """
    from sklearn.metrics import average_precision_score, precision_recall_curve

    truth, probabilities = np.asarray(truth), np.asarray(probabilities)

    def draw(axes: Axes, c: int, name: str, style: dict[str, Any]) -> None:
        own, score = truth == c, probabilities[:, c]
        precision, recall, _ = precision_recall_curve(own, score)
        label = f"{name}AP {average_precision_score(own, score):.2f}, base {own.mean():.2f}"
        axes.plot(*_thinned(100 * recall, 100 * precision), label=label, **style)
        axes.axhline(100 * own.mean(), color=style["color"], linestyle=":", linewidth=1, zorder=1)

    drawn, panels = _by_class(truth, titles, title, draw, "lower left")
    for axes in panels:
        axes.set(xlim=(0, 100), ylim=(0, 101))
    _axis_titles(drawn, panels, "of the class, % found", "of those taken, % that have it")
    return drawn


def calibration_curves(
    truth: ArrayLike, probabilities: ArrayLike, titles: Sequence[str], title: str = ""
) -> Figure:
    """How often the class came over how probable it was said to be, in 10 bins of equal numbers.

    Bars show how the probabilities are spread, each as a share of the areas, on the scale of the
    axis. On the line said and came agree; below it too much was said. More than two classes have a
    panel each. Arguments as in :func:`roc_curves`.
    """
    truth, probabilities = np.asarray(truth), np.asarray(probabilities)
    edges = np.linspace(0, 1, 21)

    def draw(axes: Axes, c: int, name: str, style: dict[str, Any]) -> None:
        said, came = probabilities[:, c], truth == c
        bins = bins_of(said)
        n = np.bincount(bins)
        mean, share = (np.bincount(bins, weights=each) / n for each in (said, came))
        spread = np.histogram(said, edges)[0] / len(said)
        axes.stairs(
            100 * spread, 100 * edges, color=style["color"], alpha=0.45, fill=True, zorder=1
        )
        gap = float(np.abs(n * (mean - share)).sum() / len(said))
        label = f"{name}mean gap {100 * gap:.1f} points"
        axes.plot(100 * mean, 100 * share, label=label, marker="o", markersize=4.5, **style)

    drawn, panels = _by_class(truth, titles, title, draw, "upper left", shared=2)
    for axes in panels:
        axes.plot([0, 100], [0, 100], color=_SOFT, linewidth=0.9, zorder=1)
        axes.set(xlim=(0, 100), ylim=(0, 101))
    _axis_titles(drawn, panels, "said to be probable, %", "came, %")
    return drawn


def importances(
    table: pd.DataFrame, titles: Mapping[str, str] | None = None, title: str = ""
) -> Figure:
    """The 15 features that matter most: what shuffling them costs, beside what the trees used.

    ``table`` has a row a feature: ``feature``, ``permutation`` (the score that is lost when the
    feature is shuffled; sorts the rows), and where there are such, ``spread`` (the standard
    deviation of ``permutation`` over shuffles) and ``impurity`` (shares that sum to 1 over all
    features). ``titles`` are readable names; others are made from the feature's name.
    """
    top = table.sort_values("permutation", ascending=False, kind="stable").head(TOP_FEATURES)
    has_impurity = "impurity" in top and top["impurity"].notna().any()
    y = np.arange(len(top))
    drawn, panels = _figure(
        (6.4 if has_impurity else 5.2, 1.2 + 0.27 * len(top)), title, 1, 1 + has_impurity,
        sharey=True,
    )  # fmt: skip
    axes, *other = np.ravel(panels)
    spread = top["spread"].to_numpy(dtype=float) if "spread" in top else np.zeros(len(top))
    axes.barh(
        y, top["permutation"], xerr=np.where(np.isfinite(spread), spread, 0), height=0.68,
        color=OKABE_ITO[0], error_kw={"ecolor": INK, "elinewidth": 1},
    )  # fmt: skip
    axes.set_yticks(y, [feature_title(name, titles) for name in top["feature"]])
    axes.set_ylim(len(top) - 0.5, -0.5)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_xlabel("score lost when shuffled")
    for axes_ in other:
        axes_.barh(y, 100 * top["impurity"], height=0.68, color=OKABE_ITO[4])
        axes_.set_xlabel("impurity, % of all features")
    for axes_ in (axes, *other):
        _plain(axes_)
        axes_.grid(axis="x", color=_GRID, alpha=0.4, linewidth=0.6)
        axes_.set_axisbelow(True)
        axes_.tick_params(axis="y", length=0)
    return drawn


def split_worth(table: pd.DataFrame, title: str = "") -> Figure:
    """What a split is worth: accuracy and macro F1 of each model under each way of holding out.

    ``table`` has a row a model, split and metric (``accuracy``, ``macro_f1``) of one scope and
    label: ``model``, ``split``, ``metric``, ``value``, ``low``, ``high``. Bars are 95 % intervals.
    The random split stands last and is grey behind: it is optimistic.
    """
    splits = [split for split in SPLIT_TITLES if (table["split"] == split).any()]
    models = list(dict.fromkeys(table["model"]))
    drawn, panels = _figure((6.4, 1.4 + 0.24 * len(splits) * (len(models) + 1)), title, 1, 2,
                            sharey=True)  # fmt: skip
    for axes, metric, name in zip(
        panels, ("accuracy", "macro_f1"), ("accuracy, %", "macro F1, %"), strict=True
    ):
        for m, model in enumerate(models):
            rows = table[(table["model"] == model) & (table["metric"] == metric)]
            rows = rows[rows["split"].isin(splits)]
            place = [splits.index(split) for split in rows["split"]]
            y = np.array(place) + (m - (len(models) - 1) / 2) * 0.8 / max(len(models), 1)
            values, low, high = (
                100 * rows[each].to_numpy(dtype=float) for each in ("value", "low", "high")
            )
            colour, marker = OKABE_ITO[m % len(OKABE_ITO)], _MARKERS[m % len(_MARKERS)]
            axes.hlines(y, low, high, color=colour, linewidth=1.6)
            axes.plot(values, y, marker, color=colour, markersize=5, label=model_title(model))
            for at, value in zip(y, values, strict=True):
                if math.isfinite(value):
                    axes.annotate(
                        f"{value:.1f}", (value, at), (0, 4), textcoords="offset points",
                        ha="center", va="bottom", fontsize=6.5, color=INK,
                    )  # fmt: skip
        for i, split in enumerate(splits):
            if split == "random":
                axes.axhspan(i - 0.5, i + 0.5, color=_GRID, alpha=0.3, linewidth=0)
            elif i:
                axes.axhline(i - 0.5, color=_GRID, linewidth=0.6)
        axes.set_yticks(range(len(splits)), [_wrap(SPLIT_TITLES[split]) for split in splits])
        axes.set_ylim(len(splits) - 0.5, -0.5)
        axes.set_xlabel(name)
        axes.margins(x=0.12)
        _plain(axes)
        axes.grid(axis="x", color=_GRID, alpha=0.4, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0)
    drawn.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center",
        ncols=max(len(models), 1), fontsize=7.5, frameon=False, labelcolor=INK,
    )  # fmt: skip
    return drawn


def model_title(model: str) -> str:
    """A model's name as words: ``random_forest`` is ``random forest``."""
    return model.replace("_", " ")


def feature_title(feature: str, titles: Mapping[str, str] | None = None) -> str:
    """A feature's name as words: the one it has in ``titles``, else made from its own."""
    words = (titles or {}).get(feature) or feature.replace("__", ": ").replace("_", " ")
    return words if len(words) <= 44 else f"{words[:43].rstrip()}…"


# --- What charts are made of ----------------------------------------------------------------


def _by_class(
    truth: NDArray,
    titles: Sequence[str],
    title: str,
    draw: _Curve,
    legend: str,
    shared: int = 4,
) -> tuple[Figure, list[Axes]]:
    """A panel for up to ``shared`` classes, else one for each; ``draw`` draws a class."""
    k = len(titles)
    classes = [1] if k == 2 else list(range(k))
    n = np.bincount(truth, minlength=k)
    there = [c for c in classes if 0 < n[c] < len(truth)]
    if k <= shared:
        drawn, axes = _figure((5.0, 4.4), title)
        for c in there:
            draw(axes, c, f"{titles[c]}: ", {"color": OKABE_ITO[c], "linewidth": 1.6, "zorder": 3})
        panels = [axes]
    else:
        columns = math.ceil(math.sqrt(k))
        lines = math.ceil(k / columns)
        side = 2.5 if columns > 2 else 3.1
        drawn, found = _figure(
            (side * columns, 0.94 * side * lines + 0.3),
            title,
            lines,
            columns,
            sharex=True,
            sharey=True,
        )
        panels = list(np.ravel(found))
        for axes in panels[k:]:
            axes.set_visible(False)
        panels = panels[:k]
        for c, axes in enumerate(panels):
            axes.set_title(f"{titles[c]} ({n[c]:,})", fontsize=8, color=INK)
            if c in there:
                draw(axes, c, "", {"color": OKABE_ITO[0], "linewidth": 1.6, "zorder": 3})
            else:
                axes.text(50, 50, "no such area", ha="center", fontsize=8, color=_SOFT)
    for axes in panels:
        _plain(axes)
        axes.grid(color=_GRID, alpha=0.4, linewidth=0.6)
        axes.set_axisbelow(True)
        if axes.get_legend_handles_labels()[0]:
            size = 7.5 if len(panels) == 1 else 7
            axes.legend(
                loc=legend, fontsize=size, labelcolor=INK, framealpha=0.85, edgecolor="none",
                handlelength=1.4, borderpad=0.3,
            )  # fmt: skip
    return drawn, panels


def _figure(
    size: tuple[float, float], title: str, rows: int = 1, columns: int = 1, **shared: Any
) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    drawn = Figure(figsize=size, dpi=90, layout="constrained", facecolor="white")
    axes = drawn.subplots(rows, columns, **shared)
    if title:
        drawn.suptitle(title, fontsize=9, color=INK)
    return drawn, axes


def _axis_titles(drawn: Figure, panels: Sequence[Axes], x: str, y: str) -> None:
    if len(panels) == 1:
        panels[0].set_xlabel(x, fontsize=8, color=INK)
        panels[0].set_ylabel(y, fontsize=8, color=INK)
    else:
        drawn.supxlabel(x, fontsize=8, color=INK)
        drawn.supylabel(y, fontsize=8, color=INK)


def _plain(axes: Axes) -> None:
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(_GRID)
    axes.tick_params(labelsize=8, colors=INK)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set(fontsize=8, color=INK)


def _thinned(x: NDArray, y: NDArray) -> tuple[NDArray, NDArray]:
    """At most so many points of a curve as can be seen, evenly along it, with both ends."""
    if len(x) <= _MOST_POINTS:
        return x, y
    along = np.r_[0, np.cumsum(np.hypot(np.diff(x), np.diff(y)))]
    at = np.searchsorted(along, np.linspace(0, along[-1], _MOST_POINTS))
    keep = np.unique(np.r_[0, np.minimum(at, len(x) - 1), len(x) - 1])
    return x[keep], y[keep]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 else "< 1 %"


def _wrapped(titles: Sequence[str]) -> list[str]:
    return [title.replace(" / ", " /\n") for title in titles]


def _wrap(text: str) -> str:
    return text.replace(" (", "\n(")
