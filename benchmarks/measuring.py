"""How a figure is measured: in a process of its own, with its peak memory, beside a reference."""

from __future__ import annotations

import importlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One line of the table: what was measured, what it is compared with, and the limit.

    ``most`` and ``least`` bound ``ours``, ``most_ratio`` bounds ours / reference.
    """

    name: str
    ours: float
    unit: str = "s"
    reference: float | None = None
    reference_is: str = ""
    most: float | None = None
    least: float | None = None
    most_ratio: float | None = None

    @property
    def ratio(self) -> float | None:
        return self.ours / self.reference if self.reference else None

    @property
    def ok(self) -> bool | None:
        """Whether the limits are kept; ``None`` where there is none."""
        judged = [
            *([self.ours <= self.most] if self.most is not None else []),
            *([self.ours >= self.least] if self.least is not None else []),
            *(
                [self.ratio <= self.most_ratio]
                if self.most_ratio is not None and self.ratio is not None
                else []
            ),
        ]
        return all(judged) if judged else None

    @property
    def limit(self) -> str:
        """The limits in words."""
        words = []
        if self.most is not None:
            words.append(f"at most {self.most:g} {self.unit}")
        if self.least is not None:
            words.append(f"at least {self.least:,.0f} {self.unit}")
        if self.most_ratio is not None:
            words.append(
                f"at most {self.most_ratio:g} x"
                if self.most_ratio >= 1
                else f"at least {1 / self.most_ratio:g} x less"
            )
        return ", ".join(words)


@dataclass(frozen=True)
class Measured:
    """What a measuring function returned, and the peak memory of its process in bytes."""

    value: Any
    peak_bytes: int


@dataclass(frozen=True)
class Run:
    """How the figures of one run are measured.

    ``share`` is the part of the nation; ``rounds`` how often a short measurement is repeated (the
    fastest counts); ``own_process`` whether each has a process of its own; ``through_dagster``
    whether whole assets are materialised too; ``archive`` a folder of real archives.
    """

    folder: Path
    share: float = 1.0
    rounds: int = 3
    own_process: bool = True
    through_dagster: bool = True
    archive: str | None = None
    say: Callable[[str], None] = print

    def measure(self, function: Callable[..., Any], *arguments: Any) -> Measured:
        """Call ``function`` with arguments that JSON can hold; it returns what JSON can hold."""
        self.say(f"{(function.__doc__ or function.__name__).splitlines()[0].rstrip('.')} ..")
        started = time.monotonic()
        if self.own_process:
            measured = _in_own_process(function, arguments)
        else:
            measured = Measured(json.loads(json.dumps(function(*arguments))), peak_bytes())
        self.say(f"    {time.monotonic() - started:.1f} s, {measured.peak_bytes / 2**30:.2f} GiB")
        return measured


def _in_own_process(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Measured:
    task = json.dumps([function.__module__, function.__name__, arguments])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "benchmarks.measuring", task],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        cwd=Path(__file__).parents[1],
    )
    if done.returncode:
        raise RuntimeError(f"{function.__name__} ended with code {done.returncode}")
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def peak_bytes() -> int:
    """The most memory that this process has had resident, DuckDB's included.

    Linux gives a new process the peak of the one that started it in ``getrusage``, but not in
    ``/proc``.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


@contextmanager
def seconds_into(times: list[float]) -> Iterator[None]:
    """Append the seconds that the block takes to ``times``."""
    started = time.perf_counter()
    yield
    times.append(time.perf_counter() - started)


def by_turns(rounds: int, **actions: Callable[[], object]) -> dict[str, float]:
    """The fewest seconds that each action took, done by turns: a busy machine only adds to them.

    Each is done once before, untimed: files are then in memory for all of them alike.
    """
    times: dict[str, list[float]] = {name: [] for name in actions}
    for action in actions.values():
        action()
    for _ in range(rounds):
        for name, action in actions.items():
            with seconds_into(times[name]):
                action()
    return {name: min(of_action) for name, of_action in times.items()}


def _main() -> None:
    """Run one measuring function in this process and print what it returns as the last line."""
    module, name, arguments = json.loads(sys.argv[1])
    out, sys.stdout = sys.stdout, sys.stderr
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    value = getattr(importlib.import_module(module), name)(*arguments)
    print(json.dumps({"value": value, "peak_bytes": peak_bytes()}), file=out)


if __name__ == "__main__":
    _main()
