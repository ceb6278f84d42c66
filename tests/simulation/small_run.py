"""A hospital cut down to what fits into a test: the same kinds of requests, on a chain of a few dozen blocks.

Run as a script it plays them in processes that can be killed, telling each step, tick and write in a line.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from chainsec.app.report import write_report
from chainsec.config import Config
from chainsec.journal import Journal
from chainsec.ledger.engine import IN_PROCESS
from chainsec.ledger.store import Store
from chainsec.scenarios import directory
from chainsec.scenarios.hospital import hospital
from chainsec.scenarios.run import Scenario, run_scenario
from chainsec.scenarios.workload import PlannedUse

if TYPE_CHECKING:
    from chainsec.scenarios.play import Score
    from chainsec.scenarios.report_schema import Report
    from chainsec.scenarios.workload import Attempt, Workload

SETTINGS = {
    "chain": {"batch_size": 4},
    "run": {"tick_s": 14_400, "guardian_delay_s": 28_800, "anchor_interval_s": 172_800},
}
"""Long ticks make few blocks; small batches still split what is filed together."""


def draw_small(seed: int, history: int = 60, live: int = 24) -> Workload:
    """Return the end of a hospital's history and the beginning of its live part, with whom and what they concern.

    Consents that nobody makes use of are left out.
    """
    full = hospital(seed, days=26, staff=20, records=90, intensity=0.7)
    first = max(0, next((i for i, attempt in enumerate(full.live) if attempt.attack), 0) - live // 2)
    part = full.live[first : first + live]
    concerned = {(attempt.requester, attempt.asset, attempt.purpose) for attempt in part}
    houses = {member.name: member.organisation for member in full.members}
    consented = {(asset, houses[requester], purpose) for requester, asset, purpose in concerned}
    past = [attempt for attempt in (*full.history, *full.live[:first]) if attempt.time_s < part[0].time_s]
    known_abuse = [place for place, attempt in enumerate(past) if attempt.denied and attempt.label_at_s is not None]
    kept = {*range(len(past) - history, len(past)), *known_abuse[-8:]}  # a history without abuse teaches nothing
    past = [attempt for place, attempt in enumerate(past) if place in kept]
    people = {attempt.requester for attempt in part}
    things = {attempt.asset for attempt in (*past, *part)}
    return replace(
        full,
        members=tuple(member for member in full.members if member.name in people),
        records=tuple(record for record in full.records if record.name in things),
        consents=tuple(c for c in full.consents if (c.record, c.grantee, c.purpose) in consented),
        history=tuple(past),
        live=tuple(replace(a, uses=_burst(a)) if place % 4 == 2 else a for place, a in enumerate(part)),
    )


def _burst(attempt: Attempt) -> tuple[PlannedUse, ...]:
    """Return uses that give an honest requester away as a thief, and reads after that while the alarm lasts and later.

    So there is somebody to cut off and to release.
    """
    theft = [PlannedUse(60 * (number + 1), "export", 4_000_000) for number in range(10)]
    reads = [PlannedUse(after_s, "read", 20_000) for after_s in (1_200, 2_400, 40_000)]
    return (*theft, *reads, *attempt.uses)


def small_scenario(seed: int, **sizes: int) -> Scenario:
    """Return a small hospital as a scenario."""
    return Scenario("demo", "small hospital", {"seed": seed, **sizes}, lambda _: draw_small(seed, **sizes))


class Teller:
    """Tells every step and tick in a line."""

    def __init__(self, write=lambda _: None) -> None:
        self.write = write

    def on_step(self, step: str, done: int, total: int) -> None:
        self.write(f"{step} {done}/{total}")

    def on_score(self, score: Score, live: int, blocks: int, gas: int) -> None:
        self.write(f"live {score.requests}/{live} block {blocks} gas {gas}")


def play_small(
    path: Path, seed: int, write=lambda _: None, settings=SETTINGS, engine=IN_PROCESS, **sizes: int
) -> Report:
    """Play a small hospital in ``path`` to its end."""
    config = Config.model_validate({"seed": seed, **settings})

    def publish(directory: Path, report: Report) -> None:
        write("report begins")
        write_report(directory, report)
        write("report written")

    return run_scenario(small_scenario(seed, **sizes), config, path, Teller(write), publish, engine=engine)


class Stopped(BaseException):
    """Ends a run as a crash would: nothing catches it."""


def stop_at(start: str):
    """Return what stops a run at the first line that begins with ``start``."""

    def write(line: str) -> None:
        if line.startswith(start):
            raise Stopped(line)

    return write


def tell_writes(write) -> None:
    """Let every write that lasts be told before and after it happens, from now on."""
    for owner, name, describe in (
        (Journal, "append", lambda journal, _: f"{journal.path.name} {len(journal)}"),
        (Store, "commit", lambda _, height, *__: f"block {height}"),
        (directory, "write_atomically", lambda path, _: f"file {path.name}"),
    ):
        setattr(owner, name, _told(getattr(owner, name), describe, write))


def _told(act, describe, write):
    def told(*args, **facts):
        if isinstance(args[0], Store) and args[0].path is None:  # an audit executes in memory
            return act(*args, **facts)
        what = describe(*args)
        write(f"before {what}")
        result = act(*args, **facts)
        write(f"after {what}")
        return result

    return told


def _tell(line: str) -> None:
    """Write a line at once: whoever is killed in between leaves none half told."""
    os.write(sys.stdout.fileno(), f"{line}\n".encode())


def serve() -> None:
    """Play a run in a fresh process for each line ``RUN_DIR SEED`` on standard input; telling its pid, then its end."""
    tell_writes(_tell)
    for line in sys.stdin:
        path, seed = line.rsplit(maxsplit=1)
        child = os.fork()
        if not child:
            _tell(f"pid {os.getpid()}")
            play_small(Path(path), int(seed), _tell)
            os._exit(0)
        _tell(f"ended {os.waitpid(child, 0)[1]}")


if __name__ == "__main__":
    serve()
