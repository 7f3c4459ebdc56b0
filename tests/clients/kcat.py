"""kcat as a writer and a reader.

usage: kcat.py write BOOTSTRAP PLAN.json
       kcat.py read BOOTSTRAP PLAN.json OUT.json WRITERS
"""

import base64
import json
import os
import subprocess
import sys
import tempfile

KCAT = os.environ.get("KCAT", "kcat")
TIMEOUT_S = 60


def run(arguments, **options):
    done = subprocess.run([KCAT, *arguments], capture_output=True, timeout=TIMEOUT_S, check=False, **options)
    if done.returncode != 0:
        sys.exit(f"kcat {' '.join(str(a)[:60] for a in arguments)} failed:\n{done.stderr.decode()}")
    return done.stdout


def b64(data):
    return base64.b64encode(data).decode()


def unb64(text):
    return None if text is None else base64.b64decode(text)


def write_record(common, row):
    """A value is the whole of a file given by name; an empty one is not sent at all, so a null comes as a line."""
    arguments = list(common)
    for name, content in row["headers"]:
        text = name.encode() if content is None else name.encode() + b"=" + unb64(content)
        arguments += ["-H", text.decode("utf-8", "surrogateescape")]
    key = None if row["key"] is None else unb64(row["key"])
    if row["value"] is None:
        run([*arguments, "-Z", "-K", "\x1f"], input=key + b"\x1f\n")
        return
    if key is not None:
        arguments += ["-k", key.decode("utf-8", "surrogateescape")]
    with tempfile.NamedTemporaryFile() as value:
        value.write(unb64(row["value"]))
        value.flush()
        run([*arguments, value.name])


def write(bootstrap, plan):
    """One record per call, for only so can each have its own headers."""
    for topic in (t for t in plan["topics"] if t["writer"] == "kcat"):
        common = ["-P", "-b", bootstrap, "-t", topic["name"], "-p", "0", "-z", topic["codec"], "-X", "linger.ms=0"]
        for row in topic["records"]:
            write_record(common, row)


def headers(line):
    """Headers as kcat prints them: `a=1,b=2`, and NULL for null (the plan has no such text)."""
    pairs = [item.split(b"=", 1) for item in line.split(b",") if item]
    return [[name.decode(), None if content == b"NULL" else b64(content)] for name, content in pairs]


def read_topic(bootstrap, name):
    """Keys and values come by length, byte for byte, so that nothing in them can be taken for a separator."""
    raw = run(
        ["-C", "-b", bootstrap, "-t", name, "-p", "0", "-o", "beginning", "-e", "-q"]
        + ["-X", "check.crcs=true", "-f", "%o %T %K %S\\n%h\\n%k%s\\n"]
    )
    rows, at = [], 0
    while at < len(raw):
        numbers, described = raw.index(b"\n", at), raw.index(b"\n", raw.index(b"\n", at) + 1)
        offset, timestamp, key_len, value_len = (int(n) for n in raw[at:numbers].split())
        key_end = described + 1 + max(key_len, 0)
        value_end = key_end + max(value_len, 0)
        rows.append(
            {
                "offset": offset,
                "timestamp": timestamp,
                "key": None if key_len < 0 else b64(raw[described + 1 : key_end]),
                "value": None if value_len < 0 else b64(raw[key_end:value_end]),
                "headers": headers(raw[numbers + 1 : described]),
            }
        )
        at = value_end + 1
    return rows


def main():
    mode, bootstrap, plan_path = sys.argv[1:4]
    with open(plan_path, encoding="utf-8") as file:
        plan = json.load(file)
    if mode == "write":
        write(bootstrap, plan)
        return
    writers = sys.argv[5].split(",")
    read = {t["name"]: read_topic(bootstrap, t["name"]) for t in plan["topics"] if t["writer"] in writers}
    with open(sys.argv[4], "w", encoding="utf-8") as out:
        json.dump(read, out)


main()
