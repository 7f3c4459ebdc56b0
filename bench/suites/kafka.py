"""Apache Kafka and ours, with the same clients."""

import time

import install
from pairs import Figure, Row
from peers.kafka import JavaTools, Kafka
from peers.librdkafka import Librdkafka
from processes import RunFailed
from suites.base import ASYNC, IDLE_S, Suite, cost, rate, tail

LATENCY_RATE = 10_000


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
        records, warm_up = self.sizes.java_records, self.sizes.java_warm_up
        return self.load(side, lambda at, topic: self.java.produce(at, topic, records, warm_up, 1024))

    def java_paced(self, side):
        """At a fixed rate and without lingering: how long an append takes."""
        records, warm_up = (LATENCY_RATE * seconds for seconds in (self.sizes.latency_s, self.sizes.latency_warm_up_s))

        def send(bootstrap, topic):
            return self.java.produce(bootstrap, topic, records, warm_up, 1024, LATENCY_RATE, ["linger.ms=0"])

        return self.load(side, send)


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
