"""Jobs: what is launched by hand, by a schedule or by a sensor, in the two kinds of partitions.

A job cannot mix tables by month and force with tables by month.
"""

from __future__ import annotations

import dagster as dg

index_archive = dg.define_asset_job(
    "index_archive",
    selection=dg.AssetSelection.assets("archive_index"),
    description="Read the directory of the archive of a release: which files it holds, and their "
    "checksums.",
)

ingest = dg.define_asset_job(
    "ingest",
    selection=dg.AssetSelection.assets("street_crimes_csv", "street_crimes"),
    description="Fetch and read the street crimes of months and forces.",
)

list_changes = dg.define_asset_job(
    "list_changes",
    selection=dg.AssetSelection.assets("release_changes"),
    description="Say what a release changed.",
)

study_area = dg.define_asset_job(
    "study_area",
    selection=dg.AssetSelection.assets("hex_cells", "scope_cells", "scopes", "lsoa_areas"),
    description="Lay the grid over England and Wales, and keep its small areas (once, and when "
    "boundaries change).",
)

rank_hotspots = dg.define_asset_job(
    "rank_hotspots",
    selection=dg.AssetSelection.assets(
        "coverage",
        "hex_counts",
        "snap_counts",
        "reconciliation",
        "hotspots",
        "hotspot_summary",
        "hotspot_frequency",
    ),
    description="Count the crimes of months into cells, and rank the cells.",
)

count_lsoas = dg.define_asset_job(
    "count_lsoas",
    selection=dg.AssetSelection.assets("lsoa_counts"),
    description="Count the crimes of months into LSOAs.",
)

describe_lsoas = dg.define_asset_job(
    "describe_lsoas",
    selection=dg.AssetSelection.assets("lsoa_features"),
    description="Say what is known of each LSOA at cut-offs.",
)

label_lsoas = dg.define_asset_job(
    "label_lsoas",
    selection=dg.AssetSelection.assets("lsoa_labels"),
    description="Say what became of each LSOA in the twelve months after cut-offs.",
)

classify = dg.define_asset_job(
    "classify",
    selection=dg.AssetSelection.key_prefixes("lsoa_predictions"),
    description="Foretell the classes of the LSOAs in the twelve months after each cut-off, by "
    "every model.",
)

judge_classes = dg.define_asset_job(
    "judge_classes",
    selection=dg.AssetSelection.key_prefixes("lsoa_evaluations"),
    description="Judge the classes of cut-offs by what then happened.",
)

lay_streets = dg.define_asset_job(
    "lay_streets",
    selection=dg.AssetSelection.assets("street_segments", "street_graph"),
    description="Split the streets of forces into segments, and say which of them meet (once, and "
    "when streets change).",
)

count_segments = dg.define_asset_job(
    "count_segments",
    selection=dg.AssetSelection.assets("segment_counts"),
    description="Count the crimes of months on street segments.",
)

describe_segments = dg.define_asset_job(
    "describe_segments",
    selection=dg.AssetSelection.assets("segment_steps"),
    description="Lay out the months of a force's segments for networks to learn from.",
)

search_gldnet = dg.define_asset_job(
    "search_gldnet",
    selection=dg.AssetSelection.assets("gldnet_trials"),
    description="Search for the settings of GLDNet for a force (once a year, say).",
)

train_gldnet = dg.define_asset_job(
    "train_gldnet",
    selection=dg.AssetSelection.assets("gldnet", "gldnet_forecasts"),
    description="Train GLDNet for forces, and ask it for the month after the cut-off.",
)

read_incidents = dg.define_asset_job(
    "read_incidents",
    selection=dg.AssetSelection.assets("city_incidents", "incident_categories", "incident_days"),
    description="Read the incidents of cities, from files that you download.",
)

map_incidents = dg.define_asset_job(
    "map_incidents",
    selection=dg.AssetSelection.assets("incident_maps"),
    description="Count the incidents of cities by day into the cells of grids.",
)

forecast_grids = dg.define_asset_job(
    "forecast_grids",
    selection=dg.AssetSelection.key_prefixes("grid_forecasts"),
    description="Say which cells of a city's grid will be hot, by every method of the grid study. "
    "Networks train for hours without a GPU.",
)

judge_grids = dg.define_asset_job(
    "judge_grids",
    selection=dg.AssetSelection.key_prefixes("grid_evaluations")
    | dg.AssetSelection.assets("grid_leaderboard"),
    description="Judge what was said of a city's grid against what happened and the naive rules.",
)

forecast = dg.define_asset_job(
    "forecast",
    selection=dg.AssetSelection.key_prefixes("forecasts"),
    description="Say where the crimes of the months after each cut-off will be, by every model.",
)

evaluate = dg.define_asset_job(
    "evaluate",
    selection=dg.AssetSelection.key_prefixes("evaluations"),
    description="Judge the forecasts of cut-offs by what then happened.",
)

compare = dg.define_asset_job(
    "compare",
    selection=dg.AssetSelection.assets("leaderboard"),
    description="Rank the models by their evaluations, with a page and model cards.",
)

reproduce_london_study = dg.define_asset_job(
    "reproduce_london_study",
    selection=dg.AssetSelection.groups("london_study"),
    description="Reproduce the London study of 2011 to 2024, from files that you download.",
)

draw_map = dg.define_asset_job(
    "draw_map",
    selection=dg.AssetSelection.assets("hotspot_map"),
    description="Publish the map of months: a site of static files.",
)

build_warehouse = dg.define_asset_job(
    "build_warehouse",
    selection=dg.AssetSelection.assets("warehouse"),
    description="Build the analysts' database over the lake.",
)

take_inventory = dg.define_asset_job(
    "take_inventory",
    selection=dg.AssetSelection.assets("inventory"),
    description="List what is not as it should be: failed, missing, outdated, late.",
)

jobs = [
    index_archive,
    ingest,
    list_changes,
    study_area,
    rank_hotspots,
    count_lsoas,
    describe_lsoas,
    label_lsoas,
    classify,
    judge_classes,
    lay_streets,
    count_segments,
    describe_segments,
    search_gldnet,
    train_gldnet,
    read_incidents,
    map_incidents,
    forecast_grids,
    judge_grids,
    forecast,
    evaluate,
    compare,
    reproduce_london_study,
    draw_map,
    build_warehouse,
    take_inventory,
]
