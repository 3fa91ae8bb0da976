"""The asset that takes the inventory, and the checks that read it."""

# No `from __future__ import annotations`: Dagster reads the type of a context as it stands.

import json
from collections.abc import Iterator

import dagster as dg
import duckdb

from crime_assets.alerts import tell
from crime_assets.lake import DuckDB, Lake, create
from crime_assets.publication import (
    Result,
    audit,
    preview,
    publish_each,
    table_asset,
    table_metadata,
)
from crime_assets.quality import inventory as taking
from crime_assets.settings import Settings
from crime_assets.sources.police_uk import PoliceUkArchive, SourceError, SourceUnreachable
from crime_assets.tables import ARCHIVE_INDEX, INVENTORY, STREET_CRIMES


@dg.asset(
    **table_asset(
        INVENTORY,
        group="quality",
        statements=["quality/findings"],
        audits={"states_are_known": "Each row has a state that the table knows, and a reason."},
    )
)
def inventory(
    context: dg.AssetExecutionContext,
    engine: DuckDB,
    lake: dg.ResourceParam[Lake],
    archive: PoliceUkArchive,
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.Output]:
    """A partition that is not as it should be: failed, missing, outdated or late; and why.

    Of every table, from what Dagster knows of partitions, from the lake, and from police.uk's
    newest release. An expected force that did not publish a month is not missing: `coverage` says
    so. Nothing is late by the clock: only what police.uk has published and this lake has not. Its
    checks tell what each night brought; no row is good news.
    """
    # here, since it imports this module; the context's own is there in some kinds of run only
    from crime_assets.definitions import build_definitions

    graph = build_definitions(settings).resolve_asset_graph()
    partitions = {
        key: definition
        for key in graph.materializable_asset_keys
        if (definition := graph.get(key).partitions_def)
    }

    def publish(connection: duckdb.DuckDBPyConnection, _: dict[str, str]) -> Result:
        found = list(taking.failed_partitions(context.instance, partitions))
        indexed = max((p["month"] for p in lake.partitions(ARCHIVE_INDEX.name)), default=None)
        try:
            newest = archive.newest()
        except (SourceError, SourceUnreachable) as error:
            answer = f"it is not known whether there is more: {error}"
            context.log.warning(f"police.uk does not answer: {error}")
        else:
            answer = newest.release
            place = {"month": newest.release}
            known = lake.has(ARCHIVE_INDEX.name, place)
            edition = lake.provenance(connection, ARCHIVE_INDEX.name, place) if known else None
            found += taking.late_release(newest, edition)
        if indexed:
            found += taking.files_not_read(connection, lake, indexed, settings.forces)
        named = {f.month for f in found if f.month and f.name == STREET_CRIMES.name}
        found += taking.months_not_made(connection, lake, settings.forces, named)
        rows = json.dumps([vars(finding) for finding in found])
        create(connection, "quality/findings", "inventory", rows=rows)
        audit(connection, "quality/audits/states_are_known", states=list(taking.STATES))
        published = lake.publish(connection, "inventory", INVENTORY.name)
        metadata = table_metadata(connection, "inventory", published) | {
            "newest_release_indexed": indexed or "none",
            "newest_release_published": answer,
            "states": preview(connection, "quality/previews/states"),
            "preview": preview(connection, "select * from inventory limit 40"),
        }
        return Result(published.sha256, metadata, {"states_are_known": {"rows": published.rows}})

    yield from publish_each(context, engine, publish)


_CHECKS = {
    "nothing_failed": (
        "failed",
        dg.AssetCheckSeverity.ERROR,
        "No partition is left failed.",
    ),
    "nothing_missing": (
        "missing",
        dg.AssetCheckSeverity.ERROR,
        "No expected force-month is missing without a reason, nor a table of a month that is read.",
    ),
    "nothing_outdated": (
        "outdated",
        dg.AssetCheckSeverity.WARN,
        "No month was counted from other files than those in the lake.",
    ),
    "follows_police_uk": (
        "late",
        dg.AssetCheckSeverity.WARN,
        "This lake has what police.uk has published: stale only when it has and we have not.",
    ),
}


@dg.multi_asset_check(
    name="inventory_checks",
    specs=[
        dg.AssetCheckSpec(name, asset=inventory, description=promise)
        for name, (_, _, promise) in _CHECKS.items()
    ],
    can_subset=True,
)
def inventory_checks(
    context: dg.AssetCheckExecutionContext,
    engine: DuckDB,
    lake: dg.ResourceParam[Lake],
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.AssetCheckResult]:
    """What the inventory says, a check a state; whoever is on watch is told of what is not well."""
    wanted = {key.name for key in context.selected_asset_check_keys}
    told = []
    with engine.get_connection() as connection:
        lake.view(connection, INVENTORY.name)
        for name, (state, severity, promise) in _CHECKS.items():
            if name not in wanted:
                continue
            rows = connection.execute(
                "select concat_ws(' ', name, month, force), reason from inventory "
                "where state = $state",
                {"state": state},
            ).fetchall()
            shown = "; ".join(f"{place}: {reason}" for place, reason in rows[:8])
            more = f" .. and {len(rows) - 8} more" if len(rows) > 8 else ""
            description = f"{len(rows)} {state}: {shown}{more}" if rows else promise
            if rows:
                told.append(description)
            yield dg.AssetCheckResult(
                check_name=name,
                asset_key=inventory.key,
                passed=not rows,
                severity=severity,
                description=description,
                metadata={"partitions": len(rows)},
            )
    if told and (wrong := tell(settings, "Inventory: " + "\n".join(told))):
        context.log.warning(wrong)
