"""The leaderboard as one page that needs nothing but itself, and the pictures on it.

The page has its styles and pictures inside it and no scripts; it can be sent by mail, printed, or
served from anywhere. Each picture is a function that returns a Matplotlib figure.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from crime_assets.forecasting.counts import MONTH
from crime_assets.forecasting.forecasters import NAIVE_RULE
from crime_assets.forecasting.leaderboard import (
    BETTER,
    EQUAL,
    GROUP,
    METRIC_TITLES,
    TOO_FEW,
    WORSE,
    at_coverage,
    difference,
    figure,
    label,
    share,
    verdict_sentence,
)
from crime_assets.forecasting.leaderboard import skill_over_time as skill_of
from crime_assets.forecasting.metrics import LESS_IS_BETTER
from crime_assets.hexes.study_area import NATION, STUDY_AREA
from crime_assets.register import ALL_CRIME
from crime_assets.storage import Folder, atomic

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LICENCE = "Contains public sector information licensed under the Open Government Licence v3.0."

NATIONS = (NATION, STUDY_AREA)
"""Scopes that stand first; see docs/decisions/0009."""

PICTURED_SCOPES = 6
"""Scopes of a unit that have pictures; those of a whole nation would make a page of 30 MB."""

OKABE_ITO = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Told apart by people who do not see red or green: Okabe and Ito 2008, jfly.uni-koeln.de/color."""

_MARKERS = ("o", "s", "^", "D", "v", "P")
_OTHERS = "#c4beb4"
_BOUNDS = "#77716a"
_DPI = 144


class Described(Protocol):
    """What the report needs to know of a forecaster; every ``Forecaster`` has it."""

    @property
    def title(self) -> str:
        """What people call it."""

    @property
    def source(self) -> str:
        """Where it is described."""

    @property
    def role(self) -> str:
        """Floor, baseline, model or ceiling."""

    @property
    def limits(self) -> str:
        """What it cannot do."""


# --- The page -------------------------------------------------------------------------------


def write_report(
    folder: Folder,
    leaderboard: pd.DataFrame,
    evaluations: pd.DataFrame,
    models: Mapping[str, Described],
    provenance: Mapping[str, object],
    headline: tuple[str, float],
) -> Folder:
    """Write ``folder``/index.html and return its path; it links to the cards beside it.

    ``leaderboard`` is that of :func:`~crime_assets.forecasting.leaderboard.rank_models`,
    ``evaluations`` what it was made from; ``models`` are the forecasters by name; ``provenance`` is
    shown as it is given: release, data versions, cut-offs. ``headline`` is the metric and the
    coverage by which winners are named, such as ``("hit_rate", 0.05)``.
    """
    metric, coverage = headline
    at = _at(leaderboard, metric, coverage)
    parts = [_opening(at, metric, coverage)]
    numbers: dict[tuple[str, str], pd.DataFrame] = dict(
        iter(
            evaluations[evaluations["metric"].isin({*_PICTURED, metric})].groupby(
                _PLACE, observed=True
            )
        )
    )
    roles = {name: model.role for name, model in models.items()}
    for unit, of_unit in at.groupby("unit", sort=True, observed=True):
        scopes = nation_first(of_unit["scope"].unique())
        sections = []
        for i, scope in enumerate(scopes):
            rows = of_unit[of_unit["scope"] == scope]
            there = numbers.get((str(unit), scope), evaluations[:0])
            drawn = i < PICTURED_SCOPES
            inside = _winners(rows, metric) + _tables(rows, metric)
            if drawn:
                inside += _pictures(rows, there, roles, headline)
            name = _anchor(unit, scope)
            if i == 0:
                sections.append(
                    f'<section id="{name}"><h3>{_e(place_title(scope))}</h3>{inside}</section>'
                )
            else:
                sections.append(
                    f'<details id="{name}"><summary>{_e(place_title(scope))}</summary>{inside}'
                    "</details>"
                )
        if len(scopes) > PICTURED_SCOPES:
            sections.append(
                f'<p class="note">The first {PICTURED_SCOPES} places have pictures, the others '
                "tables alone.</p>"
            )
        parts.append(
            f'<section id="{_anchor(unit)}"><h2>{_e(UNIT_TITLES.get(str(unit), str(unit)))}</h2>'
            f"{''.join(sections)}</section>"
        )
    parts += [_forecasters(models), _how_to_read(metric, coverage), _provenance(provenance)]
    path = folder / "index.html"
    with atomic(path) as temporary:
        temporary.write_text(page("Which forecast finds next month's crimes?", "\n".join(parts)))
    return path


UNIT_TITLES = {
    "hex": "Hexagons of 200 m",
    "lsoa": "Neighbourhoods (LSOA)",
    "segment": "Street segments",
    "equal-segment": "Street segments, by their number",
    "square": "Grid squares",
}

_NUMBERS = (
    "rank", "value", "low", "high", "tie_best", "tie_worst", "difference", "difference_low",
    "difference_high",
)  # fmt: skip
_PLACE = ["unit", "scope"]
_PICTURED = ("hit_rate", "expected_crimes", "crimes")


def _at(leaderboard: pd.DataFrame, metric: str, coverage: float) -> pd.DataFrame:
    # numbers with nan, whether they were nullable before or come from a database
    numbers = leaderboard.astype({"coverage": "float64"})
    return at_coverage(numbers, metric, coverage).astype(dict.fromkeys(_NUMBERS, "float64"))


def nation_first(scopes: Iterable[object]) -> list[str]:
    """Scopes by name, the nation before all others."""
    return sorted(map(str, scopes), key=lambda scope: (scope not in NATIONS, scope))


def _horizons(rows: pd.DataFrame) -> list[tuple[str, int]]:
    found = rows[["step", "horizon_steps"]].drop_duplicates().itertuples(index=False)
    return sorted(((str(step), int(steps)) for step, steps in found), reverse=False, key=_length)


def _length(horizon: tuple[str, int]) -> tuple[int, int]:
    return (horizon[0] == MONTH, horizon[1])


def next_steps(step: str, horizon: int) -> str:
    """A horizon as people say it: ``next month``, ``next 3 months``, ``next 7 days``."""
    return f"next {step}" if horizon == 1 else f"next {horizon} {step}s"


def place_title(scope: str) -> str:
    """``avon-and-somerset`` as people write it."""
    words = scope.replace("-", " ").split()
    return " ".join(w if w in ("and", "of", "the") else w[0].upper() + w[1:] for w in words)


def _anchor(*names: object) -> str:
    text = "-".join(str(name) for name in names).lower()
    return "".join(c if c.isascii() and (c.isalnum() or c == "-") else "_" for c in text)


def _e(text: object) -> str:
    return escape(str(text), quote=True)


def _of(rows: pd.DataFrame, crime_type: str, step: str, horizon: int) -> pd.DataFrame:
    return rows[
        (rows["crime_type"] == crime_type)
        & (rows["step"] == step)
        & (rows["horizon_steps"] == horizon)
    ]


def _crime_types(rows: pd.DataFrame) -> list[str]:
    """All crime first."""
    return sorted(rows["crime_type"].astype(str).unique(), key=lambda t: (t != ALL_CRIME, t))


def _opening(at: pd.DataFrame, metric: str, coverage: float) -> str:
    """What won, in sentences, one card for each unit and horizon."""
    cards, links = [], []
    for unit, of_unit in at.groupby("unit", sort=True, observed=True):
        scopes = nation_first(of_unit["scope"].unique())
        rows = of_unit[of_unit["scope"] == scopes[0]]
        crime_type = _crime_types(rows)[0]
        for step, horizon in _horizons(rows):
            group = _of(rows, crime_type, step, horizon)
            if len(group):
                cards.append(
                    f'<li class="card"><p class="eyebrow">{_e(place_title(scopes[0]))} · '
                    f"{_e(UNIT_TITLES.get(str(unit), str(unit)))} · {_e(crime_type)} · "
                    f"{_e(next_steps(step, horizon))}</p>"
                    f"<p>{_e(verdict_sentence(group))}</p></li>"
                )
        places = " ".join(
            f'<a href="#{_anchor(unit, scope)}">{_e(place_title(scope))}</a>' for scope in scopes
        )
        links.append(
            f'<p><a href="#{_anchor(unit)}"><strong>{_e(UNIT_TITLES.get(str(unit), str(unit)))}'
            f"</strong></a>: {places}</p>"
        )
    word = METRIC_TITLES.get(metric, metric)
    return (
        "<header><h1>Which forecast finds next month’s crimes?</h1>"
        '<p class="lead">Every forecaster was given recorded crimes up to a month, said where the '
        "next ones would be, and was judged by what was then recorded. "
        f"This page ranks them by {_e(word)} at {_e(share(coverage))} coverage. "
        '<a href="#how-to-read">How to read this</a></p></header>'
        + (f'<ul class="cards">{"".join(cards)}</ul>' if cards else "<p>Nothing is ranked yet.</p>")
        + (f'<nav aria-label="Places">{"".join(links)}</nav>' if links else "")
    )


_MARKS = {BETTER: "●", WORSE: "▼", EQUAL: "○", TOO_FEW: "·"}
_SAID = {
    BETTER: "real",
    WORSE: "really worse",
    EQUAL: "may be chance",
    TOO_FEW: "too few cut-offs",
}


def _verdict(verdict: object) -> str:
    """A sign and words: colour alone says nothing."""
    if not isinstance(verdict, str):
        return '<span class="v none">not compared</span>'
    kind = {BETTER: "real", WORSE: "worse", EQUAL: "chance"}.get(verdict, "few")
    return (
        f'<span class="v {kind}"><span aria-hidden="true">{_MARKS.get(verdict, "·")}</span> '
        f"{_e(_SAID.get(verdict, verdict))}</span>"
    )


def _winners(rows: pd.DataFrame, metric: str) -> str:
    """Crime types x horizons: the best forecaster, its value, and its margin."""
    horizons = _horizons(rows)
    head = "".join(f'<th scope="col">{_e(next_steps(*horizon))}</th>' for horizon in horizons)
    first = rows[rows["rank"] == 1].drop_duplicates(subset=[*GROUP])
    best = {
        (str(row.crime_type), str(row.step), int(row.horizon_steps)): row
        for row in first.itertuples(index=False)
    }
    lines = []
    for crime_type in _crime_types(rows):
        cells = []
        for horizon in horizons:
            row = best.get((crime_type, *horizon))
            if row is None:
                cells.append("<td>–</td>")
                continue
            margin = difference(metric, row.difference)
            beaten = (
                f"{margin} against {label(row.against)}" if isinstance(row.against, str) else ""
            )
            kind = "win" if row.verdict == BETTER else "draw"
            cells.append(
                f'<td class="{kind}"><strong>{_e(label(row.model))}</strong> '
                f'<span class="num">{_e(figure(metric, row.value))}</span>'
                f"<small>{_e(beaten)} {_verdict(row.verdict)}</small>"
                f"{_over_naive(metric, row)}</td>"
            )
        lines.append(f'<tr><th scope="row">{_e(crime_type)}</th>{"".join(cells)}</tr>')
    return (
        '<div class="scroll" tabindex="0"><table class="winners"><caption><span class="cap">'
        "Winners: the forecaster with the best "
        f"{_e(METRIC_TITLES.get(metric, metric))}, and its margin over the best other "
        f'baseline</span></caption><thead><tr><th scope="col">Crime type</th>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _over_naive(metric: str, row: Any) -> str:
    """How far a row is ahead of the naive rule, and whether that is real."""
    if not math.isfinite(row.naive_difference) or row.against == NAIVE_RULE:
        return ""  # there is no such difference, or it was said already
    ahead = f"{difference(metric, row.naive_difference)} against {label(NAIVE_RULE)}"
    return f"<small>{_e(ahead)} {_verdict(row.naive_verdict)}</small>"


def _tables(rows: pd.DataFrame, metric: str) -> str:
    """The full leaderboard of all crime, a table for each horizon."""
    crime_type = _crime_types(rows)[0]
    return "".join(
        _table(_of(rows, crime_type, *horizon), metric, f"{crime_type}, {next_steps(*horizon)}")
        for horizon in _horizons(rows)
        if len(_of(rows, crime_type, *horizon))
    )


def _apart(
    metric: str, value: float, low: float, high: float, verdict: object, contends: bool
) -> str:
    """A difference, and below it its interval and, for what contends, the verdict."""
    if not math.isfinite(value):
        return "–"
    below = _interval(metric, low, high) if math.isfinite(low) else ""
    if contends:
        below = f"{below} {_verdict(verdict)}"
    return f"{difference(metric, value)}<br><small>{below}</small>"


def _table(group: pd.DataFrame, metric: str, title: str) -> str:
    contenders = group[group["rank"].notna()]
    scale = _Scale.of(contenders)
    lines = []
    for row in group.itertuples(index=False):
        place = f"{row.rank:.0f}" if math.isfinite(row.rank) else "–"
        contends = row.role in ("baseline", "model")
        apart = _apart(
            metric, row.difference, row.difference_low, row.difference_high, row.verdict, contends
        )
        naively = _apart(
            metric, row.naive_difference, row.naive_low, row.naive_high, row.naive_verdict, contends
        )
        ties = "–"
        if math.isfinite(row.tie_worst) and math.isfinite(row.tie_best):
            low, high = sorted((row.tie_worst, row.tie_best))
            ties = _interval(metric, low, high, signed=False)
        bounds = "" if contends else ' class="bound"'
        lines.append(
            f'<tr{bounds}><td class="num">{place}</td>'
            f'<th scope="row">{_e(label(row.model))} <span class="role {_e(row.role)}">'
            f"{_e(row.role)}</span></th>"
            f'<td class="num">{_e(figure(metric, row.value))}'
            + (
                f"<br><small>{_interval(metric, row.low, row.high, signed=False)}</small>"
                if math.isfinite(row.low)
                else ""
            )
            + f"</td><td>{scale.draw(row) if scale else ''}</td>"
            f'<td class="num">{apart}</td>'
            f'<td class="num">{naively}</td>'
            f'<td class="num ties">{ties}</td></tr>'
        )
    first = group.iloc[0]
    baseline = contenders["against"].mode()
    against = " “To baseline” is the difference to the best other baseline" + (
        f", for most {label(str(baseline.iloc[0]))}." if len(baseline) else "."
    )
    span = (
        f"{int(first['cut_offs'])} cut-offs, {first['first_cut_off']} to {first['last_cut_off']}."
        if isinstance(first["first_cut_off"], str)
        else "No common cut-offs."
    )
    axis = f"{figure(metric, scale.low)} to {figure(metric, scale.high)}" if scale else ""
    return (
        f'<div class="scroll" tabindex="0"><table class="board"><caption><span class="cap">'
        f"{_e(title)} "
        f'<span class="sub">{_e(span)}{_e(against)}</span></span></caption>'
        '<thead><tr><th scope="col" class="num">Rank</th><th scope="col">Forecaster</th>'
        f'<th scope="col" class="num">{_e(METRIC_TITLES.get(metric, metric).capitalize())}</th>'
        f'<th scope="col"><small>{_e(axis)}</small></th>'
        '<th scope="col" class="num">To baseline</th>'
        f'<th scope="col" class="num">To {_e(label(NAIVE_RULE))}</th>'
        '<th scope="col" class="num ties">By ties</th></tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _interval(metric: str, low: float, high: float, *, signed: bool = True) -> str:
    if signed:
        ends = [difference(metric, end).removesuffix(" points") for end in (low, high)]
    else:
        ends = [figure(metric, end).removesuffix(" %") for end in (low, high)]
    return _e(f"{ends[0]} to {ends[1]}")


class _Scale:
    """Draws a dot and its interval into a table's cell, on one scale for all rows."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    @classmethod
    def of(cls, rows: pd.DataFrame) -> _Scale | None:
        numbers = rows[["value", "low", "high"]].to_numpy(dtype=float, na_value=np.nan).ravel()
        numbers = numbers[np.isfinite(numbers)]
        if not len(numbers) or numbers.min() == numbers.max():
            return None
        return cls(float(numbers.min()), float(numbers.max()))

    def _x(self, value: float) -> float:
        return 4 + 132 * (value - self.low) / (self.high - self.low)

    def draw(self, row: object) -> str:
        """An SVG, hidden from readers of the screen since the numbers stand beside it."""
        value, low, high = (float(getattr(row, name)) for name in ("value", "low", "high"))
        shapes = ""
        if self.low <= low and high <= self.high:
            shapes += f'<line x1="{self._x(low):.1f}" x2="{self._x(high):.1f}" y1="9" y2="9"/>'
        if self.low <= value <= self.high:
            shapes += f'<circle cx="{self._x(value):.1f}" cy="9" r="4"/>'
        elif math.isfinite(value):
            left = value < self.low
            points = "2,9 9,4 9,14" if left else "138,9 131,4 131,14"
            shapes += f'<polygon points="{points}"/>'
        return (
            '<svg class="dot" viewBox="0 0 140 18" width="84" height="18" aria-hidden="true">'
            f"{shapes}</svg>"
        )


def _forecasters(models: Mapping[str, Described]) -> str:
    lines = "".join(
        f'<tr><th scope="row"><a href="cards/{_e(name)}.html">{_e(label(name))}</a></th>'
        f"<td>{_e(model.title)} "
        f'<span class="role {_e(model.role)}">{_e(model.role)}</span></td>'
        f"<td>{_e(model.source)}</td><td>{_e(model.limits)}</td></tr>"
        for name, model in models.items()
    )
    return (
        '<section id="forecasters"><h2>The forecasters</h2><div class="scroll" tabindex="0"><table>'
        '<caption><span class="cap">What was compared, where it is described, and what it cannot do'
        "</span></caption>"
        '<thead><tr><th scope="col">Name</th><th scope="col">What it is</th>'
        '<th scope="col">Source</th><th scope="col">Limits</th></tr></thead>'
        f"<tbody>{lines}</tbody></table></div></section>"
    )


_MEANINGS = {
    "Hit rate": "the share of the crimes that fell in the area which the forecast called hottest. "
    "At 5 % coverage a forecast by lot has 5 %.",
    "PAI": "hit rate / coverage (Chainey, Tompson and Uhlig 2008): how many times as dense crimes "
    "are there as in the whole area.",
    "PEI*": "hit rate / the best hit rate that was possible in an area of that size (Hunt 2016; "
    "Drawve and Wooditch 2019). It makes crime types comparable.",
    "Recapture rate index": "crimes in the hot area after / before the cut-off, each as a share of "
    "all (Levine 2008). 1 says that the area stayed as hot as it was.",
    "F1": "the harmonic mean of precision and recall of “this unit will have a crime”.",
    "AUROC, AUCPR": "how well the whole ranking separates units with a crime from those without.",
    "Brier score, Poisson deviance": "how far the expected crimes were from the recorded ones. "
    "Less is better.",
    "Jaccard, Spearman, rank-biased overlap": "how stable a ranking is from one cut-off to the "
    "next. Stable is not yet right.",
}


def _how_to_read(metric: str, coverage: float) -> str:
    meanings = "".join(
        f"<dt>{_e(word)}</dt><dd>{_e(text)}</dd>" for word, text in _MEANINGS.items()
    )
    return (
        '<section id="how-to-read"><h2>How to read this</h2>'
        "<p>A <em>cut-off</em> is the last month that a forecaster was given. It is judged by the "
        "months after it, which it never saw. Values are means over all cut-offs that the compared "
        "forecasters share. A forecaster that has less than half of the cut-offs is shown without "
        "a rank.</p>"
        "<h3>Metrics</h3>"
        f"<dl>{meanings}</dl>"
        "<h3>Ties</h3><p>Many units have the same score, often nought. Where the coverage ends "
        "among equal ones, each of them counts with the share that fits. The column “by ties” "
        "says what the value would be if those ties had all fallen worst or best, which one can "
        "only know afterwards. A wide range means that the forecast does not order that part of "
        "the area.</p>"
        "<h3>Intervals, and what is called real</h3><p>95 % intervals come of resampling the "
        "cut-offs in blocks, since the outcomes of neighbouring ones overlap, and are widened for "
        "small numbers of blocks. Each forecaster is compared with the best other baseline on the "
        "same cut-offs. A difference is called <em>real</em> where its p value, corrected for the "
        "number of forecasters (Holm 1979), is below 5 %. So a difference may be left open "
        "although its own interval does not hold nought. "
        "With fewer than 6 cut-offs, or fewer than 3 blocks that do not overlap, nothing is said: "
        "a year ahead, two years of cut-offs are too few.</p>"
        "<h3>Floor and ceiling</h3><p>The <em>floor</em> is chance: what does no better knows "
        "nothing. The <em>ceiling</em> was told the outcome: no forecast of this area can do "
        "better. Neither is ranked. Dots show ranked forecasters on one scale; an arrow is a value "
        "beyond it.</p>"
        "<h3>What this does not say</h3><p>Recorded crime is not crime. Police find crime where "
        "they look, so a forecast can be right because it was followed. The points of "
        "data.police.uk are moved to one of a list of anonymous places, so no figure is about an "
        "address. Nothing here is about a person.</p></section>"
    )


def _provenance(provenance: Mapping[str, object]) -> str:
    lines = "".join(
        f'<tr><th scope="row">{_e(name)}</th><td>{_value(value)}</td></tr>'
        for name, value in provenance.items()
    )
    table = (
        '<div class="scroll" tabindex="0"><table class="provenance"><caption>'
        "What this page was made from"
        f"</caption><tbody>{lines}</tbody></table></div>"
        if lines
        else ""
    )
    return (
        f'<section id="provenance"><h2>Provenance</h2>{table}</section>'
        f"<footer><p>{_e(LICENCE)}</p></footer>"
    )


def _value(value: object) -> str:
    """Lists and mappings as lists; what is long folds away."""
    if isinstance(value, Mapping):
        items = [f"{_e(name)}: {_value(inner)}" for name, inner in value.items()]
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        if len(value) <= 6 and all(isinstance(inner, str | int | float) for inner in value):
            return ", ".join(_e(inner) for inner in value) or "none"
        items = [_value(inner) for inner in value]
    else:
        return _e(value)
    found = f"<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>" if items else "none"
    if len(items) <= 6:
        return found
    return f"<details><summary>{len(items)} entries</summary>{found}</details>"


# --- Pictures on the page -------------------------------------------------------------------


def _pictures(
    rows: pd.DataFrame,
    numbers: pd.DataFrame,
    roles: Mapping[str, str],
    headline: tuple[str, float],
) -> str:
    """The pictures of one place: all crime, for the horizon nearest to a month."""
    metric, coverage = headline
    crime_type = _crime_types(rows)[0]
    horizons = _horizons(rows)
    step, horizon = next((found for found in horizons if found == (MONTH, 1)), horizons[0])
    group = _of(rows, crime_type, step, horizon)
    there = _of(numbers, crime_type, step, horizon)
    what = f"{crime_type}, {next_steps(step, horizon)}"
    order = group.loc[group["rank"].notna(), "model"].tolist()
    best = label(order[0]) if order else "none"
    word = METRIC_TITLES.get(metric, metric)
    found = [
        (
            leaderboard_picture(group),
            f"{word.capitalize()} and the difference to the best baseline",
            f"{what}. Dots are means over the cut-offs, bars 95 % intervals. "
            f"{verdict_sentence(group)}",
        )
    ]
    hits = there[there["metric"] == "hit_rate"]
    if len(hits):
        found += [
            (
                hit_rate_curves(hits, roles, order),
                "Hit rate over coverage",
                f"{what}. How much of the crime lies in the area that each forecast calls hottest, "
                f"the best by {word} first. Best: {best}.",
            ),
            (
                lorenz_curves(hits, roles, order),
                "Concentration, and how much of it is found",
                f"{what}. The ceiling’s curve is the Lorenz curve of the outcome, hottest first: "
                "how concentrated crime was. A forecast by lot is the diagonal.",
            ),
        ]
    skill = skill_of(there, roles, metric, coverage)
    if len(skill):
        found.append(
            (
                skill_over_time(skill, order, metric),
                "Skill over time",
                f"{what}. The difference in {word} to the best baseline, at each cut-off.",
            )
        )
    if (there["metric"] == "expected_crimes").any():
        found.append(
            (
                calibration(there, roles, order),
                "Calibration",
                f"{what}. Crimes expected and recorded in bands of the ranking, from the hottest "
                "(upper right) to the coldest. On the line they agree; below it too many were "
                "expected.",
            )
        )
    return '<div class="pictures">' + "".join(_figure(*each) for each in found) + "</div>"


def _figure(drawn: Figure, title: str, caption: str) -> str:
    from crime_assets.hexes.pictures import png

    data = base64.b64encode(png(drawn, dpi=_DPI)).decode()
    width, height = (round(inches * 100) for inches in drawn.get_size_inches())
    return (
        f'<figure><img src="data:image/png;base64,{data}" width="{width}" height="{height}" '
        f'alt="{_e(title)}: {_e(caption)}"><figcaption><strong>{_e(title)}.</strong> {_e(caption)}'
        "</figcaption></figure>"
    )


# --- Pictures -------------------------------------------------------------------------------


def hit_rate_curves(
    evaluations: pd.DataFrame, roles: Mapping[str, str], order: Sequence[str] = ()
) -> Figure:
    """Mean hit rate over coverage (log), one line a model; floor and ceiling dashed grey.

    ``evaluations`` are those of one unit, scope, crime type and horizon; other metrics are passed
    over. ``order`` names the models, best first: the first six stand out, default by mean hit rate.
    """
    drawn, axes = _axes()
    curves = _mean_curves(evaluations, "hit_rate")
    for model, style in _styles(curves.columns, roles, order or _best_first(curves, roles)):
        axes.plot(100 * curves.index, 100 * curves[model], **style)
    axes.set(xscale="log", xlabel="coverage, % of the area", ylabel="hit rate, % of the crimes")
    axes.set_ylim(0, 100)
    ticks = [tick for tick in (0.1, 0.5, 1, 2, 5, 10, 20, 50) if _spans(100 * curves.index, tick)]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    _legend(axes)
    return drawn


def lorenz_curves(
    evaluations: pd.DataFrame, roles: Mapping[str, str], order: Sequence[str] = ()
) -> Figure:
    """Mean hit rate over coverage from 0 to 1: how concentrated crimes were and what was found.

    The ceiling's curve is the Lorenz curve of the outcome, hottest units first. Arguments as in
    :func:`hit_rate_curves`.
    """
    drawn, axes = _axes()
    curves = _mean_curves(evaluations, "hit_rate")
    curves.loc[0.0], curves.loc[1.0] = 0.0, 1.0
    curves = curves.sort_index()
    axes.plot([0, 100], [0, 100], color=_OTHERS, linewidth=0.8, zorder=1)
    for model, style in _styles(curves.columns, roles, order or _best_first(curves, roles)):
        if roles.get(model) == "ceiling":
            axes.fill_between(
                100 * curves.index, 100 * curves[model], color=_OTHERS, alpha=0.18, linewidth=0
            )
        axes.plot(100 * curves.index, 100 * curves[model], **style)
    axes.set(xlabel="coverage, % of the area", ylabel="crimes in it, %", xlim=(0, 100))
    axes.set_ylim(0, 101)
    _legend(axes, "lower right")
    return drawn


def skill_over_time(
    skill: pd.DataFrame, order: Sequence[str] = (), metric: str = "hit_rate"
) -> Figure:
    """The difference to the best baseline at each cut-off, with a line at nought; up is better.

    ``skill`` is that of :func:`crime_assets.forecasting.leaderboard.skill_over_time` for one unit,
    scope, crime type and horizon. Floor and ceiling are left out; three models stand out, since
    more lines that cross at every cut-off cannot be followed. Where less of ``metric`` is
    better, the axis is turned over.
    """
    from crime_assets.hexes.pictures import INK

    drawn, axes = _axes()
    ranked = skill[skill["role"].isin(["baseline", "model"])]
    table = ranked.pivot_table(index="month", columns="model", values="difference", observed=True)
    months = list(table.index)
    roles = dict(zip(ranked["model"], ranked["role"], strict=True))
    shown = [model for model in order if model in table.columns] or list(
        table.mean().sort_values(ascending=metric in LESS_IS_BETTER).index
    )
    scale = _scale_of(metric)
    for model, style in _styles(table.columns, roles, shown, stand_out=3):
        axes.plot(range(len(months)), scale * table[model].to_numpy(), **style)
    axes.axhline(0, color=INK, linewidth=1)
    every = max(1, math.ceil(len(months) / 8))
    axes.set_xticks(range(0, len(months), every), months[::every])
    points = ", points" if scale == 100 else ""
    axes.set(xlabel="cut-off", ylabel=f"difference to the best baseline{points}")
    if metric in LESS_IS_BETTER:
        axes.invert_yaxis()
    _legend(axes, None)
    return drawn


def _scale_of(metric: str) -> float:
    """100 where a metric is shown in per cent."""
    return 100.0 if figure(metric, 1.0).endswith("%") else 1.0


def calibration(
    evaluations: pd.DataFrame, roles: Mapping[str, str], order: Sequence[str] = ()
) -> Figure:
    """Crimes expected and recorded in bands of the ranking, per 1 % of the area, on log scales.

    A band lies between two coverages of the metrics ``expected_crimes`` and ``crimes``, which hold
    what is expected and recorded in the hottest so much of the area. Per area, so that bands of
    unequal width stand in the order of their heat. Bands with none of either are left out. Other
    arguments as in :func:`hit_rate_curves`; models that only rank have no line.
    """
    from crime_assets.hexes.pictures import INK

    drawn, axes = _axes()
    counting = evaluations.loc[evaluations["metric"] == "expected_crimes", "model"].unique()
    evaluations = evaluations[evaluations["model"].isin(counting)]
    expected = _mean_curves(evaluations, "expected_crimes")
    recorded = _mean_curves(evaluations, "crimes")
    models = [model for model in expected.columns if model in recorded.columns]
    ends: list[float] = []
    for model, style in _styles(models, roles, order or models):
        if roles.get(model) in ("floor", "ceiling"):
            continue
        common = expected.index.intersection(recorded.index)
        both = [table.loc[common, model] for table in (expected, recorded)]
        width = np.diff(100 * both[0].index.to_numpy(dtype=float), prepend=0.0)
        x, y = (np.diff(column.to_numpy(), prepend=0.0) / width for column in both)
        there = (x > 0) & (y > 0)
        axes.plot(x[there], y[there], **style)
        ends += [*x[there], *y[there]]
    if ends:
        low, high = min(ends) / 1.5, max(ends) * 1.5
        axes.plot([low, high], [low, high], color=INK, linewidth=1, zorder=1)
        axes.set(xlim=(low, high), ylim=(low, high))
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="crimes expected per 1 % of the area",
        ylabel="crimes recorded",
    )
    _legend(axes)
    return drawn


def leaderboard_picture(group: pd.DataFrame) -> Figure:
    """The rows of one ranking: values with intervals, and differences to the best baseline.

    A filled dot differs really from that baseline, an open one may by chance. Baselines are round
    and blue, models square and orange, floor and ceiling grey. What lies far from all that are
    ranked is an arrow at the edge, so that it does not squeeze their intervals.
    """
    from matplotlib.figure import Figure

    from crime_assets.hexes.pictures import INK

    group = group.astype(dict.fromkeys(_NUMBERS, "float64"))
    metric = str(group["metric"].iloc[0])
    percent = _scale_of(metric)
    ranked = group[group["rank"].notna()]
    rows = [*ranked.itertuples(index=False), *group[group["rank"].isna()].itertuples(index=False)]
    drawn = Figure(
        figsize=(6.6, 1.3 + 0.27 * len(rows)), dpi=90, layout="constrained", facecolor="white"
    )
    values, apart = drawn.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    limits = _limits(group, percent)
    for y, row in enumerate(rows):
        if limits and not limits[0] <= percent * row.value <= limits[1]:
            if math.isfinite(row.value):
                low_side = percent * row.value < limits[0]
                inside = 0.03 * (limits[1] - limits[0])
                edge, arrow = (limits[0] + inside, "<") if low_side else (limits[1] - inside, ">")
                values.plot(edge, y, marker=arrow, color=_BOUNDS, markersize=6, clip_on=False)
            continue
        colour, marker = {
            "baseline": (OKABE_ITO[0], "o"),
            "model": (OKABE_ITO[1], "s"),
        }.get(str(row.role), (_BOUNDS, "d"))
        fill = colour if row.verdict in (BETTER, WORSE) else "white"
        dot = {"marker": marker, "color": colour, "markerfacecolor": fill, "markersize": 6}
        for axes, value, low, high in (
            (values, row.value, row.low, row.high),
            (apart, row.difference, row.difference_low, row.difference_high),
        ):
            if axes is apart and row.role in ("floor", "ceiling"):
                continue
            if math.isfinite(low):
                axes.plot([percent * low, percent * high], [y, y], color=colour, linewidth=1.6)
            if math.isfinite(value):
                axes.plot(percent * value, y, linestyle="", zorder=3, **dot)
    apart.axvline(0, color=INK, linewidth=0.8)
    names = [f"{label(row.model)}  {figure(metric, row.value)}" for row in rows]
    values.set_yticks(range(len(rows)), names)
    values.set_ylim(len(rows) - 0.5, -0.5)
    if limits:
        values.set_xlim(*limits)
    unit = ", %" if percent == 100 else ""
    values.set_xlabel(f"{METRIC_TITLES.get(metric, metric)}{unit}", fontsize=8, color=INK)
    apart.set_xlabel(
        f"difference to the best baseline{', points' if unit else ''}", fontsize=8, color=INK
    )
    for axes in (values, apart):
        _plain(axes)
        axes.grid(axis="x", color=_OTHERS, alpha=0.4, linewidth=0.6)
        axes.tick_params(axis="y", length=0)
    first = group.iloc[0]
    at = "" if first["coverage"] != first["coverage"] else f" at {share(first['coverage'])}"
    drawn.suptitle(
        f"{place_title(str(first['scope']))}: {first['crime_type']}, "
        f"{next_steps(str(first['step']), int(first['horizon_steps']))}, "
        f"{METRIC_TITLES.get(metric, metric)}{at}",
        fontsize=9,
        color=INK,
    )
    return drawn


def _limits(group: pd.DataFrame, scale: float) -> tuple[float, float] | None:
    """The range that holds what is ranked with its intervals, and bounds that lie near to it."""
    numbers = group[["value", "low", "high"]].astype("float64") * scale
    ranked = numbers[group["rank"].notna()].stack()
    if ranked.empty or ranked.min() == ranked.max():
        return None
    low, high = float(ranked.min()), float(ranked.max())
    span = high - low
    near = numbers[numbers["value"].between(low - 2 * span, high + 2 * span)].stack()
    low, high = min(low, float(near.min())), max(high, float(near.max()))
    return low - 0.05 * (high - low), high + 0.05 * (high - low)


def _axes() -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(6.2, 4.2), dpi=90, layout="constrained", facecolor="white")
    axes = drawn.subplots()
    _plain(axes)
    axes.grid(color=_OTHERS, alpha=0.4, linewidth=0.6)
    axes.set_axisbelow(True)
    return drawn, axes


def _plain(axes: Axes) -> None:
    from crime_assets.hexes.pictures import INK

    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(_OTHERS)
    axes.tick_params(labelsize=8, colors=INK)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set(fontsize=8, color=INK)


def _legend(axes: Axes, place: str | None = "upper left") -> None:
    from crime_assets.hexes.pictures import INK

    if not axes.get_legend_handles_labels()[0]:
        return
    style: dict[str, Any] = {"fontsize": 7.5, "frameon": False, "labelcolor": INK}
    if place is None:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3, **style)
    else:
        axes.legend(loc=place, **style)  # type: ignore[call-overload]


def _mean_curves(evaluations: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Means over the cut-offs that all models have: coverage x model.

    As in the tables, a model with fewer than half of the cut-offs has no part in it.
    """
    rows = evaluations[evaluations["metric"] == metric]
    cut_offs = rows.groupby("model", observed=True)["month"].nunique()
    rows = rows[~rows["model"].isin(cut_offs.index[2 * cut_offs < cut_offs.max()])]
    table = rows.pivot_table(
        index="month", columns=["model", "coverage"], values="value", observed=True
    )
    common = table.dropna()
    means = (common if len(common) else table).mean()
    return means.unstack("model").sort_index()


def _best_first(curves: pd.DataFrame, roles: Mapping[str, str]) -> list[str]:
    means = curves.mean().sort_values(ascending=False, kind="stable")
    return [str(model) for model in means.index if roles.get(str(model)) in ("baseline", "model")]


def _spans(index: pd.Index, tick: float) -> bool:
    return len(index) > 0 and index.min() <= tick <= index.max()


def _styles(
    models: Iterable[object],
    roles: Mapping[str, str],
    order: Sequence[str],
    stand_out: int = len(OKABE_ITO),
) -> list[tuple[str, dict[str, Any]]]:
    """How each line is drawn: the first few stand out, the others are pale, the bounds dashed."""
    present = [str(model) for model in models]
    contenders = [name for name in order if name in present]
    contenders += [
        name
        for name in present
        if name not in contenders and roles.get(name) in ("baseline", "model")
    ]
    found: list[tuple[str, dict[str, Any]]] = []
    for name in present:
        if roles.get(name) in ("floor", "ceiling"):
            style: dict[str, Any] = {
                "color": _BOUNDS,
                "linestyle": "--" if roles[name] == "ceiling" else ":",
                "linewidth": 1.2,
                "label": f"{label(name)} ({roles[name]})",
                "zorder": 2,
            }
            found.append((name, style))
    pale = contenders[stand_out:]
    for name in pale:
        text = f"{len(pale)} others" if name == pale[0] and len(pale) > 1 else "_"
        text = label(name) if len(pale) == 1 else text
        found.append((name, {"color": _OTHERS, "linewidth": 1.0, "label": text, "zorder": 2}))
    shown = contenders[:stand_out]
    for name, colour, marker in reversed(list(zip(shown, OKABE_ITO, _MARKERS, strict=False))):
        style = {
            "color": colour,
            "marker": marker,
            "markersize": 4,
            "linewidth": 1.5,
            "label": label(name),
            "zorder": 4,
        }
        found.append((name, style))
    # legends list what was drawn first at the top: the best should stand there
    return found[::-1]


# --- The page's frame -----------------------------------------------------------------------


def page(title: str, body: str) -> str:
    """A complete page around ``body``, which is HTML; ``title`` is text."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{_e(title)}</title>\n<style>\n{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


STYLE = """\
:root {
  --paper: #faf8f4; --card: #ffffff; --ink: #2b2825; --soft: #6a645c; --line: #ddd6ca;
  --accent: #0b5d91; --orange: #a84300; --win: #e3f0f8; --warn: #8c2f00;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #191817; --card: #232120; --ink: #ece7df; --soft: #a9a197; --line: #3d3935;
    --accent: #7cc4f2; --orange: #ffab73; --win: #17303f; --warn: #ff9d78;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
main { max-width: 72rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: clamp(1.7rem, 5vw, 2.5rem); line-height: 1.15; margin: .5rem 0 .75rem; }
h2 { font-size: 1.45rem; margin: 3rem 0 .5rem; padding-top: .75rem;
  border-top: 3px solid var(--ink); }
h3 { font-size: 1.15rem; margin: 1.5rem 0 .4rem; }
p, dd { max-width: 46rem; }
a { color: var(--accent); }
.lead { font-size: 1.1rem; color: var(--soft); }
.note, figcaption, caption .sub { color: var(--soft); font-size: .9rem; }
.cards { list-style: none; padding: 0; margin: 1.5rem 0; display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)); }
.card { background: var(--card); border: 1px solid var(--line);
  border-left: 4px solid var(--accent); border-radius: .4rem; padding: .8rem 1rem; }
.card p { margin: 0; }
.eyebrow { color: var(--soft); font-size: .82rem; margin-bottom: .3rem !important; }
nav a { margin-right: .6rem; }
nav p { max-width: none; margin: .3rem 0; }
.scroll { overflow-x: auto; margin: 1rem 0 1.75rem; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
caption { text-align: left; font-weight: 600; padding: .3rem 0 .5rem; }
.cap { display: block; position: sticky; left: 0; max-width: min(60rem, calc(100vw - 1.5rem)); }
.cap .sub { display: block; font-weight: 400; }
th, td { text-align: left; vertical-align: top; padding: .4rem .6rem;
  border-bottom: 1px solid var(--line); }
thead th { border-bottom: 2px solid var(--line); font-size: .82rem; color: var(--soft);
  vertical-align: bottom; }
tbody th { font-weight: 600; }
td.num, th.num, .num { font-variant-numeric: tabular-nums; }
td.num, th.num { text-align: right; white-space: nowrap; }
small { color: var(--soft); font-size: .82rem; }
.winners td { min-width: 10.5rem; }
.winners th, .board tbody th { white-space: nowrap; }
.winners td small { display: block; }
.winners .win { background: var(--win); }
.board tr.bound { color: var(--soft); }
.v { white-space: nowrap; }
.v.real { color: var(--accent); font-weight: 600; }
.v.worse { color: var(--warn); }
.v.chance, .v.few, .v.none { color: var(--soft); }
.role { font-weight: 400; font-size: .74rem; color: var(--soft); border: 1px solid var(--line);
  border-radius: 1rem; padding: 0 .45rem; white-space: nowrap; }
.role.model { color: var(--orange); border-color: currentColor; }
svg.dot { display: block; color: var(--accent); }
svg.dot line { stroke: currentColor; stroke-width: 2; }
svg.dot circle, svg.dot polygon { fill: currentColor; }
.bound svg.dot { color: var(--soft); }
.pictures { display: grid; gap: 1.25rem;
  grid-template-columns: repeat(auto-fit, minmax(min(29rem, 100%), 1fr)); }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: .4rem;
  padding: .75rem; }
figure img { width: 100%; height: auto; background: #fff; border-radius: .25rem; display: block; }
figcaption { margin-top: .5rem; }
section > details { border: 1px solid var(--line); border-radius: .4rem; margin: .6rem 0;
  padding: 0 1rem; background: var(--card); }
summary { cursor: pointer; font-weight: 600; padding: .6rem 0; }
dt { font-weight: 600; }
dd { margin: 0 0 .6rem; }
pre { overflow-x: auto; background: var(--card); border: 1px solid var(--line);
  border-radius: .4rem; padding: .6rem .8rem; white-space: pre-wrap; }
td ul { margin: 0; padding-left: 1.1rem; }
.fill { background: var(--win); border-radius: .25rem; padding: .05rem .35rem; }
footer { margin-top: 2.5rem; border-top: 1px solid var(--line); color: var(--soft);
  font-size: .9rem; }
@media (max-width: 40rem) {
  main { padding: 1rem .75rem 2rem; }
  th, td { padding: .35rem .4rem; }
  .ties { display: none; }
  .board td.num small, .board .role { display: block; width: fit-content; }
  .board td.num small { margin-left: auto; }
  .winners th, .board tbody th { white-space: normal; }
}
@media print {
  :root { --paper: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #bbb; --win: #eee;
    --accent: #003f66; --orange: #6b2b00; }
  body { font-size: 10pt; }
  main { max-width: none; padding: 0; }
  .scroll { overflow: visible; }
  nav { display: none; }
  tr, figure, .card { break-inside: avoid; }
  h2, h3, caption { break-after: avoid; }
}
"""
