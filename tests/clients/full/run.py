"""Clients write all along while the volume below the server fills to its last byte and is freed SECONDS later.

usage: run.py FOREBAY SCRATCH SECONDS PYTHON NODE_MODULES JAVA_LIBRARIES

Mounts a tmpfs of its own, so it needs root. All writers run at once, each to a topic of its own. Says what each of them
was told, and fails if a record that was reported as stored is not there exactly once, if anything is there twice that an
idempotent producer sent, or if a writer does not go on by itself.
"""

import collections
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

HERE = Path(__file__).parent
VOLUME = "128M"
# How long all write before the volume fills, and after it was freed.
BEFORE_S, AFTER_S = 3, 15
# The slowest has started and stored its first record by then.
STARTED_WITHIN_S = 120
# Once there is room, every writer has one of its records stored so soon.
BACK_WITHIN_S = 10


class Way:
    """A client with its settings; what it sends once is never twice if it is idempotent."""

    def __init__(self, name, command, settings=(), idempotent=False):
        self.name, self.command, self.settings, self.idempotent = name, command, settings, idempotent


def ways(python, node_modules, libraries):
    confluent, aio = [python, HERE / "confluent.py"], [python, HERE / "aio.py"]
    java = ["java", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", f"{libraries}/*", HERE / "Full.java"]
    node = ["env", f"NODE_PATH={node_modules}", "KAFKAJS_NO_PARTITIONER_WARNING=1", "node", HERE / "kafkajs.js"]
    return [
        Way("librdkafka", confluent),
        Way("librdkafka-retries-3", confluent, ["retries=3"]),
        Way("librdkafka-idempotent", confluent, ["enable.idempotence=true"], True),
        Way("java", java, [], True),
        Way("java-retries-3", java, ["retries=3", "enable.idempotence=false"]),
        Way("aiokafka", aio),
        Way("aiokafka-idempotent", aio, ["enable_idempotence=true"], True),
        Way("kafkajs", node),
    ]


@contextmanager
def tmpfs(path):
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={VOLUME}", "tmpfs", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)


@contextmanager
def child(command, log):
    with open(log, "ab") as out:
        process = subprocess.Popen([str(part) for part in command], stdout=out, stderr=out, env=environment())
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def environment():
    return {name: value for name, value in os.environ.items() if not name.startswith("FOREBAY_")}


def get(http, path):
    with urllib.request.urlopen(f"http://{http}{path}", timeout=5) as answer:
        return json.load(answer)


def end(http, topic):
    """How many records are in a topic."""
    partitions = get(http, f"/v1/topics/{topic}/partitions")["partitions"]
    return sum(partition["log"]["end_offset"] for partition in partitions if partition["log"])


def wait_until(what, seconds, holds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if holds():
                return
        except OSError:
            pass
        time.sleep(0.1)
    sys.exit(f"not {what} within {seconds} s")


def fill(path):
    """Takes every byte there is."""
    with open(path, "wb", buffering=0) as ballast:
        for size in (1 << 20, 4096, 1):
            try:
                while ballast.write(b"\1" * size) == size:
                    pass
            except OSError:
                pass


def read(bootstrap, topic):
    """The numbers in a topic, in the order of their offsets."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False})
    _, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=30)
    consumer.assign([TopicPartition(topic, 0, 0)])
    numbers, deadline = [], time.monotonic() + 60
    while len(numbers) < end and time.monotonic() < deadline:
        for message in consumer.consume(1000, 1.0):
            if message.error():
                sys.exit(f"{topic}: {message.error()}")
            numbers.append(int(message.value().split()[0]))
    consumer.close()
    if len(numbers) < end:
        sys.exit(f"{topic}: {len(numbers)} records read, {end} are there")
    return numbers


def judge(way, seen, numbers, full_at, free_at):
    """What is wrong, as sentences; and prints what the client's user saw."""
    count = collections.Counter(numbers)
    wrong = []
    lost = [row[0] for row in seen["stored"] if count[row[0]] == 0]
    again = [row[0] for row in seen["stored"] if count[row[0]] > 1]
    if lost or again:
        wrong.append(f"{len(lost)} records reported as stored are missing, {len(again)} are there twice")
    if way.idempotent and len(count) != len(numbers):
        wrong.append("an idempotent producer's records are there twice")
    misplaced = [row for row in seen["stored"] if row[2] >= len(numbers) or numbers[row[2]] != row[0]]
    if misplaced:
        wrong.append(f"{len(misplaced)} records are not where their answers said, the first {misplaced[0]}")
    times = sorted(row[1] for row in seen["stored"])
    back = [at for at in times if at >= free_at]
    back_after = back[0] - free_at if back else None
    if back_after is None or back_after > BACK_WITHIN_S:
        wrong.append(f"nothing was stored again within {BACK_WITHIN_S} s of there being room")
    if not [at for at in times if at < full_at]:
        wrong.append("nothing was stored before the volume was full")
    told = collections.Counter(row[2] for row in seen["failed"])
    print(
        f"  {way.name}: sent {seen['sent']}, stored {len(seen['stored'])}, failed {len(seen['failed'])}, "
        f"unknown {seen['unknown']}, of which {len(count) - len(seen['stored'])} are there; "
        f"first stored again {'never' if back_after is None else f'{back_after:.1f} s'} after there was room"
    )
    for text, times in told.most_common(3):
        print(f"    {times} x {text[:400]}")
    return wrong


@contextmanager
def server(binary, scratch):
    """One on a small volume of its own; gives the volume and the addresses of its Kafka and HTTP doors."""
    with tmpfs(scratch / "volume") as volume:
        bootstrap, http = (f"127.0.0.1:{free_port()}" for _ in range(2))
        command = [binary, "serve", "--data-dir", volume / "data", "--kafka-listen", bootstrap, "--http-listen", http]
        with child(command, scratch / "server.log"):
            wait_until("ready", 30, lambda: get(http, "/readyz"))
            yield volume, bootstrap, http


def start(stack, way, binary, scratch, bootstrap, stop):
    """Has a client write to a topic of its name; gives the process and where it will tell what it saw."""
    create = [binary, "topic", "create", way.name, "--partitions", "1", "-b", bootstrap]
    subprocess.run(create, check=True, capture_output=True, env=environment())
    out = scratch / f"{way.name}.json"
    command = [*way.command, bootstrap, way.name, stop, out, *way.settings]
    return stack.enter_context(child(command, scratch / f"{way.name}.log")), out


def fill_and_free(volume, http, seconds):
    """The times from when on the volume was full, and had room again."""
    full_at = time.time()
    fill(volume / "ballast")
    wait_until("full", 5, lambda: get(http, "/v1/volumes")["volumes"][0]["state"] in ("Full", "HardFull"))
    time.sleep(max(full_at + seconds - time.time(), 0))
    (volume / "ballast").unlink()
    return full_at, time.time()


def main():
    binary, scratch, seconds, python, node_modules, libraries = sys.argv[1:]
    scratch, stop, wrong = Path(scratch), Path(scratch) / "stop", []
    scratch.mkdir(parents=True)
    with server(binary, scratch) as (volume, bootstrap, http), ExitStack() as stack:
        running = {way: start(stack, way, binary, scratch, bootstrap, stop) for way in ways(python, node_modules, libraries)}
        wait_until("writing", STARTED_WITHIN_S, lambda: all(end(http, way.name) > 0 for way in running))
        time.sleep(BEFORE_S)
        full_at, free_at = fill_and_free(volume, http, float(seconds))
        time.sleep(AFTER_S)
        stop.touch()
        for way, (process, out) in running.items():
            if process.wait(120) != 0 or not out.exists():
                last = (scratch / f"{way.name}.log").read_text(errors="replace")[-600:]
                wrong.append(f"{way.name} ended with {process.returncode}: {last}")
                continue
            found = judge(way, json.loads(out.read_text()), read(bootstrap, way.name), full_at, free_at)
            wrong += [f"{way.name}: {text}" for text in found]
    for text in wrong:
        print(f"  FAIL {text}")
    sys.exit(1 if wrong else 0)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


main()
