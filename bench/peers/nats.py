"""NATS JetStream with file storage, and our load program for it."""

import json

from processes import Server, run

# Answers come when a message is written, not synced (sync_interval is 2 minutes): JetStream's default.
CONFIGURATION = """listen: 127.0.0.1:{port}
jetstream {{
  store_dir: "{data}"
  max_file_store: 30G
}}
"""


class Nats:
    """A running server."""

    def __init__(self, program, load, scratch, port):
        self.program, self.load, self.address = program, load, f"127.0.0.1:{port}"
        configuration = scratch / "nats.conf"
        configuration.write_text(CONFIGURATION.format(port=port, data=scratch / "nats"), encoding="utf-8")
        self.server = Server("nats-server", [program, "-c", configuration], scratch / "nats.log", port)

    def version(self):
        return run([self.program, "--version"]).strip()

    def publish(self, message_bytes, total_bytes):
        """16 connections with 5 messages each, on 4 streams that are made before and deleted after."""
        load = ["--message-bytes", message_bytes, "--total-bytes", total_bytes]
        seen = json.loads(run([self.load, "--server", self.address, *load], apart=True))
        return {
            "records": seen["messages"],
            "payload_bytes": seen["bytes"],
            "mb_per_s": seen["bytes"] / 1e6 / seen["seconds"],
            "records_per_s": seen["messages"] / seen["seconds"],
            "p50_ms": seen["p50_ms"],
            "p99_ms": seen["p99_ms"],
        }
