"""Notice runs whose process is gone: killed together with what started it, or with the machine.

Dagster's own launcher starts a process a run, and the code server that started it reports where it
dies. Where the server died as well nobody does: the run would count as started for ever, keep its
place among those that may run at a time, and hold up everything that waits for it.
"""

from __future__ import annotations

import socket

import psutil
from dagster import DagsterEventType, DagsterRun, DefaultRunLauncher
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus

HOST_TAG = "crime_assets/host"
"""The machine of a run that no launcher has started."""


class WatchedRunLauncher(DefaultRunLauncher):
    """Starts runs as Dagster does, and tells the monitoring of runs whether their process lives.

    For code servers on this machine, which Dagster starts by itself: processes are looked for here.
    """

    @property
    def supports_check_run_worker_health(self) -> bool:
        """It does."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Whether the process that said last that it works on the run is still there.

        Of a run that works on another machine (``make backfill`` there) nothing is known.
        """
        host = run.tags.get(HOST_TAG, socket.gethostname())
        if host != socket.gethostname():
            return CheckRunHealthResult(WorkerStatus.RUNNING, f"it works on {host}")
        said = [
            (event.timestamp, event.dagster_event.engine_event_data.metadata["pid"])
            for event in self._instance.all_logs(run.run_id, DagsterEventType.ENGINE_EVENT)
            if event.dagster_event
            and "pid" in (event.dagster_event.engine_event_data.metadata or {})
        ]
        if not said:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "no process has said that it works")
        when, value = said[-1]
        pid = int(str(value.value))
        if _was_there(pid, when):
            return CheckRunHealthResult(WorkerStatus.RUNNING, f"process {pid} works on it")
        return CheckRunHealthResult(WorkerStatus.NOT_FOUND, f"its process {pid} is gone")


def _was_there(pid: int, when: float) -> bool:
    """Whether a process is there, and was at a time of the clock: numbers are given anew."""
    try:
        process = psutil.Process(pid)
        # a second for clocks: the start of a process is counted from that of the machine
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() < when + 1
    except psutil.NoSuchProcess:
        return False
