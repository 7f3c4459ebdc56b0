"""Our own command line as a writer and a reader.

usage: forebay.py write BOOTSTRAP PLAN.json FOREBAY
       forebay.py read BOOTSTRAP PLAN.json OUT.json WRITERS FOREBAY
"""

import base64
import json
import os
import subprocess
import sys

TIMEOUT_S = 60
# The matrix has FOREBAY_... variables of its own; none is meant for the command.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("FOREBAY_")}
SEPARATOR = "\x1f"
NULL = "\x1e"


def run(arguments, data=None):
    done = subprocess.run(arguments, input=data, capture_output=True, timeout=TIMEOUT_S, env=ENVIRONMENT)
    if done.returncode != 0:
        sys.exit(f"{' '.join(arguments)[:200]} failed:\n{done.stderr.decode()}")
    return done.stdout


def line(row):
    """A record as a line: KEY, separator, VALUE; without a separator there is no key."""
    value = NULL.encode() if row["value"] is None else base64.b64decode(row["value"])
    return value if row["key"] is None else base64.b64decode(row["key"]) + SEPARATOR.encode() + value


def write(bootstrap, plan, binary):
    """One record per call, for headers are given once for all lines of a call."""
    for topic in (t for t in plan["topics"] if t["writer"] == "forebay"):
        common = [binary, "produce", topic["name"], "-b", bootstrap, "--partition", "0", "-z", topic["codec"]]
        common += ["--key-separator", SEPARATOR, "--null", NULL]
        for row in topic["records"]:
            headers = [f"{name}={base64.b64decode(content).decode()}" for name, content in row["headers"]]
            run(common + [word for header in headers for word in ("-H", header)], line(row) + b"\n")


def b64(blob):
    """Text is text; what is not UTF-8 comes as {"base64": ...}; null is null."""
    if isinstance(blob, dict):
        return blob["base64"]
    return None if blob is None else base64.b64encode(blob.encode()).decode()


def read_topic(bootstrap, name, binary):
    rows = []
    for text in run([binary, "consume", name, "-b", bootstrap, "--partition", "0", "--output", "json"]).splitlines():
        seen = json.loads(text)
        rows.append(
            {
                "offset": seen["offset"],
                "timestamp": seen["timestamp"],
                "key": b64(seen["key"]),
                "value": b64(seen["value"]),
                "headers": [[h["name"], b64(h["value"])] for h in seen["headers"]],
            }
        )
    return rows


def main():
    mode, bootstrap, plan_path = sys.argv[1:4]
    with open(plan_path, encoding="utf-8") as file:
        plan = json.load(file)
    if mode == "write":
        write(bootstrap, plan, sys.argv[4])
        return
    out, writers, binary = sys.argv[4], sys.argv[5].split(","), sys.argv[6]
    read = {t["name"]: read_topic(bootstrap, t["name"], binary) for t in plan["topics"] if t["writer"] in writers}
    with open(out, "w", encoding="utf-8") as file:
        json.dump(read, file)


main()
