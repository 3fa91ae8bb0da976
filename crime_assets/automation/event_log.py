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
from sqlalchemy.pool import NullPool, Pool, StaticPool


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

    Files of runs are opened and closed as ever: who watches a run is told by that. Only what is
    known of the last one stays: how statements are written. A machine that loses its power may lose
    the last events of the index, never its consistency.
    """

    _index: Engine | None = None
    _last_run: tuple[str, Engine] | None = None

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
        with self._db_lock:
            engine = self._open_index() if shard == INDEX_SHARD_NAME else self._engine_of_run(shard)
            with engine.begin() as connection:
                yield connection

    def _open_index(self) -> Engine:
        if self._index is None:
            engine = self._engine(
                INDEX_SHARD_NAME,
                StaticPool,
                check_same_thread=False,  # the lock lets one thread in at a time
            )
            self._initdb(engine, for_index_shard=True)
            with engine.connect() as connection:
                connection.execute(text("pragma synchronous = normal"))
            self._index = engine
        return self._index

    def _engine_of_run(self, run_id: str) -> Engine:
        if self._last_run is None or self._last_run[0] != run_id:
            engine = self._engine(run_id, NullPool)
            if run_id not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(run_id)
            self._last_run = (run_id, engine)
        return self._last_run[1]

    def _engine(self, shard: str, pool: type[Pool], **arguments: Any) -> Engine:
        return create_engine(
            self.conn_string_for_shard(shard),
            poolclass=pool,
            connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, **arguments},
        )

    def dispose(self) -> None:
        """Close the index too."""
        super().dispose()
        if self._index is not None:
            self._index.dispose()
            self._index = None
