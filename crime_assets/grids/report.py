"""An experiment as one page that needs nothing but itself: ours, the naive rules, the published."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crime_assets.forecasting.report import page
from crime_assets.grids import published
from crime_assets.grids.judging import METRICS
from crime_assets.grids.methods import METHODS, NAIVE, Method
from crime_assets.grids.pictures import curve_picture, line_picture, metric_picture
from crime_assets.hexes.pictures import png
from crime_assets.storage import atomic

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from crime_assets.grids.study import Results

MOST_LINES = 10
"""Methods that a picture along crime types or cells can show."""


def methods_of(results: Results) -> dict[str, Method]:
    """The methods that were judged, those of the register in its order, then the variants."""
    asked = {name: Method(**told) for name, told in results.manifest["methods"].items()}
    there = set(results.evaluations["method"])
    ordered = [
        *(name for name in METHODS if name in asked),
        *(n for n in asked if n not in METHODS),
    ]
    return {name: asked[name] for name in ordered if name in there}


def means_of(results: Results, against: str | None = None) -> pd.DataFrame:
    """The means over the twelve predictions, or their differences to a naive rule."""
    rows = results.evaluations
    rows = rows[rows["origin"].isna()]
    return rows[rows["against"].isna() if against is None else rows["against"] == against]


def sentences(results: Results) -> Iterator[str]:
    """The best method of each grid and crime type by some metrics, against the naive rules."""
    methods = methods_of(results)
    means = means_of(results)
    for (p, crime_type), group in means.groupby(["cells", "crime_type"], sort=False):
        for metric in ("f1", "auroc", "pai", "pai_by_count"):
            of_metric = group[group["metric"] == metric]
            if not len(of_metric):
                continue
            best = of_metric.loc[of_metric["value"].idxmax()]
            said = (
                f"{crime_type}, {p} x {p}, {METRICS[metric]}: {methods[best['method']].title} "
                f"{best['value']:.3f}"
            )
            for rule in NAIVE:
                rows = means_of(results, rule)
                row = rows[
                    (rows["cells"] == p)
                    & (rows["crime_type"] == crime_type)
                    & (rows["metric"] == metric)
                    & (rows["method"] == best["method"])
                ]
                if len(row):
                    of_row = row.iloc[0]
                    said += f"; {_apart(of_row)} against {methods[rule].title.lower()}"
            yield said + "."


def verdict(low: float, high: float) -> str:
    """Whether a difference is one: ``better``, ``worse``, or ``no difference``."""
    return "better" if low > 0 else "worse" if high < 0 else "no difference"


def _between(row: Any, digits: str) -> str:
    """The ends of an interval, or that there are too few months for one."""
    if row["low"] != row["low"]:
        return "few months"
    return f"{row['low']:{digits}} to {row['high']:{digits}}"


def _apart(row: Any) -> str:
    return f"{row['value']:+.3f} ({_between(row, '+.3f')})"


# --- The page -------------------------------------------------------------------------------


def write_report(results: Results, folder: Path) -> Path:
    """Write ``folder``/index.html and its pictures as PNG, and return the page's path."""
    methods = methods_of(results)
    manifest = results.manifest
    city = str(manifest["experiment"]["city"])
    parts = [
        f"<h1>{_e(manifest['title'])}</h1>",
        '<p class="lead">Will a cell be hot in the next 30 days? Each method says it for twelve '
        "months, from the days before each, and is judged against the naive rules. After "
        "Stalidis, Semertzidis and Daras 2021.</p>",
        f"<p><strong>Reduced here:</strong> {_e(manifest['reduction'] or 'nothing')}.</p>",
        f"<ul>{''.join(f'<li>{_e(each)}</li>' for each in sentences(results))}</ul>",
    ]
    for name, figure, caption in pictures(results, methods):
        drawn = png(figure, dpi=130)
        with atomic(folder / f"{name}.png") as temporary:
            temporary.write_bytes(drawn)
        parts.append(_figure(drawn, caption))
    means = means_of(results)
    for (p, crime_type), group in means.groupby(["cells", "crime_type"], sort=False):
        parts.append(f"<h2>{_e(crime_type)}, {p} x {p} cells</h2>")
        parts.append(_means_table(results, methods, int(p), str(crime_type), group))
        parts.append(_differences_table(results, methods, int(p), str(crime_type)))
    parts += [_published_section(city), _methods_section(methods), _manifest_section(manifest)]
    path = folder / "index.html"
    with atomic(path) as temporary:
        temporary.write_text(page(str(manifest["title"]), "\n".join(parts)), encoding="utf-8")
    return path


def pictures(results: Results, methods: Mapping[str, Method]) -> Iterator[tuple[str, Figure, str]]:
    """The pictures by name, with their captions."""
    means = means_of(results)
    title = str(results.manifest["title"])
    for (p, crime_type), group in means.groupby(["cells", "crime_type"], sort=False):
        name = f"{p}-{crime_type.lower().replace(' ', '-')}"
        yield (
            f"metrics-{name}",
            metric_picture(group, methods, f"{title}: {crime_type}"),
            f"{crime_type}, {p} x {p}: the mean of twelve predictions and its 95 % interval, by "
            "method, as the study's figure 4.",
        )
        of_curves = results.curves
        of_curves = of_curves[(of_curves["cells"] == p) & (of_curves["crime_type"] == crime_type)]
        if crime_type == results.manifest["experiment"]["crime_types"][0]:
            yield (
                f"curves-{name}",
                curve_picture(of_curves, methods, f"{title}: {crime_type}"),
                f"{crime_type}, {p} x {p}: curves of all twelve predictions together, as the "
                "study's figure 5.",
            )
    few = _few(methods)
    if means["crime_type"].nunique() > 1:
        first = means[means["cells"] == means["cells"].iloc[0]]
        yield (
            "crime-types",
            line_picture(first, few, "crime_type", title),
            "By crime type, as the study's figures 6 and 7: networks and naive rules.",
        )
    if means["cells"].nunique() > 1:
        of_type = means[means["crime_type"] == means["crime_type"].iloc[0]]
        yield (
            "cells",
            line_picture(of_type, few, "cells", title),
            "By the number of cells along a side, as the study's table 4.",
        )


def _few(methods: Mapping[str, Method]) -> dict[str, Method]:
    """The networks and the naive rules, at most as many as a picture can show."""
    networks = [name for name, method in methods.items() if method.kind == "network"]
    shown = {*NAIVE, *networks[: MOST_LINES - len(NAIVE)]}
    if not networks:
        shown |= set(list(methods)[: MOST_LINES - len(NAIVE)])
    return {name: method for name, method in methods.items() if name in shown}


def _e(text: object) -> str:
    return escape(str(text), quote=True)


def _figure(drawn: bytes, caption: str) -> str:
    data = base64.b64encode(drawn).decode()
    return (
        f'<figure><img src="data:image/png;base64,{data}" alt="{_e(caption)}"><figcaption>'
        f"{_e(caption)}</figcaption></figure>"
    )


def _table(caption: str, head: list[str], rows: list[list[str]]) -> str:
    """A table whose first column names the row; cells are HTML."""
    names = "".join(f'<th scope="col" class="num">{_e(cell)}</th>' for cell in head[1:])
    body = "".join(
        f'<tr><th scope="row">{first}</th>'
        + "".join(f'<td class="num">{cell}</td>' for cell in rest)
        + "</tr>"
        for first, *rest in rows
    )
    return (
        f'<div class="scroll" tabindex="0"><table><caption>{_e(caption)}</caption><thead><tr>'
        f'<th scope="col">{_e(head[0])}</th>{names}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _means_table(
    results: Results, methods: Mapping[str, Method], p: int, crime_type: str, group: pd.DataFrame
) -> str:
    """Ours beside table 4, with what it took."""
    import pandas as pd

    values = group.set_index(["method", "metric"])
    effort = results.effort
    effort = effort[(effort["cells"] == p) & (effort["crime_type"] == crime_type)]
    costs = effort.set_index("method")
    shown = crime_type == published.CRIME_TYPE
    rows = []
    for name, method in methods.items():
        row = [f"{_e(method.title)} <small>{method.kind}</small>"]
        for metric in METRICS:
            if (name, metric) not in values.index:
                row.append("")
                continue
            found = values.loc[(name, metric)]
            row.append(f"{found['value']:.3f} <small>{_between(found, '.3f')}</small>")
        row.append(f"{costs.loc[name, 'seconds']:.1f}")
        count = costs.loc[name, "parameters"]
        row.append("" if pd.isna(count) else f"{int(count):,}")
        if shown:
            found = [published.PUBLISHED.get((name, p, m)) for m in published.METRICS]
            row += ["" if value is None else f"{value:.2f}" for value in found]
        rows.append(row)
    head = ["method", *METRICS.values(), "seconds to learn", "parameters"]
    if shown:
        head += [f"Philadelphia, published: {METRICS[m]}" for m in published.METRICS]
    return _table(f"{crime_type}: means of twelve predictions, with 95 % intervals", head, rows)


def _differences_table(
    results: Results, methods: Mapping[str, Method], p: int, crime_type: str
) -> str:
    """Each method against each naive rule, on the same months."""
    rows = []
    found = {rule: means_of(results, rule) for rule in NAIVE}
    for name, method in methods.items():
        if name in NAIVE:
            continue
        row = [_e(method.title)]
        for rule in NAIVE:
            of_rule = found[rule]
            here = of_rule[
                (of_rule["cells"] == p)
                & (of_rule["crime_type"] == crime_type)
                & (of_rule["method"] == name)
            ].set_index("metric")
            for metric in METRICS:
                if metric not in here.index:
                    row.append("")
                    continue
                apart = here.loc[metric]
                real = {"better": "real", "worse": "worse"}.get(
                    verdict(apart["low"], apart["high"]), "chance"
                )
                row.append(
                    f'<span class="v {real}">{apart["value"]:+.3f}</span> '
                    f"<small>{_between(apart, '+.3f')}</small>"
                )
        rows.append(row)
    head = ["method"] + [
        f"{what} − {METHODS[rule].title.lower()}" for rule in NAIVE for what in METRICS.values()
    ]
    return _table(
        f"{crime_type}: differences to the naive rules on the same months; coloured where the "
        "95 % interval excludes nought",
        head,
        rows,
    )


def _published_section(city: str) -> str:
    """What the study printed."""
    costs = [
        [
            _e(METHODS[name].title),
            f"{cost.seconds:,}",
            "" if cost.parameters is None else f"{cost.parameters:,}",
        ]
        for name, cost in published.COSTS.items()
    ]
    tables = [
        _table(
            f"Published, table 4: Philadelphia, all crimes: {METRICS[metric]}",
            ["method", *(f"{p} x {p}" for p in published.CELLS)],
            [
                [_e(METHODS[name].title)]
                + [f"{published.PUBLISHED[name, p, metric]:.2f}" for p in published.CELLS]
                for name in dict.fromkeys(name for name, *_ in published.PUBLISHED)
            ],
        )
        for metric in published.METRICS
    ]
    said = "".join(
        f"<dt>{_e(section)}</dt><dd>{_e(text)}</dd>" for section, text in published.FINDINGS.items()
    )
    of_city = (
        "This experiment is of that city."
        if city == published.CITY
        else "Of this city it has pictures alone, so its figures are of another town and other "
        "years: they show the order of methods, not a figure to be reached."
    )
    return (
        "<section><h2>What the study printed</h2><p>Its tables are of Philadelphia and all crimes. "
        f"{of_city} Which body its SFTT, TFTS and ParB have there, it does not say.</p>"
        f"<details><summary>Table 4</summary>{''.join(tables)}</details>"
        "<details><summary>Table 1</summary>"
        + _table("Published, table 1", ["method", "seconds", "parameters"], costs)
        + f"</details><dl>{said}</dl></section>"
    )


def _methods_section(methods: Mapping[str, Method]) -> str:
    inside = "".join(
        f"<dt>{_e(m.title)} <small>{m.kind}</small></dt><dd>{_e(m.source)}. {_e(m.substitution)}"
        + (f" Set here: {_e(dict(m.parameters))}." if m.parameters else "")
        + (" One network for all crime types." if m.multi_label else "")
        + "</dd>"
        for m in methods.values()
    )
    return f"<section><h2>The methods</h2><dl>{inside}</dl></section>"


def _manifest_section(manifest: Mapping[str, Any]) -> str:
    shown = {k: v for k, v in manifest.items() if k not in ("methods", "title", "reduction")}
    rows = [[_e(name), _e(value)] for name, value in shown.items()]
    lines = "".join(f'<tr><th scope="row">{name}</th><td>{value}</td></tr>' for name, value in rows)
    return (
        '<section><h2>Provenance</h2><details><summary>The manifest</summary><div class="scroll" '
        f'tabindex="0"><table><tbody>{lines}</tbody></table></div></details></section>'
    )
