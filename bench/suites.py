"""The rows, by the peer they compare with. A suite starts its servers once, so that a peer's warm-up is not lost
between rows; every run has a topic of its own, which is deleted after it."""

import contextlib
import time
from dataclasses import dataclass

import install
from pairs import Figure, Row
from peers.forebay import Forebay
from peers.kafka import JavaTools, Kafka
from peers.librdkafka import Librdkafka
from peers.nats import Nats
from processes import RunFailed

ASYNC = ("flush.mode=async",)
IDLE_S = 5
LATENCY_RATE = 10_000
# Room for a batch header and one record of 1 KiB, not for two.
ONE_RECORD_BATCH_BYTES = 1100


@dataclass(frozen=True)
class Sizes:
    """How much one run moves."""

    small_records: int = 5_000_000  # of 100 bytes
    records: int = 2_000_000  # of 1 KiB
    java_records: int = 1_000_000
    latency_s: int = 30
    batched_bytes: int = 2 << 30
    single_bytes: int = 256 << 20

    def count(self, record_bytes):
        """How many records of this size librdkafka's program sends."""
        return self.small_records if record_bytes == 100 else self.records


QUICK = Sizes(500_000, 200_000, 100_000, 5, 256 << 20, 16 << 20)


class Suite:
    """Servers and load programs of one peer, and what each row does with them."""

    def __init__(self, options, scratch, stack, notes):
        ports = options.port_base
        self.sizes = QUICK if options.quick else Sizes()
        self.notes = notes
        self.ours = Forebay(options.bin, scratch, ports + 92, ports + 644)
        stack.enter_context(self.ours.server)
        self.versions = {"forebay": self.ours.version()}
        self.start(options, scratch, stack)

    def start(self, options, scratch, stack):
        """Starts the peer; there may be none."""

    def settings_for(self, row):
        """The row's topic settings as far as the server takes them, with a note about each that it refuses."""
        taken = []
        for setting in row.settings:
            reason = self.ours.refuses(setting)
            if reason is None:
                taken.append(setting)
            else:
                self.notes.append(f"{row.name}: the server refuses {setting}, so ours ran without it ({reason})")
        self.settings = tuple(taken)

    @contextlib.contextmanager
    def topic(self, side):
        """A topic with four partitions; ours with the settings of the row."""
        settings = self.settings if side is self.ours else ()
        name = side.topics.create(settings=settings)
        try:
            yield name
        finally:
            side.topics.delete(name)

    def load(self, side, produce):
        """Runs `produce(address, topic)` against one side's server and meters the server."""
        with self.topic(side) as topic:
            return side.server.metered(lambda: produce(side.bootstrap, topic))


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


class KafkaSuite(Suite):
    """Apache Kafka."""

    def start(self, options, scratch, stack):
        ports = options.port_base
        self.rdkafka = Librdkafka(install.rdkafka_performance())
        self.java = JavaTools(install.kafka())
        self.kafka = Kafka(self.java, scratch, ports + 192, ports + 193, options.bin)
        stack.enter_context(self.kafka.server)
        self.versions.update(rdkafka=self.rdkafka.version(), kafka=self.kafka.version())
        self.await_kafka()
        time.sleep(IDLE_S)
        self.idle = {side: {"idle_rss_mib": side.server.memory_mib("VmRSS")} for side in (self.ours, self.kafka)}

    def await_kafka(self):
        """Its port is open before it serves; a topic can be made once it does."""
        for patience in range(30, -1, -1):
            try:
                self.kafka.topics.delete(self.kafka.topics.create())
                return
            except RunFailed:
                if patience == 0:
                    raise
                time.sleep(1)

    def fill(self):
        """A topic on each side for the consumers to read; kept until the servers end."""
        self.filled = {}
        for side in (self.ours, self.kafka):
            settings = self.settings if side is self.ours else ()
            self.filled[side] = side.topics.create(settings=settings)
            self.rdkafka.produce(side.bootstrap, self.filled[side], self.sizes.records, 1024)

    def consume(self, side):
        topic = self.filled[side]
        return side.server.metered(lambda: self.java.consume(side.bootstrap, topic, self.sizes.records))

    def rdkafka_produce(self, side, record_bytes):
        records = self.sizes.count(record_bytes)
        return self.load(side, lambda at, topic: self.rdkafka.produce(at, topic, records, record_bytes))

    def java_produce(self, side):
        records = self.sizes.java_records
        return self.load(side, lambda at, topic: self.java.produce(at, topic, records, 1024))

    def java_paced(self, side):
        """At a fixed rate and without lingering: how long an append takes."""
        records = LATENCY_RATE * self.sizes.latency_s

        def send(bootstrap, topic):
            return self.java.produce(bootstrap, topic, records, 1024, LATENCY_RATE, ["linger.ms=0"])

        return self.load(side, send)


class NatsSuite(Suite):
    """NATS JetStream."""

    def start(self, options, scratch, stack):
        self.nats = Nats(install.nats_server(), install.nats_load(), scratch, options.port_base + 222)
        stack.enter_context(self.nats.server)
        self.versions["nats"] = self.nats.version()

    def append(self, batch_bytes, total_bytes):
        return self.load(self.ours, lambda _, topic: self.ours.produce(topic, batch_bytes, total_bytes))

    def publish(self, message_bytes, total_bytes):
        return self.nats.server.metered(lambda: self.nats.publish(message_bytes, total_bytes))

    def append_single(self):
        """Batches that hold one record of 1 KiB each, which is checked: two would need twice the bytes. The cost is
        that of the records' bytes, as the peer's is."""
        measured = self.append(ONE_RECORD_BATCH_BYTES, self.sizes.single_bytes)
        bytes_a_record = measured["payload_bytes"] / measured["records"]
        if not 1024 < bytes_a_record <= ONE_RECORD_BATCH_BYTES:
            raise RunFailed(f"a request took {bytes_a_record:.0f} bytes a record, so it did not carry one of 1 KiB")
        measured["cpu_s_per_gb"] *= bytes_a_record / 1024
        return measured


def rate(goal=None):
    return Figure("records_per_s", "records/s", goal=goal)


def cost(cpu=None, rss=None):
    """What the servers used."""
    return [
        Figure("cpu_s_per_gb", "CPU-s/GB", more_is_better=False, goal=cpu),
        Figure("peak_rss_mib", "MiB", more_is_better=False, goal=rss),
    ]


def tail(goal=None, floor=0.0):
    return Figure("p99_ms", "ms", more_is_better=False, goal=goal, floor=floor)


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


def of_kafka(name, what, figures, run, **options):
    """A row of KafkaSuite that does the same with both servers."""
    return Row(
        name,
        what,
        figures,
        ours=lambda suite: run(suite, suite.ours),
        peer=lambda suite: run(suite, suite.kafka),
        **options,
    )


def small_records(suite, side):
    return suite.rdkafka_produce(side, 100)


def large_records(suite, side):
    return suite.rdkafka_produce(side, 1024)


MOCK = [
    against_mock("mock/rdkafka-100B", 100, 0.7),
    against_mock("mock/rdkafka-1KiB", 1024, 0.5),
]

KAFKA = [
    of_kafka(
        "kafka/idle",
        "resident memory before any load",
        [Figure("idle_rss_mib", "MiB", more_is_better=False, goal=0.1)],
        lambda suite, side: dict(suite.idle[side]),
        once=True,
    ),
    of_kafka(
        "kafka/rdkafka-100B",
        "rdkafka_performance, 100 B, acks=all; ours async",
        [rate(1.15), *cost(0.4, 0.1)],
        small_records,
        settings=ASYNC,
    ),
    of_kafka(
        "kafka/rdkafka-1KiB",
        "rdkafka_performance, 1 KiB, acks=all; ours async",
        [rate(1.5), *cost(0.4, 0.1)],
        large_records,
        settings=ASYNC,
    ),
    of_kafka(
        "kafka/rdkafka-1KiB-synced",
        "rdkafka_performance, 1 KiB, acks=all; ours from stable storage",
        [rate(1.0), *cost(None, 0.1)],
        large_records,
    ),
    of_kafka(
        "kafka/java-produce",
        "Java ProducerPerformance, 1 KiB, its defaults; ours async",
        [rate(1.3), *cost(0.4, 0.1)],
        KafkaSuite.java_produce,
        settings=ASYNC,
    ),
    of_kafka(
        "kafka/java-consume",
        "Java consumer with ConsumerPerformance's settings, 1 KiB, cached",
        [rate(1.0), *cost(0.3, 0.1)],
        KafkaSuite.consume,
        prepare=KafkaSuite.fill,
        settings=ASYNC,
    ),
    of_kafka(
        "kafka/java-latency",
        "Java producer at 10,000 records/s, linger.ms=0; ours async",
        [tail(0.5, floor=1.0), rate()],
        KafkaSuite.java_paced,
        settings=ASYNC,
    ),
    of_kafka(
        "kafka/java-latency-synced",
        "the same; ours from stable storage",
        [tail(floor=1.0), rate()],
        KafkaSuite.java_paced,
    ),
]


def against_nats(name, what, figure, ours, peer, settings=()):
    return Row(name, what, [figure, *cost(), tail()], ours, peer, settings=settings)


def batches(suite):
    return suite.append(16384, suite.sizes.batched_bytes)


def large_messages(suite):
    return suite.publish(16384, suite.sizes.batched_bytes)


def single_records(suite):
    return suite.append_single()


def small_messages(suite):
    return suite.publish(1024, suite.sizes.single_bytes)


THROUGHPUT = Figure("mb_per_s", "MB/s", goal=2.0)
ONE_EACH = "one record of 1 KiB a request, acks=1; peer: messages"
NATS = [
    against_nats("nats/16KiB", "batches of 16 KiB, acks=1; peer: messages", THROUGHPUT, batches, large_messages),
    against_nats("nats/16KiB-async", "the same; ours async", THROUGHPUT, batches, large_messages, ASYNC),
    against_nats("nats/1KiB", ONE_EACH, rate(1.5), single_records, small_messages),
    against_nats("nats/1KiB-async", "the same; ours async", rate(1.5), single_records, small_messages, ASYNC),
]

SUITES = [(MockSuite, MOCK), (KafkaSuite, KAFKA), (NatsSuite, NATS)]
