"""Ours: the release binary, as a server and as its own load program."""

import itertools
import json
import time
from dataclasses import dataclass

from processes import RunFailed, Server, run

# A topic is usable everywhere at once here; other brokers elect its leaders after they answered.
LEADERS_PATIENCE_S = 1


@dataclass(frozen=True)
class Load:
    """What is appended, and how: by default 16 connections with 5 requests each and acks=1, as other systems answer
    when they have written. `rate` is in requests a second; without one it is as fast as possible."""

    total_bytes: int
    batch_bytes: int = 16384
    record_bytes: int = 1024
    connections: int = 16
    in_flight: int = 5
    partitions: int = 4
    spread: str = "turns"
    acks: str = "1"
    rate: int | None = None

    def shape(self):
        """The options that all load programs take."""
        sizes = ["--batch-bytes", self.batch_bytes, "--record-bytes", self.record_bytes]
        lanes = ["--connections", self.connections, "--in-flight", self.in_flight, "--partitions", self.partitions]
        return [*sizes, *lanes, "--acks", self.acks]


class LoadProgram:
    """`forebay bench` against one server; a `raw` one is the yardstick, which is asked for nothing but the load."""

    def __init__(self, binary, bootstrap, raw=False):
        self.binary = binary
        self.target = ["-b", bootstrap, "--output", "json", *(["--raw"] if raw else [])]

    def produce(self, topic, load):
        paced = [] if load.rate is None else ["--rate", load.rate]
        how = ["--spread", load.spread, "--no-check", "--total-bytes", load.total_bytes, *paced]
        return measured(self.command("produce", topic, [*load.shape(), *how]))

    def latency(self, topic, load, seconds):
        """At the rate of `load`; consumers are parked on every partition and count until they have each batch."""
        return measured(self.command("latency", topic, [*load.shape(), "--rate", load.rate, "--duration", seconds]))

    def consume(self, topic, rounds=1, cold=()):
        """All of a topic, `rounds` times; the files in the folders named by `cold` leave the page cache before."""
        return measured(self.consuming(topic, rounds, cold))

    def consuming(self, topic, rounds=1, cold=()):
        dropped = [word for folder in cold for word in ("--data-dir", folder)]
        return self.command("consume", topic, ["--no-check", "--rounds", rounds, *(["--cold"] if cold else []), *dropped])

    def command(self, verb, topic, words):
        return [self.binary, "bench", verb, "--topic", topic, *self.target, *words]


def measured(command):
    """Runs a load and gives its measurements under names of ours."""
    seen = json.loads(run(command, apart=True))
    told = {
        "requests": seen["requests"],
        "records": seen["records"],
        "payload_bytes": seen["bytes"],
        "mb_per_s": seen["bytes"] / 1e6 / seen["seconds"],
        "records_per_s": seen["records"] / seen["seconds"],
        "requests_per_s": seen["requests"] / seen["seconds"],
        **times("", seen["answered"]),
        **times("visible_", seen.get("received") or {}),
    }
    if seen.get("median_second"):
        told["slowest_second"] = seen["slowest_second"] / seen["median_second"]
    return told


def times(prefix, quantiles):
    """Waiting times under names of ours."""
    return {prefix + name: quantiles[name] for name in ("p50_ms", "p99_ms", "p999_ms") if name in quantiles}


class Forebay:
    """A running server and the commands that talk to it."""

    def __init__(self, binary, scratch, port, http_port):
        self.binary, self.bootstrap = binary, f"127.0.0.1:{port}"
        self.data = scratch / "forebay"
        # Large segments are the default on both sides; nothing but addresses is set.
        where = ["--data-dir", self.data, "--kafka-listen", self.bootstrap]
        arguments = [binary, "serve", *where, "--http-listen", f"127.0.0.1:{http_port}"]
        self.server = Server("forebay", arguments, scratch / "forebay.log", port)
        self.topics = Topics(binary, self.bootstrap)
        self.bench = LoadProgram(binary, self.bootstrap)

    def version(self):
        return run([self.binary, "--version"]).strip()

    def refuses(self, setting):
        """Why a topic cannot have this setting; nothing if it can."""
        create = [self.binary, "topic", "create", "bench-probe", "--validate-only", "--config", setting]
        try:
            run(create + ["-b", self.bootstrap])
        except RunFailed as refused:
            return str(refused).rpartition("error: ")[2].strip()
        return None

    def partitions(self):
        """The folders of all partitions."""
        return set((self.data / "partitions").iterdir())


class Topics:
    """Makes topics through the Kafka protocol, on any broker, each with a name of its own."""

    def __init__(self, binary, bootstrap):
        self.binary, self.bootstrap, self.numbers = binary, bootstrap, itertools.count()

    def create(self, partitions=4, settings=()):
        name = f"bench-{next(self.numbers)}"
        chosen = [word for setting in settings for word in ("--config", setting)]
        run([self.binary, "topic", "create", name, "--partitions", partitions, *chosen, "-b", self.bootstrap])
        time.sleep(LEADERS_PATIENCE_S)
        return name

    def delete(self, name):
        run([self.binary, "topic", "delete", name, "-b", self.bootstrap])
