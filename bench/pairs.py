"""A row of the comparison: two loads that are run in turn, and what becomes of their measurements."""

import os
import statistics
import time
from dataclasses import dataclass
from typing import Callable

SETTLE_S = 1


@dataclass(frozen=True)
class Figure:
    """One measurement that both sides give. `goal` bounds ours divided by the peer's, or ours itself if it is
    `absolute`: from below if more is better, from above if less is; without one the figure is only told. A measurement
    below `floor` counts as it: the tool cannot tell it from zero."""

    name: str
    unit: str
    more_is_better: bool = True
    goal: float | None = None
    floor: float = 0.0
    absolute: bool = False

    def compare(self, ours, peer):
        """Medians of both sides' runs and their ratio; a side that has no such figure (a mock has no server) is left
        out, and then there is no ratio."""
        ours, peer = (
            [max(run[self.name], self.floor) for run in runs if self.name in run] for runs in (ours, peer)
        )
        medians = [statistics.median(side) if side else None for side in (ours, peer)]
        ratio = medians[0] / medians[1] if medians[0] is not None and medians[1] else None
        return {
            "figure": self.name,
            "unit": self.unit,
            "more_is_better": self.more_is_better,
            "goal": self.goal,
            "absolute": self.absolute,
            "ours": ours,
            "peer": peer,
            "ours_median": medians[0],
            "peer_median": medians[1],
            "ratio": ratio,
            "met": self.met(medians[0] if self.absolute else ratio),
        }

    def met(self, bounded):
        if self.goal is None or bounded is None:
            return None
        return bounded >= self.goal if self.more_is_better else bounded <= self.goal


@dataclass(frozen=True)
class Row:
    """`ours` and `peer` take the suite and return a run's measurements; `prepare` is called once, before all runs.
    Without a peer all goals are absolute. What is measured `once` has no warm-up and one pair. Topics of ours get
    `settings`."""

    name: str
    what: str
    figures: list[Figure]
    ours: Callable
    peer: Callable | None = None
    prepare: Callable | None = None
    once: bool = False
    settings: tuple[str, ...] = ()


def settle(seconds=SETTLE_S):
    """What one run left to be written is not charged to the next."""
    os.sync()
    time.sleep(seconds)


def measure(row, suite, pairs):
    """Runs a row: a warm-up pair that is discarded, then the pairs."""
    if row.prepare:
        row.prepare(suite)
    runs = {"ours": [], "peer": []}
    for number in range(1 if row.once else pairs + 1):
        warm_up = number == 0 and not row.once
        for side, load in (("ours", row.ours), ("peer", row.peer)):
            if load is None:
                continue
            settle()
            measured = load(suite)
            measured["load_average"] = os.getloadavg()[0]
            told = [figure.name for figure in row.figures if figure.name in measured]
            shown = ", ".join(f"{name} {measured[name]:.4g}" for name in told)
            print(f"  {row.name} {'warm-up' if warm_up else number} {side}: {shown}", flush=True)
            if not warm_up:
                runs[side].append(measured)
    figures = [figure.compare(runs["ours"], runs["peer"]) for figure in row.figures]
    return {"row": row.name, "what": row.what, "figures": figures, "runs": runs}
