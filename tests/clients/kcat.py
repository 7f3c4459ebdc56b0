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


def unb64(text):
    return None if text is None else base64.b64decode(text)


def write(bootstrap, plan):
    """One record per call, for only so can each have its own headers; a file given by name is one whole value."""
    for topic in (t for t in plan["topics"] if t["writer"] == "kcat"):
        for row in topic["records"]:
            with tempfile.NamedTemporaryFile() as value:
                value.write(unb64(row["value"]) or b"")
                value.flush()
                arguments = [b"-P", b"-b", bootstrap.encode(), b"-t", topic["name"].encode(), b"-p", b"0"]
                arguments += [b"-z", topic["codec"].encode(), b"-X", b"linger.ms=0", b"-Z"]
                if row["key"] is not None:
                    # A key is an argument here, so a byte 0 cannot be in it.
                    arguments += [b"-k", unb64(row["key"])]
                for name, content in row["headers"]:
                    text = name.encode() if content is None else name.encode() + b"=" + unb64(content)
                    arguments += [b"-H", text]
                run([a.decode("utf-8", "surrogateescape") for a in arguments] + [value.name])


def read_topic(bootstrap, name):
    """Keys and values come by length, byte for byte; headers as JSON, for only so is a null seen."""
    common = ["-C", "-b", bootstrap, "-t", name, "-p", "0", "-o", "beginning", "-e", "-q", "-X", "check.crcs=true"]
    raw = run([*common, "-f", "%o %T %K %S\n%k%s\n"])
    rows, at = [], 0
    while at < len(raw):
        end = raw.index(b"\n", at)
        offset, timestamp, key_len, value_len = (int(n) for n in raw[at:end].split())
        at = end + 1
        key = raw[at : at + max(key_len, 0)]
        at += max(key_len, 0)
        value = raw[at : at + max(value_len, 0)]
        at += max(value_len, 0) + 1
        rows.append(
            {
                "offset": offset,
                "timestamp": timestamp,
                "key": None if key_len < 0 else base64.b64encode(key).decode(),
                "value": None if value_len < 0 else base64.b64encode(value).decode(),
            }
        )
    lines = run([*common, "-J"]).decode("utf-8", "surrogateescape").splitlines()
    for row, line in zip(rows, lines, strict=True):
        flat = json.loads(line).get("headers", [])
        pairs = zip(flat[::2], flat[1::2])
        row["headers"] = [[n, None if v is None else base64.b64encode(v.encode("utf-8", "surrogateescape")).decode()] for n, v in pairs]
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
