"""The pages of the reference that are made from the code, when the documentation is built.

mkdocs-gen-files runs this file. Each ``*_page`` function returns the Markdown of one page, so that
a test can read a page without building the site. Settings are those of an empty environment: what
a page says never depends on the machine that built it.
"""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import dagster as dg

import crime_assets
from crime_assets.cities.city import REGISTER, read_city
from crime_assets.definitions import build_definitions
from crime_assets.partitions import cities
from crime_assets.quality import runner
from crime_assets.quality.checks import CHECKED_WITH, models_of
from crime_assets.register import CRIME_TYPES, CRIME_TYPES_CSV, FORCES, FORCES_CSV, Force
from crime_assets.settings import SETTINGS, Settings
from crime_assets.tables import TABLES, Table

ROOT = Path(__file__).parents[1]
PUBLISHED_WITH = {table: asset for table, (asset, _) in CHECKED_WITH.items()}
"""Tables that another table's asset publishes."""

PARTITIONS = {
    ("month", "force"): "month and force: `kent|2025-09`",
    ("month",): "month: `2025-09`",
    ("force",): "force: `kent`",
    ("city",): "city: `san-francisco`",
    ("cells", "city"): "cells along a side and city: `16|san-francisco`",
    ("cells", "city", "model"): "cells and city: `16|san-francisco`; an asset a method",
    ("month", "model", "unit"): "month: `2025-09`; a file a kind of unit, an asset a model",
    ("month", "model"): "month: `2025-09`; an asset a model",
    (): "none",
}


def main() -> None:
    """Write the pages into the site."""
    import mkdocs_gen_files

    for path, text in pages().items():
        with mkdocs_gen_files.open(path, "w") as page:
            page.write(text)


def pages() -> dict[str, str]:
    """All pages by their path in the site's sources."""
    return {
        "reference/tables.md": tables_page(),
        "reference/settings.md": settings_page(),
        "reference/assets.md": assets_page(),
        "reference/expectations.md": expectations_page(),
        "reference/registers.md": registers_page(),
        **{f"reference/api/{room}.md": api_page(room) for room in rooms()},
        "changelog.md": root_page("CHANGELOG.md"),
        "contributing.md": root_page("CONTRIBUTING.md"),
    }


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; pipes and line ends in cells are escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in line) + " |"
        for line in lines
    )


def root_page(name: str) -> str:
    """A file of the repository's root as a page; its links into ``docs/`` lead to the pages."""
    return (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")


# --- Tables, settings, registers --------------------------------------------------------------


def tables_page() -> str:
    """Every table of the lake: what a row is, where it lies, its columns."""
    text = [
        "# Tables",
        "Made from `crime_assets/tables.py`. Names, columns and units are a contract: columns are "
        "added freely, and changed or dropped only with a note in the [changelog](../changelog.md)."
        " The lake refuses to publish a relation with other columns. Months are text, `2025-09`.",
        markdown_table(
            ["table", "one row is", "partitions"],
            [
                [f"[`{t.name}`](#{t.name})", t.row, PARTITIONS[t.partitions]]
                for t in TABLES.values()
            ],
        ),
    ]
    for table in TABLES.values():
        text += _table_section(table)
    return "\n\n".join(text) + "\n"


def _table_section(table: Table) -> list[str]:
    asset = PUBLISHED_WITH.get(table.name, table.name)
    folders = "".join(f"{c}={_EXAMPLES[c]}/" for c in table.partitions)
    assets = [f"{asset}/{model}" for model in models_of(asset)] or [asset]
    hive = [[f"`{c}`", "`varchar`", "from the path"] for c in table.partitions]
    columns = [[f"`{c.name}`", f"`{c.type}`", c.description] for c in table.columns]
    return [
        f"## `{table.name}` {{ #{table.name} }}",
        f"One row is {table.row}.",
        f"File: `lake/{table.name}/{folders}data.parquet`. "
        f"Published by {', '.join(f'[`{a}`](assets.md#{_anchor(a)})' for a in assets)}.",
        markdown_table(["column", "type", "what it holds"], hive + columns),
    ]


_EXAMPLES = {
    "month": "2025-09",
    "force": "kent",
    "model": "rolling_mean_12",
    "unit": "hex",
    "city": "san-francisco",
    "cells": "16",
}


def _anchor(asset: str) -> str:
    """Where an asset is described on its page."""
    return asset.replace("/", "-")


def settings_page() -> str:
    """Every environment variable, its default, its meaning."""
    text = [
        "# Settings",
        "Made from `crime_assets/settings.py`. A setting is an environment variable. It is read "
        "when the definitions are loaded, and nowhere else. A value that cannot be used stops the "
        "loading, with the name of the variable.",
        markdown_table(
            ["variable", "if it is not set"],
            [
                [f"[`{s.name}`](#{s.name.lower()})", f"`{s.default}`" if s.default else "(empty)"]
                for s in SETTINGS
            ],
        ),
    ]
    for setting in SETTINGS:
        text += [f"## `{setting.name}` {{ #{setting.name.lower()} }}", setting.description]
    return "\n\n".join(text) + "\n"


def registers_page() -> str:
    """The forces, the crime types and the cities that the pipeline knows."""
    return "\n\n".join(
        [
            "# Forces, crime types and cities",
            f"Made from `{FORCES_CSV.relative_to(ROOT)}` and "
            f"`{CRIME_TYPES_CSV.relative_to(ROOT)}`.",
            "## Forces",
            "`monthly crimes` is what a force usually publishes in a month; a file with less than "
            "a quarter of it is `partial`. How it was measured stands in "
            f"[the register]({_api_link(Force)}).",
            markdown_table(
                ["force", "name", "area", "kind", "monthly crimes"],
                [
                    [f"`{f.force}`", f.name, f.area_code, f.kind, f"{f.monthly_crimes:,}"]
                    for f in FORCES.values()
                ],
            ),
            "## Crime types",
            "A type without a last month is in use, and is ranked.",
            markdown_table(
                ["crime type", "from", "to"],
                [[t.crime_type, t.first_month, t.last_month] for t in CRIME_TYPES.values()],
            ),
            *(part for path in sorted(REGISTER.glob("*.yaml")) for part in _city_section(path)),
        ]
    ) + "\n"  # fmt: skip


def _city_section(path: Path) -> list[str]:
    """A city: where its data come from, its box, and the crime type of each category."""
    city = read_city(path)
    box = city.box
    return [
        f"## {city.title} {{ #{city.slug} }}",
        f"From `{path.relative_to(ROOT)}`. Source: {city.source}. Licence: {city.licence}. "
        f"Box: {box.west} to {box.east}, {box.south} to {box.north} degrees.",
        markdown_table(
            ["category as published", "study", "corrected", "note"],
            [
                [f"`{c.category}`" if c.category else "(empty)", c.study, c.corrected, c.note]
                for c in city.categories.values()
            ],
        ),
    ]


# --- Assets -----------------------------------------------------------------------------------


@cache
def _definitions() -> dg.Definitions:
    return build_definitions(Settings.from_environment({}))


def assets_page() -> str:
    """Every asset: group, partitions, what it is made from, its checks and jobs."""
    definitions = _definitions()
    graph = definitions.resolve_asset_graph()
    jobs = {
        job.name: {key.to_user_string() for key in job.asset_layer.executable_asset_keys}
        for job in definitions.resolve_all_job_defs()
        if not job.name.startswith("__")
    }
    text = [
        "# Assets, checks and jobs",
        "Made from `build_definitions()`. The description of an asset is what the Dagster UI "
        "shows. Checks named `expectations`, `rejected_lines` and `issues` judge a profile after "
        "the fact ([expectations](expectations.md)), those of `inventory` what it found; all "
        "others are audits: where one is broken, nothing is "
        "published and the old partition stays.",
        "## Jobs",
        markdown_table(
            ["job", "what it does", "assets"],
            [
                [f"`{job.name}`", job.description or "", _links(sorted(jobs[job.name]))]
                for job in definitions.resolve_all_job_defs()
                if job.name in jobs
            ],
        ),
    ]
    nodes = [graph.get(key) for key in graph.toposorted_asset_keys]
    groups = sorted({str(node.group_name) for node in nodes}, key=_flow)
    for group in groups:
        text.append(f"## Group {group}")
        for node in (n for n in nodes if n.group_name == group):
            name = node.key.to_user_string()
            inputs = [
                f"- [`{parent}`](#{_anchor(parent)}): "
                f"{_reach(node.partition_mappings.get(key), node, graph.get(key))}"
                for key in sorted(node.parent_keys, key=lambda k: k.to_user_string())
                for parent in [key.to_user_string()]
            ]
            checks = [
                [f"`{key.name}`", graph.get_check_spec(key).description or ""]
                for key in sorted(node.check_keys, key=lambda k: k.name)
            ]
            in_jobs = ", ".join(f"`{job}`" for job, of in jobs.items() if name in of)
            of = name.split("/")[0]
            table = f" Table: [`{of}`](tables.md#{of})." if of in TABLES else ""
            text += [
                f"### `{name}` {{ #{_anchor(name)} }}",
                (node.description or "").strip(),
                f"One row is {node.metadata['row']}. Partitions: {_partitions(node)}. "
                f"Kinds: {', '.join(sorted(node.kinds))}. Job: {in_jobs}.{table}",
            ]
            text += ["Made from:\n\n" + "\n".join(inputs)] if inputs else []
            text.append(markdown_table(["check", "what it promises"], checks))
    return "\n\n".join(text) + "\n"


def _flow(group: str) -> tuple[int, str]:
    """The order in which data flows through the groups; the warehouse looks at all of them."""
    known = (
        *("sources", "hexes", "lsoa", "streets", "gldnet", "cities", "forecasting"),
        *("classification", "london_study", "maps"),
    )
    return (known.index(group) if group in known else len(known), group)


def _links(names: Iterable[str]) -> str:
    return ", ".join(f"[`{name}`](#{_anchor(name)})" for name in names)


def _partitions(node: object) -> str:
    definition = node.partitions_def  # type: ignore[attr-defined]
    if definition is None:
        return "none"
    if isinstance(definition, dg.MultiPartitionsDefinition):
        names = set(definition.partition_dimension_names)
        return next(words for of, words in PARTITIONS.items() if set(of) == names)
    if isinstance(definition, dg.StaticPartitionsDefinition):
        return PARTITIONS["city" if definition == cities else "force",]
    return PARTITIONS["month",]


def _reach(mapping: object, node: object, parent: object) -> str:
    """Which partitions of a parent a partition is made from, in words."""
    of_node = node.partitions_def  # type: ignore[attr-defined]
    of_parent = parent.partitions_def  # type: ignore[attr-defined]
    if of_parent is None:
        return "the whole of it"
    if of_node is None:
        return "all partitions that are there"
    if isinstance(mapping, dg.TimeWindowPartitionMapping) and mapping.end_offset == -1:
        return f"the {-mapping.start_offset} months before this one"
    if isinstance(mapping, dg.TimeWindowPartitionMapping) and mapping.start_offset > 0:
        return f"the {mapping.end_offset} months after this one"
    if isinstance(mapping, dg.TimeWindowPartitionMapping) and mapping.start_offset:
        ahead = f", and up to {mapping.end_offset} after it" if mapping.end_offset else ""
        return f"the {1 - mapping.start_offset} months that end with this one{ahead}"
    if isinstance(mapping, dg.MultiPartitionMapping):
        (of_months,) = (
            m.partition_mapping
            for m in mapping.downstream_mappings_by_upstream_dimension.values()
            if isinstance(m.partition_mapping, dg.TimeWindowPartitionMapping)
        )
        start = of_months.start_offset
        force = (
            "of the force" if "force" in getattr(of_parent, "partition_dimension_names", ()) else ""
        )
        return f"the {1 - start} months {force} that end with this one".replace("  ", " ")
    if of_parent == cities:
        return "the same city"
    if isinstance(of_parent, dg.StaticPartitionsDefinition):
        same = isinstance(mapping, dg.MultiToSingleDimensionPartitionMapping)
        return "the same force" if same or of_parent == of_node else "all forces that are there"
    if isinstance(mapping, dg.MultiToSingleDimensionPartitionMapping):
        return "all forces of the month"
    return "the same partition"


# --- Expectations -----------------------------------------------------------------------------


def expectations_page() -> str:
    """Every expectation suite: what is expected of a table's profile, and how bad a breach is."""
    tables = runner.suite_tables()
    text = [
        "# Expectation suites",
        "Made from `crime_assets/quality/suites/*.yaml`. A suite judges the profile of a table: "
        "one row a partition, made by `sql/quality/<table>.sql`. A breach is an error in the UI "
        "where it is critical, else a warning; neither stops a run. A column that is null is not "
        "judged: there was nothing to compare.",
    ]
    if not tables:
        text.append("There are none yet.")
    for table in tables:
        suite = runner.read_suite(table)
        reads = [f"the {suite.months_before} months before"] if suite.months_before else []
        reads += [f"`{name}`" for name in suite.reads]
        text += [
            f"## `{table}` {{ #{table} }}",
            f"Profile: `sql/quality/{table}.sql`"
            + (f"; it also reads {', '.join(reads)}" if reads else "")
            + f". Table: [`{table}`](tables.md#{table}).",
            markdown_table(
                ["severity", "judged", "expected"],
                [
                    [expectation.severity, _judged(expectation), expectation.sentence]
                    for expectation in suite.expectations
                ],
            ),
        ]
    return "\n\n".join(text) + "\n"


def _judged(expectation: runner.Expectation) -> str:
    """The column of the profile and the rule, such as ``least_volume`` >= 0.5."""
    kwargs = dict(expectation.kwargs)
    columns = [str(kwargs.pop(k)) for k in list(kwargs) if k.startswith("column")]
    names = ", ".join(f"`{name}`" for name in columns)
    low, high = kwargs.pop("min_value", None), kwargs.pop("max_value", None)
    if expectation.type == "expect_column_values_to_be_null":
        return f"{names} is empty"
    if expectation.type == "expect_column_values_to_be_between" and not kwargs:
        if low == high or (low is None and high == 0):  # counts
            return f"{names} = {high}"
        return " and ".join(
            [f"{names} ≥ {low}"] * (low is not None) + [f"{names} ≤ {high}"] * (high is not None)
        )
    rule = re.sub("^expect_(column_values_|column_)?", "", expectation.type).replace("_", " ")
    given = ", ".join(
        f"{k} {v}" for k, v in {"min": low, "max": high, **kwargs}.items() if v is not None
    )
    return f"{names} {rule}" + (f" ({given})" if given else "")


# --- API --------------------------------------------------------------------------------------


def _api_link(described: type) -> str:
    """Where a class is described, seen from the pages beside ``api/``."""
    room = next(room for room, modules in rooms().items() if described.__module__ in modules)
    return f"api/{room}.md#{described.__module__}.{described.__qualname__}"


@cache
def rooms() -> dict[str, list[str]]:
    """The packages of ``crime_assets`` with their modules; those of the top are ``core``."""
    found: dict[str, list[str]] = {"core": ["crime_assets"]}
    for module in pkgutil.walk_packages(crime_assets.__path__, "crime_assets."):
        if module.ispkg:
            found.setdefault(module.name.split(".")[1], []).append(module.name)
        else:
            _, *path = module.name.split(".")
            found.setdefault(path[0] if len(path) > 1 else "core", []).append(module.name)
    return found


def api_page(room: str) -> str:
    """The modules of a package, from their docstrings."""
    title = "crime_assets" if room == "core" else f"crime_assets.{room}"
    blocks = "\n\n".join(f"::: {module}" for module in rooms()[room])
    return f"# `{title}`\n\n{blocks}\n"


if __name__ == "<run_path>":
    main()
