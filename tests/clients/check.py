"""Compares what a reader read with the plan.

usage: check.py PLAN.json READ.json READER WRITERS

Prints one line per topic and, last, `passed failed`. READ.json maps a topic to its records, each as in the plan and
with `offset`. WRITERS (comma-separated) are those that ran.
"""

import json
import sys
import time

NOW_WITHIN_MS = 3_600_000


def difference(expected, seen, index):
    if seen.get("offset") != index:
        return f"offset {seen.get('offset')}, expected {index}"
    for part in ("key", "value", "headers"):
        if expected[part] != seen[part]:
            return f"{part} is {str(seen[part])[:80]}, expected {str(expected[part])[:80]}"
    if expected["timestamp"] is None:
        if abs(seen["timestamp"] - time.time() * 1000) > NOW_WITHIN_MS:
            return f"timestamp {seen['timestamp']} is not about now"
    elif expected["timestamp"] != seen["timestamp"]:
        return f"timestamp is {seen['timestamp']}, expected {expected['timestamp']}"
    return None


def compare(topic, seen):
    expected = topic["records"]
    for index, (want, have) in enumerate(zip(expected, seen)):
        found = difference(want, have, index)
        if found:
            return f"record {index}: {found}"
    if len(seen) != len(expected):
        return f"{len(seen)} records, expected {len(expected)}"
    return None


def main():
    plan_path, read_path, reader, writers = sys.argv[1:5]
    with open(plan_path, encoding="utf-8") as file:
        topics = json.load(file)["topics"]
    try:
        with open(read_path, encoding="utf-8") as file:
            read = json.load(file)
    except (OSError, ValueError) as error:
        read, error_text = {}, str(error)
        print(f"{reader}: nothing readable was left behind: {error_text}")
    passed = failed = 0
    for topic in topics:
        if topic["writer"] not in writers.split(","):
            continue
        found = compare(topic, read.get(topic["name"], []))
        print(f"{'FAIL' if found else 'ok  '} {reader} reads {topic['name']}: {found or len(topic['records'])}")
        passed, failed = passed + (not found), failed + bool(found)
    print(passed, failed)


main()
