#!/usr/bin/env python3
"""Forebay and its peers on the same machine, in turn. See docs/benchmarks.md.

Installs what it compares with into $FOREBAY_CACHE/bench (default ~/.cache/forebay/bench), starts every server on
127.0.0.1, runs each row as a discarded warm-up pair and then `--pairs` pairs, ours and the peer's in turn, and prints
medians, ranges and ratios. Ends all its processes and removes all its data, also on Ctrl-C.
"""

import argparse
import contextlib
import fnmatch
import signal
import sys
import tempfile
from pathlib import Path

import install
import report
from pairs import measure
from processes import RunFailed
from suites import SUITES

ORDER = [row.name for _, rows in SUITES for row in rows]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    binary = install.TOP / "target/release/forebay"
    parser.add_argument("rows", nargs="*", default=["*"], help="rows by name or pattern ('kafka/*'); all if none")
    parser.add_argument("--bin", type=Path, default=binary, help="the binary to measure (default: the release build)")
    parser.add_argument("--pairs", type=int, default=5, help="pairs of runs that count (default 5)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the data: shows that it runs, not how fast")
    parser.add_argument("--scratch", type=Path, help="folder for data (default: the system's temporary one)")
    ports = "ports used are N+92, +192, +193, +222, +350 and +644"
    parser.add_argument("--port-base", type=int, default=22000, help=ports)
    parser.add_argument("--json", type=Path, help="file for everything that was measured")
    parser.add_argument("--add", action="store_true", help="keep the rows in the --json file that are not run now")
    parser.add_argument("--table", nargs="+", type=Path, metavar="FILE", help="print what --json files hold, and end")
    parser.add_argument("--list", action="store_true", help="name the rows and end")
    options = parser.parse_args()
    if options.pairs < 1:
        parser.error("--pairs must be at least 1")
    if options.add and not options.json:
        parser.error("--add needs --json")
    return options


def chosen(options):
    """Suites with those of their rows that are asked for."""

    def wanted(row):
        return any(fnmatch.fnmatch(row.name, pattern) for pattern in options.rows)

    picked = [(suite, [row for row in rows if wanted(row)]) for suite, rows in SUITES]
    return [(suite, rows) for suite, rows in picked if rows]


def run_suite(kind, rows, options, results, versions, notes):
    """Starts the servers, measures the rows and ends the servers. A row that fails does not stop the others."""
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="forebay-bench-", dir=options.scratch)))
        suite = kind(options, scratch, stack, notes)
        versions.update(suite.versions)
        for row in rows:
            print(f"{row.name}: {row.what}", flush=True)
            try:
                suite.settings_for(row)
                results.append(measure(row, suite, options.pairs))
            except RunFailed as failed:
                print(f"  {row.name} failed: {failed}", flush=True)
                results.append({"row": row.name, "what": row.what, "failed": str(failed)})


def run_all(options):
    results, versions, notes = [], {}, []
    try:
        for kind, rows in chosen(options):
            try:
                run_suite(kind, rows, options, results, versions, notes)
            except (RunFailed, OSError) as failed:
                done = {result["row"] for result in results}
                left = [row for row in rows if row.name not in done]
                print(f"cannot run {', '.join(row.name for row in left)}: {failed}", flush=True)
                results += [{"row": row.name, "what": row.what, "failed": str(failed)} for row in left]
    finally:
        # What was measured before a Ctrl-C is worth keeping.
        if results:
            print("\n" + report.table(results))
            print("\n".join(f"note: {note}" for note in notes))
        if options.json and results:
            report.write(options.json, report.document(options, versions, results, notes), ORDER, options.add)
    return results


def print_files(files):
    """What was measured in several sittings as one table; of a row that is in several files, the last one's."""
    together = report.together([report.read(file) for file in files], ORDER)
    print(report.table(together["rows"]))
    print("\n".join(report.sittings(together["rows"]) + [f"note: {note}" for note in together["notes"]]))


def interrupted(*_):
    """SIGTERM takes the way of Ctrl-C, past every clean-up."""
    raise KeyboardInterrupt


def main():
    options = arguments()
    if options.table:
        print_files(options.table)
        return 0
    if options.list:
        for _, rows in SUITES:
            for row in rows:
                print(f"{row.name:28} {row.what}")
        return 0
    if not chosen(options):
        sys.exit(f"no row is named {' or '.join(options.rows)}; --list names them")
    if not options.bin.exists():
        sys.exit(f"there is no {options.bin}: `cargo build --release -p forebay`, or name one with --bin")
    options.bin = options.bin.resolve()
    signal.signal(signal.SIGTERM, interrupted)
    try:
        results = run_all(options)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 1 if any("failed" in result for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
