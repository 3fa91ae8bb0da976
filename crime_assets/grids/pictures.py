"""The pictures of the grid study: metrics by method, curves, crime types, and cell sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crime_assets.forecasting.report import OKABE_ITO
from crime_assets.grids.judging import METRICS
from crime_assets.grids.methods import Method
from crime_assets.hexes.pictures import INK, heat

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KIND_COLOURS = {"rule": OKABE_ITO[0], "classifier": OKABE_ITO[2], "network": OKABE_ITO[1]}
_LINES = "#e4dfd6"
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
_STUDYS = ("f1", "aucpr", "auroc", "pai")
"""The four metrics that the study draws."""


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=7, colors=INK)
    axes.grid(color=_LINES, linewidth=0.6)
    axes.set_axisbelow(True)


def metric_picture(means: pd.DataFrame, methods: Mapping[str, Method], title: str) -> Figure:
    """The study's figure 4: each metric by method, with its interval; persistence as a line.

    ``means`` has a row for each method and metric: ``method``, ``metric``, ``value``, ``low`` and
    ``high``.
    """
    from matplotlib.figure import Figure

    names = [name for name in methods if (means["method"] == name).any()]
    figure = Figure(figsize=(9.6, 1.1 + 0.21 * len(names)), layout="constrained")
    panels = figure.subplots(1, len(METRICS), sharey=True)
    for axes, (metric, what) in zip(panels, METRICS.items(), strict=True):
        of_metric = means[means["metric"] == metric].set_index("method")
        if "persistence" in of_metric.index:
            level = float(of_metric.loc["persistence", "value"])
            axes.axvline(level, color=KIND_COLOURS["rule"], linewidth=0.8, linestyle="--")
        for y, name in enumerate(names):
            if name not in of_metric.index:
                continue
            row = of_metric.loc[name]
            colour = KIND_COLOURS[methods[name].kind]
            axes.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=1.4)
            axes.plot(row["value"], y, "o", color=colour, markersize=4)
        axes.set_title(what, fontsize=8, color=INK)
        _plain(axes)
    panels[0].set_yticks(range(len(names)), [methods[name].title for name in names])
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    figure.suptitle(f"{title}; dashed: persistence", fontsize=9, color=INK)
    _legend_of_kinds(figure, {methods[name].kind for name in names})
    return figure


def _legend_of_kinds(figure: Figure, kinds: set[str]) -> None:
    from matplotlib.lines import Line2D

    shown = {kind: colour for kind, colour in KIND_COLOURS.items() if kind in kinds}
    lines = [Line2D([], [], color=c, marker="o", markersize=4) for c in shown.values()]
    figure.legend(
        lines, list(shown), loc="outside lower center", ncols=3, fontsize=7, frameon=False
    )


def curve_picture(curves: pd.DataFrame, methods: Mapping[str, Method], title: str) -> Figure:
    """The study's figure 5: ROC and precision-recall curves, coloured by kind.

    ``curves`` has ``method``, ``curve``, ``x`` and ``y``. Persistence is dashed.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.2), layout="constrained")
    for axes, (curve, x, y) in zip(
        figure.subplots(1, 2),
        (("roc", "false positive rate", "true positive rate"), ("pr", "recall", "precision")),
        strict=True,
    ):
        of_curve = curves[curves["curve"] == curve]
        for name, method in methods.items():
            line = of_curve[of_curve["method"] == name]
            naive = name == "persistence"
            axes.plot(
                line["x"],
                line["y"],
                color=INK if naive else KIND_COLOURS[method.kind],
                linestyle="--" if naive else "-",
                linewidth=1.4 if naive else 0.9,
                alpha=1 if naive else 0.75,
                zorder=3 if naive else 2,
            )
        axes.set_xlabel(x, fontsize=8, color=INK)
        axes.set_ylabel(y, fontsize=8, color=INK)
        axes.set_xlim(-0.01, 1.01)
        _plain(axes)
    figure.suptitle(f"{title}; dashed: persistence", fontsize=9, color=INK)
    _legend_of_kinds(figure, {method.kind for method in methods.values()})
    return figure


def line_picture(
    means: pd.DataFrame,
    methods: Mapping[str, Method],
    along: str,
    title: str,
    metrics: Sequence[str] = _STUDYS,
) -> Figure:
    """The study's figures 6 and 7, and its table 4: metrics along crime types or cells.

    ``means`` is as in :func:`metric_picture` with ``along``, whose values stand on the x axis in
    the order in which they come.
    """
    from matplotlib.figure import Figure

    places = list(dict.fromkeys(means[along]))
    figure = Figure(figsize=(2.6 * max(2, len(metrics)), 3.4), layout="constrained")
    for axes, metric in zip(
        figure.subplots(1, len(metrics), squeeze=False)[0], metrics, strict=True
    ):
        for at, (name, method) in enumerate(methods.items()):
            of_method = means[(means["method"] == name) & (means["metric"] == metric)]
            of_place = of_method.drop_duplicates(along).set_index(along).reindex(places)
            x = np.arange(len(places)) + 0.5 * ((at + 0.5) / len(methods) - 0.5)
            value = of_place["value"].to_numpy(dtype=float)
            error = np.abs(of_place[["low", "high"]].to_numpy(dtype=float).T - value)
            axes.errorbar(
                x,
                value,
                np.nan_to_num(error),
                fmt=_MARKERS[at % len(_MARKERS)],
                color=[*OKABE_ITO, INK][at % (len(OKABE_ITO) + 1)],
                markersize=4,
                linewidth=1,
                label=method.title,
            )
        axes.set_xticks(range(len(places)), [str(place) for place in places])
        if along == "crime_type":
            axes.tick_params(axis="x", rotation=40)
        axes.set_title(METRICS[metric], fontsize=8, color=INK)
        _plain(axes)
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4, fontsize=7, frameon=False)
    figure.suptitle(title, fontsize=9, color=INK)
    return figure


def prediction_map(
    p: int,
    cells: NDArray[np.integer],
    probability: NDArray[np.floating],
    crimes: NDArray[np.floating],
    title: str,
) -> Figure:
    """What was said of the cells (n,) of a grid, and beside it the crimes (n,) that followed."""
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.4, 3.6), layout="constrained")
    for axes, values, what, norm in zip(
        figure.subplots(1, 2),
        (probability, crimes),
        ("probability of a crime", "crimes that followed"),
        (None, LogNorm(1, max(2.0, float(crimes.max(initial=0))))),
        strict=True,
    ):
        whole = np.full(p * p, np.nan)
        whole[cells] = values
        drawn = axes.imshow(
            np.ma.masked_invalid(np.where(whole > 0, whole, np.nan)).reshape(p, p),
            origin="lower",
            cmap=heat(),
            norm=norm,
            interpolation="nearest",
            **({} if norm else {"vmin": 0, "vmax": 1}),
        )
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(what, fontsize=8, color=INK)
        figure.colorbar(drawn, ax=axes, fraction=0.04).ax.tick_params(labelsize=7)
    figure.suptitle(title, fontsize=9, color=INK)
    return figure
