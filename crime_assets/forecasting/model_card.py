"""A card for each forecaster: what it is, how good it is, and what it must not be used for.

The fields are those of the UK's Algorithmic Transparency Recording Standard (ATRS, version 3; tier
1 for the public, tier 2 in detail; gov.uk, Algorithmic Transparency Recording Standard Hub). A
record under the standard is made by the public body that uses a tool. What only that body can know
is named as open and not made up.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from crime_assets.forecasting.forecasters import NAIVE_RULE
from crime_assets.forecasting.leaderboard import (
    BETTER,
    EQUAL,
    GROUP,
    HEADLINE,
    METRIC_TITLES,
    TOO_FEW,
    WORSE,
    area_word,
    difference,
    figure,
    label,
    share,
)
from crime_assets.forecasting.report import (
    LICENCE,
    NATIONS,
    UNIT_TITLES,
    next_steps,
    page,
    place_title,
)
from crime_assets.register import ALL_CRIME
from crime_assets.storage import Folder, atomic

if TYPE_CHECKING:
    import pandas as pd

    from crime_assets.forecasting.forecaster import Forecaster

OPEN = "To be filled in by the organisation that deploys it."

CARD_METRICS: tuple[tuple[str, float | None], ...] = (
    ("hit_rate", 0.01),
    ("hit_rate", 0.05),
    ("pai", 0.01),
    ("pei_star", 0.01),
    ("recapture_rate_index", 0.01),
    ("auroc", None),
    ("brier", None),
    ("poisson_deviance", None),
    ("jaccard", None),
)
"""What the card's table holds, where the leaderboard has it; the leaderboard has the rest."""

MOST_SCOPES = 6
"""Scopes of a unit in the card's table, where none of them is the nation."""

MISUSES = (
    "As the sole ground for a stop, a search, an arrest or a deployment. A high score is no "
    "reasonable ground to suspect anybody.",
    "To infer anything about a person, a household or a named address. It knows places only, and "
    "the points of the data are snapped to anonymous places, which stand for all addresses around.",
    "As a measure of how much crime there is. Recorded crime is not crime: it depends on who "
    "reports, on what is recorded, and on where police look.",
    "For drugs, weapons and other offences that police find by looking, without asking what the "
    "counts would be if they had looked elsewhere.",
    "To judge whether police action worked. A forecast is no counterfactual.",
    "At a finer scale, for another area, or for other crime types than those it was judged on.",
)

FEEDBACK = (
    "Feedback. Patrols find crime where they are sent; what they find enters the counts, and the "
    "next forecast sends them there again. So a place can stay hot because it is watched (Lum and "
    "Isaac 2016, Significance 13:5; Ensign and others 2018, Proceedings of Machine Learning "
    "Research 81:160). A back-test cannot show it: the outcome that it is judged by has the same "
    "bias. Mitigation: leave offences that are found by patrol out of what steers patrols, or "
    "weigh them by how they were found; keep a part of the deployment independent of forecasts; "
    "record where patrols were, and compare the hit rate in places that had none."
)


# --- What a card is made of -----------------------------------------------------------------


@dataclass(frozen=True)
class Field:
    """One field: paragraphs, code, a list, and a table whose first row is its head."""

    name: str
    paragraphs: tuple[str, ...] = ()
    bullets: tuple[str, ...] = ()
    table: tuple[tuple[str, ...], ...] = ()
    code: str = ""

    @property
    def open(self) -> bool:
        """Whether the deploying organisation has something to add."""
        return OPEN in self.paragraphs


@dataclass(frozen=True)
class Section:
    """A part of the record, such as ``Tier 2: Tool specification``."""

    title: str
    fields: tuple[Field, ...]


@dataclass(frozen=True)
class Card:
    """A model card, to be rendered as Markdown or as a page that stands alone."""

    name: str
    title: str
    sections: tuple[Section, ...]

    def field(self, name: str) -> Field:
        """The field of that name; raises ``KeyError`` where there is none."""
        for section in self.sections:
            for found in section.fields:
                if found.name == name:
                    return found
        raise KeyError(name)

    def open_fields(self) -> tuple[str, ...]:
        """The names of fields that the deploying organisation fills in."""
        return tuple(f.name for section in self.sections for f in section.fields if f.open)

    def markdown(self) -> str:
        """The card as Markdown; text is escaped."""
        lines = [f"# {_md(self.title)}", "", *_md_field(Field("", (_preamble(),)))]
        for section in self.sections:
            lines += [f"## {_md(section.title)}", ""]
            for found in section.fields:
                lines += [f"### {_md(found.name)}", "", *_md_field(found)]
        return "\n".join(lines).rstrip() + "\n"

    def html(self) -> str:
        """The card as a page with its styles inside and nothing loaded; text is escaped."""
        body = [
            f"<header><h1>{escape(self.title)}</h1>"
            f'<p class="lead">{escape(_preamble())}</p></header>'
        ]
        for section in self.sections:
            body.append(f"<section><h2>{escape(section.title)}</h2>")
            for found in section.fields:
                body.append(f"<h3>{escape(found.name)}</h3>{_html_field(found)}")
            body.append("</section>")
        body.append(f"<footer><p>{escape(LICENCE)}</p></footer>")
        return page(self.title, "\n".join(body))


def _preamble() -> str:
    return (
        "Model card after the fields of the UK Algorithmic Transparency Recording Standard. "
        "It is generated from the leaderboard. It is not a published record: a public body that "
        "uses the tool makes one, and fills in what is marked so."
    )


def _md(text: str) -> str:
    """Text that Markdown of any kind shows as it is; entities where kinds differ on backslashes."""
    return re.sub(r"([\\`*_\[\]])", r"\\\1", escape(text, quote=False)).replace("|", "&#124;")


def _md_field(found: Field) -> Iterator[str]:
    for paragraph in found.paragraphs:
        yield f"*{paragraph}*" if paragraph == OPEN else _md(paragraph)
        yield ""
    if found.code:
        yield from ("```text", found.code.replace("```", "'''"), "```", "")
    if found.bullets:
        yield from (f"- {_md(bullet)}" for bullet in found.bullets)
        yield ""
    if found.table:
        head, *rows = found.table
        yield f"| {' | '.join(map(_md, head))} |"
        yield f"|{' --- |' * len(head)}"
        yield from (f"| {' | '.join(map(_md, row))} |" for row in rows)
        yield ""


def _html_field(found: Field) -> str:
    parts = [
        f'<p><span class="fill">{escape(text)}</span></p>'
        if text == OPEN
        else f"<p>{escape(text)}</p>"
        for text in found.paragraphs
    ]
    if found.code:
        parts.append(f"<pre><code>{escape(found.code)}</code></pre>")
    if found.bullets:
        items = "".join(f"<li>{escape(bullet)}</li>" for bullet in found.bullets)
        parts.append(f"<ul>{items}</ul>")
    if found.table:
        head, *rows = found.table
        cells = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
        lines = "".join(
            f'<tr><th scope="row">{escape(row[0])}</th>'
            + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
            + "</tr>"
            for row in rows
        )
        parts.append(
            f'<div class="scroll" tabindex="0"><table><caption><span class="cap">'
            f"{escape(found.name)}</span></caption><thead><tr>{cells}</tr></thead>"
            f"<tbody>{lines}</tbody></table></div>"
        )
    return "".join(parts)


# --- The card of one forecaster -------------------------------------------------------------


def write_cards(
    folder: Folder,
    models: Mapping[str, Forecaster],
    leaderboard: pd.DataFrame,
    provenance: Mapping[str, object],
) -> None:
    """Write ``folder``/cards/<model>.html and .md for each forecaster of the register."""
    for name, forecaster in models.items():
        card = model_card(name, forecaster, leaderboard, provenance)
        for ending, text in (("html", card.html()), ("md", card.markdown())):
            with atomic(folder / "cards" / f"{name}.{ending}") as temporary:
                temporary.write_text(text, encoding="utf-8")


def model_card(
    name: str,
    forecaster: Forecaster,
    leaderboard: pd.DataFrame,
    provenance: Mapping[str, object],
) -> Card:
    """The card of one forecaster, from the leaderboard it stands on.

    ``leaderboard`` has the columns of that table and may hold any models; ``provenance`` is shown
    as it is given (release, data versions), its entry ``documentation`` as the website. A
    forecaster that is not on the leaderboard gets a card that says so.
    """
    rows = leaderboard[leaderboard["model"] == name]
    title = f"{forecaster.title} ({label(name)})"
    bound = forecaster.role in ("floor", "ceiling")
    purpose = (
        "It is a bound that forecasts are compared with, and no forecast: not to be used at all."
        if bound
        else "It ranks places by how many recorded crimes are to be expected there in the next "
        "steps, so that people who know a place can ask what could be done about it."
    )
    kind = {
        "baseline": "a baseline: a simple rule that a model must beat to be worth its cost",
        "model": "a model: it is worth its cost where it beats the best baseline",
        "floor": "the floor: chance",
        "ceiling": "the ceiling: it is told the outcome",
    }[forecaster.role]
    website = str(
        provenance.get("documentation", "The documentation of crime_assets, its folder docs/.")
    )
    tier_1 = (
        Field("Name", (title,)),
        Field("Description", (f"{forecaster.title} is {kind}.", purpose)),
        Field("Website URL", (website,)),
        Field("Contact email", (OPEN,)),
    )
    return Card(
        name,
        f"Model card: {title}",
        (
            Section("Tier 1: Overview", tier_1),
            Section("What it must not be used for", _limits(forecaster)),
            Section("Tier 2: Owner and responsibility", owner()),
            Section("Tier 2: Description and rationale", _rationale(forecaster, kind, rows)),
            Section("Tier 2: Decision-making process", _decisions(forecaster)),
            Section(
                "Tier 2: Tool specification", _specification(name, forecaster, rows, provenance)
            ),
            Section("Tier 2: Risks, mitigations and impact assessments", risks()),
        ),
    )


def _limits(forecaster: Forecaster) -> tuple[Field, ...]:
    return (
        Field("Limits of this forecaster", (forecaster.limits,)),
        Field("Uses that are ruled out", bullets=MISUSES),
    )


def owner() -> tuple[Field, ...]:
    """Who is answerable: for the organisation that deploys it to say."""
    names = (
        "Organisation or department",
        "Team",
        "Senior responsible owner",
        "Procurement procedure type",
        "Third party data access terms",
    )
    supplier = Field(
        "Third party involvement",
        (
            "The software is open (Apache-2.0) and comes without a supplier, a contract or a "
            "warranty.",
            OPEN,
        ),
    )
    first = [Field(name, (OPEN,)) for name in names]
    return (*first[:3], supplier, *first[3:])


def _rationale(forecaster: Forecaster, kind: str, rows: pd.DataFrame) -> tuple[Field, ...]:
    scores = (
        "A score is the mean number of crimes a step that is expected in a unit."
        if forecaster.expects_crimes
        else "A score orders units and is no number of crimes."
    )
    needs = f"It needs {forecaster.least_months} months of counts"
    if forecaster.most_units is not None:
        needs += f" and is not for areas of more than {forecaster.most_units:,} units"
    return (
        Field(
            "Detailed description",
            (
                f"{forecaster.title} is {kind}. Source: {forecaster.source}.",
                f"It reads counts of recorded crimes by unit, crime type and step up to a cut-off "
                f"and nothing else, and returns a score for every unit. {scores} {needs}. The same "
                "counts always give the same scores; nothing is decided by lot that is not seeded.",
            ),
        ),
        Field("Benefits", (_worth(rows, forecaster.role), OPEN)),
        Field("Previous process", (OPEN,)),
        Field(
            "Alternatives considered",
            ("All forecasters are judged on the same cut-offs; see the leaderboard.",),
        ),
    )


def _worth(rows: pd.DataFrame, role: str) -> str:
    """One sentence on whether it is worth anything, over every ranking by the headline metric."""
    if role in ("floor", "ceiling"):
        return "None: it bounds the others."
    found = _by_headline(rows)
    if not len(found):
        return "It has not been judged yet: no figure says how good it is."
    count = _verdicts(found["verdict"])
    metric, coverage = HEADLINE
    total = sum(count.values())
    if not total:
        return "There is no other baseline to compare it with."
    said = (
        f"By {METRIC_TITLES[metric]} at {share(coverage)} coverage, over {total:,} "
        f"{'ranking' if total == 1 else 'rankings'} of places, crime types and horizons, it was "
        f"better than the best other baseline in {count[BETTER]:,}, no different in "
        f"{count[EQUAL]:,}, worse in {count[WORSE]:,}, and in {count[TOO_FEW]:,} there are too few "
        "cut-offs to say."
    )
    if count[BETTER] == 0 < count[EQUAL] + count[WORSE]:
        said += (
            " It beats the best baseline nowhere: there is no sign that it is worth more than that "
            "one."
        )
    naive = _verdicts(found["naive_verdict"])
    if sum(naive.values()):
        said += (
            f" Against the naive rule, {label(NAIVE_RULE)}, it was better in {naive[BETTER]:,}, no "
            f"different in {naive[EQUAL]:,}, worse in {naive[WORSE]:,}, and in "
            f"{naive[TOO_FEW]:,} there are too few."
        )
    return said


def _verdicts(column: pd.Series) -> dict[str, int]:
    """How often each verdict was given."""
    counts = column.value_counts()
    return {kind: int(counts.get(kind, 0)) for kind in (BETTER, EQUAL, WORSE, TOO_FEW)}


def _decisions(forecaster: Forecaster) -> tuple[Field, ...]:
    return (
        Field(
            "Process integration",
            (
                "The project publishes rankings and connects them to no decision. What "
                "follows from a high score is for people who know the place.",
                OPEN,
            ),
        ),
        Field(
            "Provided information",
            (
                "For each unit a rank, a score"
                + (" and the crimes expected" if forecaster.expects_crimes else "")
                + ", by crime type and horizon; beside it this card. No information on persons.",
            ),
        ),
        Field("Frequency and scale of usage", (OPEN,)),
        Field(
            "Human decisions and review",
            (
                "A person must decide, must be able to set the ranking aside, and should record "
                "why they followed it or did not.",
                OPEN,
            ),
        ),
        Field("Required training", (OPEN,)),
        Field("Appeals and review", (OPEN,)),
    )


def _specification(
    name: str, forecaster: Forecaster, rows: pd.DataFrame, provenance: Mapping[str, object]
) -> tuple[Field, ...]:
    return (
        Field(
            "System architecture",
            (
                "Published crimes are counted by unit and month; the forecaster reads the counts; "
                "ranking, back-test and this card follow. Every table carries the version of the "
                "data and of the code that made it.",
            ),
        ),
        Field("Phase", ("Development and comparison on open data.", OPEN)),
        Field("Maintenance", ("It is judged anew with each month that is published.", OPEN)),
        Field(
            "Model",
            (f"Registered as {name}. All that a result depends on beside the counts:",),
            code=repr(forecaster),
        ),
        Field("Model task", ("Rank places by expected recorded crime. It classifies nobody.",)),
        Field("Model performance", *_performance(rows, forecaster.role)),
        Field(
            "Source data",
            (
                "Street-level crimes of data.police.uk, England and Wales, as published by the "
                "forces: one row a crime, with its month, crime type and an anonymous place.",
                LICENCE,
            ),
        ),
        Field(
            "Release, data versions and cut-offs",
            (_cut_offs(rows),),
            table=(
                (("What", "Which"), *((str(k), _plain(v)) for k, v in provenance.items()))
                if provenance
                else ()
            ),
        ),
        *about_the_data(),
        Field("Data access and storage", ("The source is public. What is added is not:", OPEN)),
    )


def about_the_data() -> tuple[Field, ...]:
    """What recorded crime says of people, and what is not in it."""
    return (
        Field(
            "Sensitive attributes",
            (
                "None about persons: no names, ages, ethnicity or addresses. But places differ in "
                "who lives there and how they are policed, so a score of a place can stand in for "
                "such an attribute.",
            ),
        ),
        Field(
            "Data completeness and representativeness",
            (
                "Recorded crime only. Crimes without a place, forces and months that were not "
                "published, and crimes that nobody reported are not in it. Points are moved to the "
                "nearest of a list of anonymous places, by up to a few hundred metres and more "
                "where few people live (Tompson, Johnson, Ashby, Perkins and Edwards 2015, "
                "Cartography and Geographic Information Science 42:97). Steps are months: it knows "
                "no day and no hour.",
            ),
        ),
    )


def risks() -> tuple[Field, ...]:
    """What may go wrong with any ranking of places by recorded crime, and what helps."""
    return (
        Field(
            "Impact assessment",
            (
                "None has been made for a use, since the project has none. Before any: a data "
                "protection impact assessment (UK GDPR, article 35, or Data Protection Act 2018, "
                "section 64), an equality impact assessment (Equality Act 2010, section 149), and "
                "the steps of the College of Policing's practice on data-driven technologies.",
                OPEN,
            ),
        ),
        Field(
            "Risks and mitigations",
            bullets=(
                FEEDBACK,
                "Unequal reporting. Where people do not report, nothing seems to happen. "
                "Mitigation: read the ranking beside victim surveys and calls for service.",
                "False precision. A cell of 200 m looks exact; its points are not. Mitigation: "
                "read neighbouring cells together, and take no single address from a map.",
                "Over-trust. A rank hides how close scores are and how wide the interval is. "
                "Mitigation: show the intervals of this card, and what a simple rule would say.",
                "Harm by attention. A place that is called a hotspot may lose in reputation, and "
                "its people may be met with suspicion. Mitigation: use it for help and prevention, "
                "consult who lives there, publish what was done and for how long.",
                "Drift. What held in the back-test may hold no longer. Mitigation: judge each "
                "month anew, and stop where it no longer beats the baseline.",
            ),
        ),
    )


# --- Its figures ----------------------------------------------------------------------------


def _by_headline(rows: pd.DataFrame) -> pd.DataFrame:
    return _with(rows, *HEADLINE)


def _with(rows: pd.DataFrame, metric: str, coverage: float | None) -> pd.DataFrame:
    at = rows["coverage"].astype("float64")
    there = at.isna() if coverage is None else np.isclose(at, coverage)
    return rows[(rows["metric"] == metric) & there]


def _shown(rows: pd.DataFrame) -> pd.DataFrame:
    """All crime in the nation, or in the first few scopes, of each unit."""
    import pandas as pd

    if (rows["crime_type"] == ALL_CRIME).any():
        rows = rows[rows["crime_type"] == ALL_CRIME]
    kept = []
    for _, of_unit in rows.groupby("unit", sort=True, observed=True):
        scopes = sorted(of_unit["scope"].astype(str).unique())
        nation = [scope for scope in scopes if scope in NATIONS]
        kept.append(of_unit[of_unit["scope"].isin(nation or scopes[:MOST_SCOPES])])
    return pd.concat(kept).sort_values(list(GROUP), kind="stable") if kept else rows


def _performance(
    rows: pd.DataFrame, role: str
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Paragraphs, sentences and a table, as the parts of a field."""
    if not len(rows):
        return (("It has not been judged yet: no figure says how good it is.",), (), ())
    numbers = [
        "value", "low", "high", "difference", "difference_low", "difference_high",
    ]  # fmt: skip
    shown = _shown(rows).astype(dict.fromkeys(numbers, "float64"))
    bound = role in ("floor", "ceiling")
    sentences = [] if bound else [_sentence(row) for _, row in _by_headline(shown).iterrows()]
    head = ("Where", "Horizon", "Metric", "Value", "Difference to best baseline", "Which", "It is")
    table = [head]
    for metric, coverage in CARD_METRICS:
        for _, row in _with(shown, metric, coverage).iterrows():
            at = "" if coverage is None else f" at {share(coverage)}"
            table.append(
                (
                    _where(row),
                    next_steps(str(row["step"]), int(row["horizon_steps"])),
                    f"{METRIC_TITLES[metric]}{at}",
                    figure(metric, row["value"]) + _ends(row["low"], row["high"], metric, False),
                    difference(metric, row["difference"])
                    + _ends(row["difference_low"], row["difference_high"], metric, True),
                    label(row["against"]) if isinstance(row["against"], str) else "–",
                    row["verdict"] if isinstance(row["verdict"], str) and not bound else "–",
                )
            )
    paragraphs = (
        _worth(rows, role),
        f"Below: {shown['crime_type'].iloc[0]}; means over the cut-offs with 95 % intervals of "
        "resampled blocks of cut-offs; the difference is paired, its verdict at 5 % after Holm. "
        "Less is better for the Brier score and the Poisson deviance.",
    )
    return (paragraphs, tuple(sentences), tuple(table) if len(table) > 1 else ())


def _ends(low: float, high: float, metric: str, signed: bool) -> str:
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    if signed:
        ends = [difference(metric, end).removesuffix(" points") for end in (low, high)]
    else:
        ends = [figure(metric, end).removesuffix(" %") for end in (low, high)]
    return f" ({ends[0]} to {ends[1]})"


def _where(row: pd.Series) -> str:
    unit = str(row["unit"])
    return f"{place_title(str(row['scope']))}, {UNIT_TITLES.get(unit, unit)}"


def _sentence(row: pd.Series) -> str:
    """Whether it beats the best baseline in one ranking, in words."""
    metric, coverage = HEADLINE
    opening = (
        f"{_where(row)}, {next_steps(str(row['step']), int(row['horizon_steps']))}: it captured "
        f"{figure(metric, row['value'])} of the crimes in {share(coverage)} of the "
        f"{area_word(str(row['unit']))}"
    )
    if not isinstance(row["against"], str):
        return f"{opening}. There is no other baseline to compare it with."
    apart = difference(metric, row["difference"]) + _ends(
        row["difference_low"], row["difference_high"], metric, True
    )
    against = label(row["against"])
    if row["verdict"] == BETTER:
        return f"{opening}. It beats the best other baseline, {against}, by {apart}."
    if row["verdict"] == WORSE:
        return (
            f"{opening}. It does not beat the best baseline: {against} does better, by a "
            f"difference of {apart}."
        )
    if row["verdict"] == EQUAL:
        return (
            f"{opening}. It does not beat the best other baseline, {against}: the difference of "
            f"{apart} may be chance."
        )
    return (
        f"{opening}. Whether it beats the best other baseline, {against}, cannot be said: "
        f"{int(row['cut_offs'])} cut-offs are too few."
    )


def _cut_offs(rows: pd.DataFrame) -> str:
    judged = rows[rows["cut_offs"] > 0]
    if not len(judged):
        return "It has not been judged at any cut-off."
    return (
        f"Judged at up to {int(judged['cut_offs'].max())} cut-offs, from "
        f"{judged['first_cut_off'].min()} to {judged['last_cut_off'].max()}. At each it was given "
        "the steps up to the cut-off and judged by those after it."
    )


def _plain(value: object) -> str:
    """A value as one line of text; of long lists the ends."""
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {_plain(inner)}" for key, inner in value.items()) or "none"
    if isinstance(value, list | tuple | set | frozenset):
        ordered = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        items = [_plain(inner) for inner in ordered]
        if len(items) > 12:
            return f"{len(items)}: {', '.join(items[:2])} … {items[-1]}"
        return ", ".join(items) or "none"
    return " ".join(str(value).split())
