"""librdkafka against ours and against its own mock broker."""

import install
from pairs import Row
from peers.librdkafka import Librdkafka
from suites.base import Suite, cost, rate


class MockSuite(Suite):
    """librdkafka's client against ours, and against the mock broker in the client's own process."""

    def start(self, options, scratch, stack):
        self.rdkafka = Librdkafka(install.rdkafka_performance())
        self.versions["rdkafka"] = self.rdkafka.version()

    def produce(self, record_bytes):
        records = self.sizes.count(record_bytes)
        return self.load(self.ours, lambda at, topic: self.rdkafka.produce(at, topic, records, record_bytes))

    def produce_to_mock(self, record_bytes):
        return self.rdkafka.produce_to_mock(self.sizes.count(record_bytes), record_bytes)


def against_mock(name, record_bytes, goal):
    """A row of MockSuite; the mock has no server whose cost could be told."""
    what = f"rdkafka_performance, {record_bytes} B, acks=all; peer: its own mock broker"
    return Row(
        name,
        what,
        [rate(goal), *cost()],
        ours=lambda suite: suite.produce(record_bytes),
        peer=lambda suite: suite.produce_to_mock(record_bytes),
    )


MOCK = [
    against_mock("mock/rdkafka-100B", 100, 0.7),
    against_mock("mock/rdkafka-1KiB", 1024, 0.5),
]
