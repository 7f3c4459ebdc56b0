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


def document(options, versions, results, notes):
    """Everything that was measured in one sitting, run by run; each row says when and with what."""
    head = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "binary": str(options.bin),
        "machine": machine(),
        "pairs": options.pairs,
        "quick": options.quick,
        "versions": versions,
    }
    return head | {"notes": notes, "rows": stamped(results, head)}


def stamped(rows, head):
    """Rows that know their sitting, also from files of a time when only the head told it."""
    sitting = {name: head[name] for name in ("when", "pairs", "quick")} | {"forebay": head["versions"].get("forebay")}
    return [{"sitting": sitting} | row for row in rows]


def read(path):
    """A file that `write` made."""
    with open(path, encoding="utf-8") as file:
        found = json.load(file)
    return found | {"rows": stamped(found["rows"], found)}


def together(documents, order):
    """Several sittings as one: of a row the last one's, in the order of the suites; the head is the last one's."""
    rows, versions, notes = {}, {}, {}
    for one in documents:
        rows.update((row["row"], row) for row in one["rows"])
        versions.update(one["versions"])
        notes.update((note, None) for note in one["notes"])
    places = {name: place for place, name in enumerate(order)}
    ordered = sorted(rows.values(), key=lambda row: places.get(row["row"], len(places)))
    return documents[-1] | {"versions": versions, "notes": list(notes), "rows": ordered}


def sittings(rows):
    """When and with what the rows of a table were measured, one line for each sitting."""
    lines = {}
    for row in rows:
        of = row["sitting"]
        pairs = "quick, says nothing about speed" if of["quick"] else f"{of['pairs']} pairs"
        lines.setdefault(f"{of['when']}, {of['forebay']}, {pairs}", []).append(row["row"])
    return [f"{line}: {', '.join(names)}" for line, names in lines.items()]


def write(path, measured, order, add=False):
    """Writes a document; with `add`, rows that are in the file already and were not measured now stay in it."""
    if add and path.exists():
        measured = together([read(path), measured], order)
    with open(path, "w", encoding="utf-8") as out:
        json.dump(measured, out, indent=2)
        out.write("\n")
