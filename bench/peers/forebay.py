"""Ours: the release binary, as a server and as its own load program."""

import itertools
import json
import time

from processes import RunFailed, Server, run

# A topic is usable everywhere at once here; other brokers elect its leaders after they answered.
LEADERS_PATIENCE_S = 1


class Forebay:
    """A running server and the commands that talk to it."""

    def __init__(self, binary, scratch, port, http_port):
        self.binary, self.bootstrap = binary, f"127.0.0.1:{port}"
        # Large segments are the default on both sides; nothing but addresses is set.
        where = ["--data-dir", scratch / "forebay", "--kafka-listen", self.bootstrap]
        arguments = [binary, "serve", *where, "--http-listen", f"127.0.0.1:{http_port}"]
        self.server = Server("forebay", arguments, scratch / "forebay.log", port)
        self.topics = Topics(binary, self.bootstrap)

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

    def produce(self, topic, batch_bytes, total_bytes, record_bytes=1024):
        """16 connections with 5 requests each; acks=1, as JetStream answers when it has written."""
        shape = ["--connections", 16, "--in-flight", 5, "--batch-bytes", batch_bytes, "--record-bytes", record_bytes]
        how = ["--partitions", 4, "--acks", 1, "--no-check", "--total-bytes", total_bytes, "--output", "json"]
        command = [self.binary, "bench", "produce", *shape, *how, "--topic", topic, "-b", self.bootstrap]
        seen = json.loads(run(command, apart=True))
        answered = seen["answered"]
        return {
            "records": seen["records"],
            "payload_bytes": seen["bytes"],
            "mb_per_s": seen["bytes"] / 1e6 / seen["seconds"],
            "records_per_s": seen["records"] / seen["seconds"],
            "p50_ms": answered["p50_ms"],
            "p99_ms": answered["p99_ms"],
        }


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
