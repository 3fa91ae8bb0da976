"""The event log of one machine, whose index is opened once and not for each event.

Dagster keeps the events of a run in a SQLite file of the run, and those of assets and checks in an
index of all runs besides. It opens the file, and closes it again, for each event, which takes
longer than to write it. A backfill of a nation's three years writes 15,000 of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster import StringSource
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.pool import StaticPool


def configuration() -> str:
    """What ``dagster.yaml`` is of a home on one machine: the project's, and this event log."""
    here = Path(__file__).parent
    files = (here.parents[1] / "dagster.yaml", here / "event_log.yaml")
    return "".join(file.read_text(encoding="utf-8") for file in files)


def use_instance(home: Path) -> None:
    """Let DAGSTER_HOME be ``home``, with our ``dagster.yaml`` unless it has its own."""
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists():
        (home / "dagster.yaml").write_text(configuration(), encoding="utf-8")
    os.environ["DAGSTER_HOME"] = str(home)


class OpenIndexEventLog(SqliteEventLogStorage):
    """Dagster's own event log in SQLite, at the same place, with the index kept open.

    Files of runs are opened and closed as ever: who watches a run is told by that. A machine that
    loses its power may lose the last events of the index, never its consistency.
    """

    _index: Engine | None = None

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """``home``: what DAGSTER_HOME is."""
        return {"home": StringSource}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> OpenIndexEventLog:
        """The event log of a home, where Dagster's own would lie."""
        return cls(str(Path(config_value["home"]) / "history" / "runs"), inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        if shard != INDEX_SHARD_NAME:
            with super()._connect(shard) as connection:
                yield connection
            return
        with self._db_lock:
            if self._index is None:
                engine = create_engine(
                    self.conn_string_for_shard(shard),
                    poolclass=StaticPool,
                    connect_args={
                        "timeout": SQLITE_BUSY_TIMEOUT_SECONDS,
                        "check_same_thread": False,  # the lock lets one thread in at a time
                    },
                )
                self._initdb(engine, for_index_shard=True)
                with engine.connect() as connection:
                    connection.execute(text("pragma synchronous = normal"))
                self._index = engine
            with self._index.begin() as connection:
                yield connection

    def dispose(self) -> None:
        """Close the index too."""
        super().dispose()
        if self._index is not None:
            self._index.dispose()
            self._index = None
