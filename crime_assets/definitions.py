"""The one place where the parts are put together; imports nothing heavy.

``build_definitions`` makes fresh definitions each time, so that a test hands in settings of its
own and patches nothing. ``defs`` is what Dagster loads.
"""

from __future__ import annotations

import dagster as dg

from crime_assets.automation import releases, upkeep
from crime_assets.automation.conditions import with_conditions
from crime_assets.automation.jobs import jobs
from crime_assets.cities import assets as cities
from crime_assets.classification import assets as classification
from crime_assets.forecasting import assets as forecasting
from crime_assets.gldnet import assets as gldnet
from crime_assets.grids import assets as grids
from crime_assets.hexes import assets as hexes
from crime_assets.lake import DuckDB, Lake
from crime_assets.london import assets as london
from crime_assets.lsoa import assets as lsoa
from crime_assets.maps import assets as maps
from crime_assets.publication import executor
from crime_assets.quality import assets as quality
from crime_assets.quality.checks import expectation_checks
from crime_assets.settings import Settings
from crime_assets.sources import assets as sources
from crime_assets.sources.police_uk import PoliceUkArchive
from crime_assets.streets import assets as streets
from crime_assets.trainer import Trainer
from crime_assets.warehouse import assets as warehouse


def build_definitions(settings: Settings | None = None) -> dg.Definitions:
    """All assets, checks and jobs with the resources that ``settings`` describe.

    Without ``settings`` they are read from the environment; raises
    :class:`crime_assets.settings.SettingError` where one of them cannot be.
    """
    settings = settings or Settings.from_environment()
    rooms = [
        sources,
        hexes,
        lsoa,
        streets,
        gldnet,
        cities,
        forecasting,
        classification,
        grids,
        london,
        maps,
        warehouse,
        quality,
    ]
    return dg.Definitions(
        assets=with_conditions(dg.load_assets_from_modules(rooms), settings),
        asset_checks=[*expectation_checks(), quality.inventory_checks],
        jobs=[*jobs, upkeep.clean_up],
        sensors=releases.sensors(settings),
        schedules=[*releases.schedules(settings), *upkeep.schedules(settings)],
        executor=executor,
        resources={
            "settings": settings,
            "lake": Lake(settings.data_dir / "lake"),
            "archive": PoliceUkArchive(url=settings.archive_url),
            "engine": DuckDB(
                memory_limit=settings.memory_limit,
                threads=settings.threads,
                temp_directory=str(settings.work_dir / "tmp"),
            ),
            "trainer": Trainer(
                where=settings.trainer,
                jobs=settings.trainer_jobs,
                ray_address=settings.ray_address,
                gpus=settings.trainer_gpus,
            ),
        },
    )


defs = build_definitions()
