"""Real deployments for tests: `dagster dev` with its daemon, PostgreSQL, and a website to follow.

Each has an instance of its own, listens on loopback only, and is killed in the end with everything
that belongs to it.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest
import requests
import yaml

from crime_assets.automation import event_log

PROJECT = Path(__file__).parents[1]
MACHINE_YAML = PROJECT / "dagster.yaml"
SERVER_YAML = PROJECT / "docs" / "how-to" / "deployment" / "dagster.yaml"

AT_END = {"SUCCESS", "FAILURE", "CANCELED"}
PAUSE_S = 0.5
"""Between two questions of a test that waits."""
LONGEST_S = 900.0
"""What takes so long is stuck: a quiet machine needs a tenth of it."""

T = TypeVar("T")

_RUNS = """
query ($limit: Int!) {
  runsOrError(limit: $limit) {
    __typename
    ... on Runs {
      results { runId jobName status creationTime tags { key value } assetSelection { path } }
    }
    ... on PythonError { message }
  }
}
"""
_FAILURES = """
query ($id: ID!) {
  logsForRun(runId: $id, limit: 1000) {
    ... on EventConnection {
      events {
        __typename
        ... on ExecutionStepFailureEvent {
          stepKey
          error { message }
          failureMetadata { description }
        }
        ... on RunFailureEvent { message }
      }
    }
  }
}
"""
_MADE = """
query ($path: [String!]!, $after: String) {
  assetOrError(assetKey: {path: $path}) {
    __typename
    ... on Asset {
      assetMaterializations(limit: 2000, afterTimestampMillis: $after) { partition runId }
    }
  }
}
"""
_BACKFILLS = """
{
  partitionBackfillsOrError(limit: 100) {
    __typename
    ... on PartitionBackfills { results { id status } }
  }
}
"""
_TICKS = """
query ($name: String!) {
  sensorOrError(
    sensorSelector: {
      repositoryLocationName: "crime_assets", repositoryName: "__repository__", sensorName: $name
    }
  ) {
    __typename
    ... on Sensor { sensorState { ticks(limit: 100) { timestamp status error { message } } } }
  }
}
"""
_BACKFILL = """
mutation ($of: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $of) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
    ... on PartitionKeysNotFoundError { message }
  }
}
"""
_BACKFILL_STATUS = """
query ($id: String!) {
  partitionBackfillOrError(backfillId: $id) {
    __typename
    ... on PartitionBackfill { status error { message } }
    ... on PythonError { message }
  }
}
"""


def environment_of(home: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process on the instance ``home``: of this one's, no settings."""
    ours = ("AWS_", "CRIME_", "DAGSTER_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return inherited | {"DAGSTER_HOME": str(home), **settings}


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(
    what: str,
    probe: Callable[[], T | None],
    within_s: float = LONGEST_S,
    explain: Callable[[], str] = lambda: "",
    pause_s: float = PAUSE_S,
) -> T:
    """What ``probe`` returns, once it is neither ``None`` nor false; fails after ``within_s``."""
    deadline = time.monotonic() + within_s
    while not (found := probe()):
        if time.monotonic() > deadline:
            pytest.fail(f"no {what} within {within_s:.0f} s\n{explain()}")
        time.sleep(pause_s)
    return found


@dataclass(frozen=True)
class Run:
    """A run as the API tells of it: its job, its status, its tags, and the assets it was for."""

    id: str
    job: str
    status: str
    created: float
    tags: Mapping[str, str]
    assets: frozenset[str]

    @property
    def partitions(self) -> tuple[str, str] | None:
        """The first and the last of its range of partitions."""
        tags = self.tags
        if one := tags.get("dagster/partition"):
            return one, one
        if first := tags.get("dagster/asset_partition_range_start"):
            return first, tags["dagster/asset_partition_range_end"]
        return None


class Deployment:
    """`dagster dev` on an instance of its own: web server, daemon and code server.

    ``home`` is the folder of the instance, ``yaml`` its configuration, ``settings`` are the
    variables of its environment. It may be started and killed any number of times.
    """

    def __init__(
        self, home: Path, settings: Mapping[str, str], configuration: Mapping[str, Any]
    ) -> None:
        home.mkdir(parents=True, exist_ok=True)
        (home / "dagster.yaml").write_text(yaml.safe_dump(dict(configuration)))
        self.home = home
        self.environment = environment_of(home, settings)
        self.log = home.with_name(f"{home.name}.log")

    # --- Processes -----------------------------------------------------------------------------

    def start(self) -> None:
        """Start everything, and return when the API answers with the definitions."""
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        command = [str(Path(sys.executable).with_name("dagster")), "dev"]
        command += ["--workspace", "workspace.yaml", "--host", "127.0.0.1", "--port", str(port)]
        with self.log.open("a") as log:
            subprocess.Popen(
                command,
                cwd=PROJECT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_for("answer of the API", self._is_up, explain=self.last_words)

    def _is_up(self) -> bool:
        query = (
            "{ workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError "
            "{ __typename } } } } }"
        )
        with suppress(requests.RequestException, KeyError, TypeError):
            entries = self.ask(query)["workspaceOrError"]["locationEntries"]
            loaded = [(entry["locationOrLoadError"] or {}).get("__typename") for entry in entries]
            assert "PythonError" not in loaded, self.last_words()
            return loaded == ["RepositoryLocation"]
        return False

    def processes(self, kind: str = "") -> list[psutil.Process]:
        """Its processes, orphans too; ``kind`` is a part of the command line."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.status() == psutil.STATUS_ZOMBIE:
                    continue
                if process.environ().get("DAGSTER_HOME") != str(self.home):
                    continue
                if kind in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def run_processes(self) -> list[psutil.Process]:
        """The processes in which runs are executed: those that a code server has spawned."""
        return [
            process
            for process in self.processes("spawn_main")
            if "resource_tracker" not in " ".join(process.cmdline())
        ]

    def kill(self) -> None:
        """SIGKILL to every process, until there is none; says what survives that."""
        deadline = time.monotonic() + 30
        while left := self.processes():
            assert time.monotonic() < deadline, f"these cannot be killed: {left}"
            for process in left:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(left, timeout=5)

    def last_words(self) -> str:
        """The end of what it printed, but for the events of runs."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join([line[:300] for line in lines if " - DEBUG - " not in line][-25:])

    # --- The API -------------------------------------------------------------------------------

    def ask(self, query: str, **variables: object) -> dict[str, Any]:
        """The data that GraphQL answers with; fails on an error that it tells of."""
        answer = requests.post(
            f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=60
        )
        answered = answer.json()
        assert "errors" not in answered, answered["errors"]
        return answered["data"]

    def runs(self, *, since: float = 0, job: str | None = None) -> list[Run]:
        """The runs that were created since a time of the clock, the newest first."""
        found = self.ask(_RUNS, limit=500)["runsOrError"]
        assert found["__typename"] == "Runs", found
        runs = [
            Run(
                id=run["runId"],
                job=run["jobName"],
                status=run["status"],
                created=run["creationTime"],
                tags={tag["key"]: tag["value"] for tag in run["tags"]},
                assets=frozenset("/".join(key["path"]) for key in run["assetSelection"] or []),
            )
            for run in found["results"]
        ]
        return [run for run in runs if run.created >= since and job in (None, run.job)]

    def made(self, asset: str, since: float = 0) -> list[str]:
        """The partitions of an asset that were materialised since, each as often as it was."""
        found = self.ask(_MADE, path=asset.split("/"), after=str(int(since * 1000)))
        if found["assetOrError"]["__typename"] != "Asset":
            return []
        return sorted(
            event["partition"] or "" for event in found["assetOrError"]["assetMaterializations"]
        )

    def ticks(self, sensor: str, since: float = 0) -> list[Mapping[str, Any]]:
        """The ticks of a sensor that ended since, the newest first."""
        state = self.ask(_TICKS, name=sensor)["sensorOrError"]["sensorState"]
        return [
            tick
            for tick in state["ticks"]
            if tick["timestamp"] >= since and tick["status"] != "STARTED"
        ]

    def is_busy(self) -> bool:
        """Whether a run or a backfill has been asked for and is not at its end."""
        found = self.ask(_BACKFILLS)["partitionBackfillsOrError"]
        assert found["__typename"] == "PartitionBackfills", found
        return any(run.status not in AT_END for run in self.runs()) or any(
            backfill["status"] in ("REQUESTED", "CANCELING") for backfill in found["results"]
        )

    def backfill(self, assets: Sequence[str], first: str, last: str) -> str:
        """Launch a backfill of assets over a range of partitions; returns its id.

        The partitions are given for each asset. Given once for all (``partitionNames``), Dagster
        takes them for those of the first assets, and adds what lies downstream: months that are
        not there yet.
        """
        partitions = {"range": {"start": first, "end": last}}
        of = {
            "partitionsByAssets": [
                {"assetKey": {"path": asset.split("/")}, "partitions": partitions}
                for asset in assets
            ]
        }
        launched = self.ask(_BACKFILL, of=of)["launchPartitionBackfill"]
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        return str(launched["backfillId"])

    def backfill_status(self, backfill: str) -> str:
        """Such as ``REQUESTED`` or ``COMPLETED_SUCCESS``."""
        found = self.ask(_BACKFILL_STATUS, id=backfill)["partitionBackfillOrError"]
        assert found["__typename"] == "PartitionBackfill", found
        return str(found["status"])

    # --- Waiting -------------------------------------------------------------------------------

    def wait(self, what: str, probe: Callable[[], T | None]) -> T:
        """As :func:`wait_for`, and tells of the last runs where it comes to nothing."""
        return wait_for(what, self._patiently(probe), explain=self.report)

    def _patiently(self, probe: Callable[[], T | None]) -> Callable[[], T | None]:
        """The same, but no answer of a busy server is one more reason to wait."""

        def ask() -> T | None:
            try:
                return probe()
            except (requests.RequestException, ValueError):
                return None

        return ask

    def wait_for_backfill(self, backfill: str) -> str:
        """Its status when it has ended."""
        ended = {"COMPLETED", "COMPLETED_SUCCESS", "COMPLETED_FAILED", "FAILED", "CANCELED"}
        return self.wait(
            f"end of the backfill {backfill}",
            lambda: status if (status := self.backfill_status(backfill)) in ended else None,
        )

    def report(self, last: int = 12) -> str:
        """The last runs, and why those of them that failed did."""
        with suppress(requests.RequestException, ValueError):
            lines = []
            for run in self.runs()[:last]:
                lines.append(
                    f"{run.status:12} {run.job} {' .. '.join(run.partitions or ())} "
                    f"{','.join(sorted(run.assets))}"
                )
                if run.status == "FAILURE":
                    lines += [f"    {line}" for line in self.why(run)]
            return "\n".join([*lines, self.last_words()])
        return self.last_words()

    def why(self, run: Run) -> list[str]:
        """What a run says of its failure, and that of its steps."""
        told = []
        for event in self.ask(_FAILURES, id=run.id)["logsForRun"].get("events", []):
            if event["__typename"] == "ExecutionStepFailureEvent":
                meta, error = event["failureMetadata"] or {}, event["error"] or {}
                reason = meta.get("description") or error.get("message") or ""
                told.append(f"{event['stepKey']}: {reason[:600]}")
            elif event["__typename"] == "RunFailureEvent":
                told.append(event["message"][:600])
        return told


@contextmanager
def deployed(deployment: Deployment) -> Iterator[Deployment]:
    """The deployment, started; in the end it is gone, and so is every process of it."""
    try:
        deployment.start()
        yield deployment
    finally:
        deployment.kill()
        assert not deployment.processes()


def configuration(file: Path, **changed: Any) -> dict[str, Any]:
    """A ``dagster.yaml``; of the sections in ``changed``, these fields are others.

    That of one machine is as `make dev` has it.
    """
    text = event_log.configuration() if file == MACHINE_YAML else file.read_text()
    found: dict[str, Any] = yaml.safe_load(text)
    for section, fields in changed.items():
        found[section] = {**found.get(section, {}), **fields}
    return found


def module(
    name: str, *arguments: str, home: Path, settings: Mapping[str, str]
) -> subprocess.Popen[str]:
    """A module of the package as a process, its words in pipes."""
    return subprocess.Popen(
        [sys.executable, "-m", name, *arguments],
        cwd=PROJECT,
        env=environment_of(home, settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finished(process: subprocess.Popen[str], within_s: float = LONGEST_S) -> str:
    """What a process printed, which must end well; it is killed where it does not end."""
    try:
        printed, _ = process.communicate(timeout=within_s)
    except BaseException as stopped:
        os.killpg(process.pid, signal.SIGKILL)
        printed, _ = process.communicate()
        if not isinstance(stopped, subprocess.TimeoutExpired):
            raise
        pytest.fail(f"{process.args} did not end within {within_s:.0f} s\n{printed[-3000:]}")
    assert process.returncode == 0, printed[-3000:]
    return printed


# --- PostgreSQL ----------------------------------------------------------------------------------


def postgres_programs() -> Path:
    """The newest PostgreSQL of Debian's packages; skips without one, and fails on CI."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        message = "PostgreSQL is not installed (Debian: postgresql)"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found[-1].parent


@contextmanager
def postgres() -> Iterator[str]:
    """The address of a database on a server of its own, which is gone in the end.

    The server refuses to run as root; then it runs as the user that Debian's package made.
    """
    programs = postgres_programs()
    as_user: dict[str, Any] = {}
    # below the folder for temporary files itself: pytest's folders are closed to other users
    folder = Path(tempfile.mkdtemp(prefix="crime-postgres-"))
    if os.geteuid() == 0:
        as_user = {"user": "postgres", "group": "postgres", "extra_groups": []}
        shutil.chown(folder, "postgres", "postgres")
    data, port = folder / "data", free_port()
    places = ["-D", data, "-k", folder, "-p", str(port), "-c", "fsync=off"]
    try:
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "dagster", "-A", "trust", "-N", "-E", "UTF8"],
            check=True,
            capture_output=True,
            cwd=folder,
            **as_user,
        )
        with (
            (folder / "log").open("w") as log,
            subprocess.Popen(
                [programs / "postgres", *places, "-c", "listen_addresses=127.0.0.1"],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
                **as_user,
            ) as server,
        ):
            try:
                ready = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
                wait_for(
                    "answer of PostgreSQL",
                    lambda: subprocess.run(ready, check=False).returncode == 0,
                    30,
                    (folder / "log").read_text,
                )
                # not `postgresql://`: to SQLAlchemy that is psycopg 3, and Dagster has psycopg2
                yield f"postgresql+psycopg2://dagster@127.0.0.1:{port}/postgres"
            finally:
                server.send_signal(signal.SIGQUIT)  # at once, whoever is connected
                try:
                    server.wait(20)
                except subprocess.TimeoutExpired:
                    server.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
