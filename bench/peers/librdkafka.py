"""`rdkafka_performance`, the load program of librdkafka, against any broker or against a mock in its own process."""

import re

from processes import RunFailed, run

# Large batches and a queue that never stops the program; acks is -1, all.
SETTINGS = {
    "linger.ms": 5,
    "batch.size": 1000000,
    "queue.buffering.max.messages": 1000000,
    "queue.buffering.max.kbytes": 2000000,
}
DELIVERED = re.compile(
    r"% (?P<produced>\d+) messages produced \((?P<bytes>\d+) bytes\), (?P<delivered>\d+) delivered"
    r" \(offset -?\d+, (?P<failed>\d+) failed\) in (?P<ms>\d+)ms"
)


class Librdkafka:
    """The built program."""

    def __init__(self, program):
        self.program = program

    def version(self):
        """What the program says of itself; it knows no option for it, and prints it before how it is used."""
        seen = re.search(r"librdkafka version (\S+)", run(["sh", "-c", '"$0" -? 2>&1; true', self.program]))
        return f"librdkafka {seen[1] if seen else 'unknown'}"

    def produce(self, bootstrap, topic, records, record_bytes):
        return self.measure(["-b", bootstrap, "-t", topic], records, record_bytes)

    def produce_to_mock(self, records, record_bytes):
        """The ceiling of the client: its broker costs next to nothing and keeps next to nothing."""
        mock = ["-b", "127.0.0.1:1", "-t", "mock", "-X", "test.mock.num.brokers=1"]
        return self.measure(mock, records, record_bytes)

    def measure(self, target, records, record_bytes):
        load = ["-P", "-s", record_bytes, "-c", records, "-a", "-1", "-q"]
        settings = [word for name, value in SETTINGS.items() for word in ("-X", f"{name}={value}")]
        printed = run([self.program, *load, *target, *settings])
        seen = DELIVERED.search(printed)
        if not seen or int(seen["delivered"]) != records or int(seen["failed"]):
            raise RunFailed(f"rdkafka_performance did not deliver {records} messages:\n{printed[-1000:]}")
        seconds = int(seen["ms"]) / 1000
        return {"payload_bytes": int(seen["bytes"]), "records_per_s": records / seconds}
