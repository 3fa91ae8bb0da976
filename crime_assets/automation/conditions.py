"""When a table is made without anybody asking: what follows what, and what it waits for.

Dagster's ``AutomationCondition.eager()`` never fires here: it looks at the latest month by the
clock, and police.uk is two months late. Nor is it enough that everything upstream is there: a
window of twelve months at the beginning of a lake is not, and a month waits for the forces that
are expected, not for all that exist. So the conditions are put together here from four claims:

- something that it is made of has a new version (:class:`NewVersion`; not merely a new run: police
  uk revises the outcomes of old months with each release, which changes no count), and was made
  after it (:class:`Older`);
- what it needs of its own month is there (:class:`MonthIsThere`);
- nothing before it is on its way (:class:`Settled`), so that a release of 36 revised months is
  ranked once, when the last of them is counted, and not 36 times.

Each table is asked for once, by :data:`FOLLOWERS`, in three stages: counts of a month; rankings of
the windows that hold it; frequency and map of the spans that hold a ranking that changed. Where a
stage finds that nothing changed, the next does not start. What was asked for and did not come (its
run failed, was cancelled or killed) is asked for again once a day. Nothing fires for what was there
when the sensor was switched on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster._core.definitions.declarative_automation.operands.subset_automation_condition import (
    SubsetAutomationCondition,
    TimedSubsetAutomationCondition,
)
from dagster._core.definitions.events import AssetKeyPartitionKey
from dagster._record import record

from crime_assets.hexes.ranking import FREQUENCY_MONTHS
from crime_assets.partitions import months_back
from crime_assets.settings import Settings

EARLIER_MONTHS = FREQUENCY_MONTHS - 1
"""How far back the longest window of any table looks: the frequency's."""

AGAIN = "0 6 * * *"
"""When what was asked for and did not come is asked for again, in London's time."""

READ_AND_COUNTED = ("street_crimes", "coverage", "hex_counts", "snap_counts")
"""What must be at rest before months are ranked."""


@record
class NewVersion(TimedSubsetAutomationCondition[dg.AssetKey]):
    """Partitions that were made since the last tick, and differ from what they were."""

    @property
    def name(self) -> str:
        """What the UI calls it."""
        return "has a new version"

    async def compute_subset_with_timing_metadata(  # type: ignore[override]
        self, context: Any
    ) -> tuple[Any, Any]:
        """The partitions, and when each was made: a table made later has seen them."""
        newly_made: Any = dg.AutomationCondition.newly_updated()
        subset, timing = await newly_made.compute_subset_with_timing_metadata(context)
        if subset.is_empty:
            return subset, None
        view = context.asset_graph_view
        changed = await view.compute_data_version_changed_since_temporal_context_subset(
            key=context.key, temporal_context=context.previous_temporal_context
        )
        if timing is None:
            return changed, None
        when = {
            time: both
            for time, made in timing.timestamps.items()
            if not (both := made.compute_intersection(changed)).is_empty
        }
        return changed, type(timing)(timestamps=when)


@record
class Older(SubsetAutomationCondition[dg.AssetKey]):
    """Partitions that were made before some partition of ``tables`` that they are made of.

    Asked of the event log as it is now. What a tick knows ends where it began: a run that works
    while it is evaluated has its first tables seen as new, and its last as not yet made.
    """

    tables: Sequence[str]

    @property
    def name(self) -> str:
        """What the UI calls it."""
        return f"is older than {' or '.join(self.tables)}"

    async def compute_subset(self, context: Any) -> Any:  # type: ignore[override]
        """Those of the candidates that are."""
        view, candidates = context.asset_graph_view, context.candidate_subset
        keys = candidates.expensively_compute_partition_keys()
        own = _latest(view, context.key)
        older: set[str] = set()
        for table in map(dg.AssetKey, self.tables):
            latest = _latest(view, table) if keys else {}
            for key in keys - older:
                partition = view.get_asset_subset_from_asset_partitions(
                    context.key, {AssetKeyPartitionKey(context.key, key)}
                )
                made_of = partition.compute_mapped_subset(table, direction="up")
                ids = map(latest.get, made_of.expensively_compute_partition_keys())
                if max(filter(None, ids), default=0) > own.get(key, 0):
                    older.add(key)
        return candidates.compute_intersection_with_partition_keys(older)


def _latest(view: Any, key: dg.AssetKey) -> Mapping[str, int]:
    """The number of the event by which each partition was made last."""
    storage = view.instance.event_log_storage
    return storage.get_latest_storage_id_by_partition(
        key, dg.DagsterEventType.ASSET_MATERIALIZATION
    )


@record
class MonthIsThere(SubsetAutomationCondition[dg.AssetKey]):
    """Months of which each of ``tables`` is there, or is being asked for in this tick.

    Of a table by month and force: that each of ``forces`` is there, published or explicitly empty.
    """

    tables: Sequence[str]
    forces: Sequence[str]

    @property
    def name(self) -> str:
        """What the UI calls it."""
        return f"{' and '.join(self.tables)} of the month are there"

    @property
    def description(self) -> str:
        """What it waits for."""
        return f"expected forces: {', '.join(self.forces)}"

    async def compute_subset(self, context: Any) -> Any:  # type: ignore[override]
        """Those of the candidates whose month is there."""
        there = context.candidate_subset
        for table in self.tables:
            key = dg.AssetKey(table)
            made = await context.asset_graph_view.compute_materialized_asset_subset(key)
            definition = context.asset_graph.get(key).partitions_def
            if definition is None:
                if made.is_empty:
                    return context.get_empty_subset()
                continue
            keys = set(made.expensively_compute_partition_keys())
            if asked_for := context.request_subsets_by_key.get(key):
                keys |= set(asked_for.expensively_compute_partition_keys())
            there = there.compute_intersection_with_partition_keys(
                {m for m in there.expensively_compute_partition_keys() if self._all_of(m, keys)}
            )
        return there

    def _all_of(self, month: str, keys: set[str]) -> bool:
        return month in keys or (
            bool(self.forces) and all(f"{force}|{month}" in keys for force in self.forces)
        )


@record
class Settled(SubsetAutomationCondition[dg.AssetKey]):
    """Months up to which no partition of ``tables`` is asked for, queued or being made.

    What is asked for in this very tick counts: it has no run yet. What lies further back than any
    window looks does not.
    """

    tables: Sequence[str]

    @property
    def name(self) -> str:
        """What the UI calls it."""
        return f"nothing of {', '.join(self.tables)} is on its way"

    async def compute_subset(self, context: Any) -> Any:  # type: ignore[override]
        """Those of the candidates that nothing in their windows holds up."""
        busy: set[str] = set()
        for table in self.tables:
            view, key = context.asset_graph_view, dg.AssetKey(table)
            everything = view.get_full_subset(key=key)
            for computed in (
                view.compute_run_in_progress_subset(key=key, from_subset=everything),
                view.compute_backfill_in_progress_subset(key=key, from_subset=everything),
            ):
                keys = (await computed).expensively_compute_partition_keys()
                busy |= {k.rsplit("|", 1)[-1] for k in keys}
            if asked_for := context.request_subsets_by_key.get(key):
                busy |= set(asked_for.expensively_compute_partition_keys())
        candidates = context.candidate_subset
        if not busy:
            return candidates
        return candidates.compute_intersection_with_partition_keys(
            {
                month
                for month in candidates.expensively_compute_partition_keys()
                if not busy.intersection(months_back(month, EARLIER_MONTHS + 1))
            }
        )


@record
class NewestOf(SubsetAutomationCondition[dg.AssetKey]):
    """The newest month of ``table`` that is there."""

    table: str

    @property
    def name(self) -> str:
        """What the UI calls it."""
        return f"is the newest {self.table}"

    async def compute_subset(self, context: Any) -> Any:  # type: ignore[override]
        """That of the candidates, if it is one of them."""
        made = await context.asset_graph_view.compute_materialized_asset_subset(
            dg.AssetKey(self.table)
        )
        newest = max(made.expensively_compute_partition_keys(), default=None)
        return context.candidate_subset.compute_intersection_with_partition_keys(
            context.candidate_subset.expensively_compute_partition_keys() & {newest}
        )


@dataclass(frozen=True)
class Follower:
    """What a table follows, and what it needs.

    ``after``: a new version of one of them (in any month that the table is made of) asks for it, as
    does one of ``with_`` that is being asked for. ``needs`` must be there of the same month.
    ``settled``: the tables that must be at rest before. ``newest``: it is made of the newest month
    of that table alone.
    """

    after: tuple[str, ...]
    needs: tuple[str, ...]
    with_: tuple[str, ...] = ()
    settled: tuple[str, ...] = ()
    newest: str = ""


_STUDY_AREA = ("hex_cells", "scopes", "scope_cells")

FOLLOWERS: Mapping[str, Follower] = {
    # a month is counted once, when the last of the forces that are expected is there
    "coverage": Follower(after=("street_crimes",), needs=("street_crimes",)),
    "hex_counts": Follower(after=("coverage",), with_=("coverage",), needs=("coverage",)),
    "snap_counts": Follower(after=("coverage",), with_=("coverage",), needs=("coverage",)),
    "reconciliation": Follower(
        after=("coverage", "hex_counts"),
        with_=("coverage", "hex_counts"),
        needs=("coverage", "hex_counts", "hex_cells"),
    ),
    "lsoa_counts": Follower(
        after=("coverage",), with_=("coverage",), needs=("coverage", "lsoa_areas")
    ),
    # windows are ranked when all that changed is counted
    "hotspots": Follower(
        after=("hex_counts", "snap_counts"),
        needs=("hex_counts", "snap_counts", *_STUDY_AREA),
        settled=READ_AND_COUNTED,
    ),
    "hotspot_summary": Follower(
        after=("hotspots", "hex_counts"),
        with_=("hotspots",),
        needs=("hotspots",),
        settled=READ_AND_COUNTED,
    ),
    # and looked back on when a ranking changed
    "hotspot_frequency": Follower(
        after=("hotspots",), needs=("hotspots",), settled=(*READ_AND_COUNTED, "hotspots")
    ),
    "hotspot_map": Follower(
        after=("hotspots", "hotspot_frequency"),
        with_=("hotspot_frequency",),
        needs=("hotspot_frequency", "lsoa_areas"),
        settled=(*READ_AND_COUNTED, "hotspots"),
    ),
    "release_changes": Follower(
        after=("coverage",),
        needs=("archive_index",),
        settled=("street_crimes", "coverage"),
        newest="archive_index",  # what is read now came with it: earlier releases are told
    ),
}
"""Which tables follow which, by table."""


def condition(table: str, settings: Settings) -> dg.AutomationCondition[Any]:
    """When ``table`` of a month is made by itself, in a deployment with these settings."""
    follower = FOLLOWERS[table]
    # reset by the request alone, whose time is known: what was made after it asks again. That the
    # table was made meanwhile, by whomever, is for Older to see
    new, requested = _any_of(follower.after, NewVersion()), dg.AutomationCondition.newly_requested()
    # asked for since, and not made: a day later its run has failed, or was cancelled
    not_made = new.since(dg.AutomationCondition.newly_updated()) & (
        dg.AutomationCondition.cron_tick_passed(AGAIN, "Europe/London").since(requested)
    )
    due = new.since(requested).with_label("something is new") | not_made.with_label(
        "something is new since it was made, and a day has passed"
    )
    asked: Any = due & Older(tables=follower.after)
    if follower.with_:
        also: Any = _any_of(follower.with_, dg.AutomationCondition.will_be_requested())
        asked |= also.with_label("something is being made anew")
    at_rest = ~dg.AutomationCondition.any_deps_in_progress().allow(_assets(follower.after))
    wanted = (
        # first: what ends while this is evaluated is then found to be newer by Older, not asked for
        ~dg.AutomationCondition.in_progress()
        & asked
        & MonthIsThere(tables=follower.needs, forces=settings.forces)
        & at_rest
    )
    if follower.settled:
        wanted &= Settled(tables=follower.settled)
    if follower.newest:
        wanted &= NewestOf(table=follower.newest)
    return wanted.with_label(f"follows {' and '.join(follower.after)}")


def _any_of(
    tables: Sequence[str], claim: dg.AutomationCondition[Any]
) -> dg.AutomationCondition[Any]:
    return dg.AutomationCondition.any_deps_match(claim).allow(_assets(tables))


def _assets(tables: Sequence[str]) -> dg.AssetSelection:
    return dg.AssetSelection.assets(*tables)


def with_conditions(assets: Sequence[Any], settings: Settings) -> list[dg.AssetsDefinition]:
    """The assets, those of :data:`FOLLOWERS` with their condition."""

    def follow(spec: dg.AssetSpec) -> dg.AssetSpec:
        table = spec.key.to_user_string()
        if table not in FOLLOWERS:
            return spec
        return spec.replace_attributes(automation_condition=condition(table, settings))

    return [asset.map_asset_specs(follow) for asset in assets]
