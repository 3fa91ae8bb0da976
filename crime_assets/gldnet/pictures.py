"""How a training went: loss and hit rate by epoch, and the trials of a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from crime_assets.forecasting.report import OKABE_ITO
from crime_assets.hexes.pictures import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRAINING, VALIDATION = OKABE_ITO[0], OKABE_ITO[1]
_GRID = "#e4dfd6"


def learning_curves(trainings: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Loss (left) and hit rate on a tenth of the street length (right) by epoch.

    ``trainings`` maps a crime type to what the program's results hold of it: ``epochs`` and
    ``kept_epoch``; each is a row of two panels. The epoch whose weights were kept is marked.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 2.5 * len(trainings)), layout="constrained")
    rows = figure.subplots(len(trainings), 2, squeeze=False)
    for (crime_type, training), (losses, rates) in zip(trainings.items(), rows, strict=True):
        epochs = training["epochs"]
        for axes, name, title in (
            (losses, "loss", "loss"),
            (rates, "hit_rate", "hit rate, 10 % of length"),
        ):
            _draw(axes, epochs, name, TRAINING, "training")
            _draw(axes, epochs, f"validation_{name}", VALIDATION, "validation")
            axes.axvline(training["kept_epoch"], color=INK, linewidth=0.8, linestyle=":")
            axes.set_title(f"{crime_type}: {title}", fontsize=8, color=INK, loc="left")
        losses.legend(fontsize=7, frameon=False)
        rates.axhline(0.1, color="#77716a", linewidth=0.8, linestyle="--")
        rates.set_ylim(0, 1)
    for axes in rows[-1]:
        axes.set_xlabel("epoch (dotted: kept)", fontsize=8)
    return figure


def _draw(axes: Axes, epochs: Sequence[Mapping[str, Any]], name: str, colour: str, label: str):  # type: ignore[no-untyped-def]
    """One line by epoch; an epoch without a figure is a gap."""
    x = [epoch["epoch"] for epoch in epochs]
    y = [float("nan") if epoch[name] is None else epoch[name] for epoch in epochs]
    axes.plot(x, y, color=colour, linewidth=1.4, marker="o", markersize=2.5, label=label)
    axes.tick_params(labelsize=7)
    axes.grid(color=_GRID, linewidth=0.6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def trials_picture(trials: Mapping[str, Sequence[tuple[int, float | None]]]) -> Figure:
    """The hit rate of each trial of a search (dots), and the best until then (line)."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7.2, 2.4), layout="constrained")
    axes = figure.subplots()
    for (crime_type, tried), colour in zip(trials.items(), OKABE_ITO, strict=False):
        done = [(trial, value) for trial, value in tried if value is not None]
        best, best_values = float("-inf"), []
        for _, value in done:
            best = max(best, value)
            best_values.append(best)
        x = [trial for trial, _ in done]
        axes.plot(x, [value for _, value in done], "o", color=colour, markersize=3, alpha=0.6)
        axes.step(x, best_values, where="post", color=colour, linewidth=1.4, label=crime_type)
    axes.set_xlabel("trial", fontsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel("validation hit rate, 10 % of length", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.grid(color=_GRID, linewidth=0.6)
    axes.legend(fontsize=7, frameon=False)
    return figure
