"""Writes the plan of the client matrix: what each writer shall write, and so what each reader must read.

usage: plan.py OUT.json

A topic holds what one writer wrote with one codec. Bytes are base64, `null` is null. A record is
{key, value, headers: [[name, value], ...], timestamp}; `timestamp: null` means that the writer cannot set it and
that readers must see a time close to now.
"""

import base64
import json
import random
import sys
import time

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]

# What a writer's own interface cannot say; everything else is expected of it.
LIMITS = {
    "kcat": {"timestamps": False, "empty": False, "zeros": False},
    "confluent": {},
    "confluent-idempotent": {},
    "aiokafka": {},
    "aiokafka-idempotent": {},
    "kafkajs": {"null_headers": False, "scattered_headers": False},
    "java": {},
    "forebay": {"timestamps": False, "empty": False, "binary": False, "zeros": False, "null_headers": False},
}
# One codec is enough where only the kind of producer differs.
ONE_CODEC = {"confluent-idempotent": "zstd", "aiokafka-idempotent": "gzip"}

# Well within the default retention.
YESTERDAY_MS = int(time.time() * 1000) - 86_400_000


def b64(data):
    return None if data is None else base64.b64encode(data).decode()


def record(key, value, headers=(), timestamp=None):
    return {
        "key": b64(key),
        "value": b64(value),
        "headers": [[name, b64(content)] for name, content in headers],
        "timestamp": timestamp,
    }


def records(writer, codec):
    limits = LIMITS[writer]
    rng = random.Random(f"{writer}/{codec}")
    bulk = bytes(rng.getrandbits(8) for _ in range(64 * 1024))
    rows = [
        (b"key", b"value", []),
        (None, b"no key", []),
        (b"no value", None, []),
        (b"unicode \xc3\xa9\xe2\x82\xac", "überlauf 水門".encode(), [("größe", "名".encode())]),
        (b"one header", b"v", [("one", b"1")]),
        (b"two of a name", b"v", [("twice", b"first"), ("twice", b"second"), ("other", b"x")]),
        (b"long", b"the same again and again " * 8000, []),
    ]
    if limits.get("binary", True):
        # kcat takes keys and headers as arguments and prints headers as C strings: no byte 0 in them.
        rows += [(b"\xff\xfe\n\r\t", b"\x80\x00\n\xff", [("bin", b"\xff\x01")]), (b"random", bulk, [])]
    if limits.get("empty", True):
        rows += [(b"", b"", []), (b"empty header", b"v", [("empty", b"")])]
    if limits.get("zeros", True):
        rows += [(b"\x00", b"zeros", [])]
    if limits.get("null_headers", True):
        rows += [(b"null header", b"v", [("null", None), ("null", b"not")])]
    if limits.get("scattered_headers", True):
        rows += [(b"scattered", b"v", [("a", b"1"), ("b", b"2"), ("a", b"3")])]
    if writer not in ("kcat", "forebay"):
        # Enough of them that a batch holds many; those two start a process for each record.
        rows += [(b"k%d" % (n % 7), b"record %d of %s" % (n, codec.encode()), []) for n in range(200)]
    stamped = limits.get("timestamps", True)
    times = [YESTERDAY_MS + (n * 977) % 5000 - 2500 if stamped else None for n in range(len(rows))]
    return [record(key, value, headers, time) for (key, value, headers), time in zip(rows, times)]


def main():
    topics = []
    for writer in LIMITS:
        for codec in CODECS:
            if ONE_CODEC.get(writer, codec) == codec:
                rows = records(writer, codec)
                topics.append({"name": f"from-{writer}-{codec}", "writer": writer, "codec": codec, "records": rows})
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        json.dump({"topics": topics}, out)


main()
