"""The results as a table and as JSON."""

import json
import os
import platform
import subprocess
from datetime import UTC, datetime

from install import TOP

COLUMNS = ("row", "figure", "ours", "peer", "ratio", "goal", "")


def number(value):
    """Three or four digits that mean something."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def side(runs, median):
    """A median with its range."""
    if median is None:
        return "-"
    return number(median) + (f" [{number(min(runs))}-{number(max(runs))}]" if len(runs) > 1 else "")


def line(row, figure):
    """A figure's cells, in the order of COLUMNS."""
    ratio = "-" if figure["ratio"] is None else f"{figure['ratio']:.2f}x"
    goal = "" if figure["goal"] is None else f"{'>=' if figure['more_is_better'] else '<='} {figure['goal']:g}"
    if goal:
        goal += f" {figure['unit']}".rstrip() if figure.get("absolute") else "x"
    return (
        row,
        f"{figure['figure']} ({figure['unit']})",
        side(figure["ours"], figure["ours_median"]),
        side(figure["peer"], figure["peer_median"]),
        ratio,
        goal,
        {True: "met", False: "MISSED", None: ""}[figure["met"]],
    )


def table(results):
    """Every figure of every row, one a line, in Markdown."""
    lines = [COLUMNS]
    for result in results:
        if "failed" in result:
            lines.append((result["row"], "FAILED", "-", "-", "-", "", ""))
        lines += [line(result["row"], figure) for figure in result.get("figures", [])]
    widths = [max(len(cells[column]) for cells in lines) for column in range(len(COLUMNS))]
    padded = [[cell.ljust(width) for cell, width in zip(cells, widths)] for cells in lines]
    text = ["| " + " | ".join(cells) + " |" for cells in padded]
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(text)


def commit():
    """The commit of the checkout this script lies in; the binary may come from another, see its version."""
    describe = ["git", "-C", TOP, "describe", "--always", "--dirty", "--abbrev=12"]
    described = subprocess.run(describe, capture_output=True, text=True, check=False)
    return described.stdout.strip() or "unknown"


def machine():
    """What the figures depend on beside the programs."""
    with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
        models = [line.partition(":")[2].strip() for line in cpuinfo if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "nice": os.nice(0),
        "load_average": os.getloadavg()[0],
    }


def write(path, options, versions, results, notes):
    """Everything that was measured, run by run."""
    document = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "binary": str(options.bin),
        "machine": machine(),
        "pairs": options.pairs,
        "quick": options.quick,
        "versions": versions,
        "notes": notes,
        "rows": results,
    }
    with open(path, "w", encoding="utf-8") as out:
        json.dump(document, out, indent=2)
        out.write("\n")
