"""Apache Kafka: one node in KRaft mode with its shipped defaults, and its own load programs."""

import base64
import re
import uuid

from install import KAFKA, TOP
from peers.forebay import Topics
from processes import RunFailed, Server, run

# What Kafka's own start scripts give a broker and a tool.
JVM = """-server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35
 -XX:+ExplicitGCInvokesConcurrent -Djava.awt.headless=true""".split()
BROKER_HEAP = ["-Xmx1G", "-Xms1G"]
TOOL_HEAP = ["-Xmx512M"]

# Addresses, and what a single node cannot do without. The delay is that of deleted files: a benchmark deletes often.
PROPERTIES = """process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
log.dirs={data}
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.segment.delete.delay.ms=1000
"""

PRODUCED = re.compile(
    r"^(?P<sent>\d+) steady state records sent, (?P<rate>[\d.]+) records/sec .* ms max latency, (?P<p50>\d+) ms 50th,"
    r" (?P<p95>\d+) ms 95th, (?P<p99>\d+) ms 99th",
    re.MULTILINE,
)
CONSUMED = re.compile(r"^(?P<records>\d+) records, (?P<bytes>\d+) bytes, (?P<seconds>[\d.]+) s$", re.MULTILINE)


class JavaTools:
    """Kafka's Java clients as load programs, against any broker that speaks its protocol."""

    def __init__(self, folder):
        logging = f"-Dlog4j2.configurationFile={folder / 'log4j2.properties'}"
        self.classes = [logging, "-cp", f"{folder / 'lib'}/*"]

    def java(self, heap, *words):
        return ["java", *heap, *JVM, *self.classes, *words]

    def produce(self, bootstrap, topic, records, warm_up, record_bytes, rate=-1, settings=()):
        """ProducerPerformance with its defaults: acks=all, idempotent, batches of 16 KiB, linger.ms=5. Its first `warm_up`
        records, while its own code is compiled, count for the server's cost only."""
        load = ["--bootstrap-server", bootstrap, "--topic", topic, "--record-size", record_bytes, "--throughput", rate]
        load += ["--num-records", records + warm_up, "--warmup-records", warm_up]
        client = ["--command-property", *settings] if settings else []
        printed = run(self.java(TOOL_HEAP, "org.apache.kafka.tools.ProducerPerformance", *load, *client))
        seen = PRODUCED.search(printed)
        if not seen or int(seen["sent"]) != records:
            raise RunFailed(f"ProducerPerformance did not send {records} records:\n{printed[-1000:]}")
        return {
            "payload_bytes": (records + warm_up) * record_bytes,
            "records_per_s": float(seen["rate"]),
            "p50_ms": int(seen["p50"]),
            "p99_ms": int(seen["p99"]),
        }

    def consume(self, bootstrap, topic, records):
        """All of a topic, by the loop and the settings of ConsumerPerformance, without a group."""
        source = TOP / "bench/java/AssignedConsumer.java"
        printed = run(self.java(TOOL_HEAP, source, bootstrap, topic, records))
        seen = CONSUMED.search(printed)
        if not seen or int(seen["records"]) < records:
            raise RunFailed(f"the consumer did not read {records} records:\n{printed[-1000:]}")
        return {
            "payload_bytes": int(seen["bytes"]),
            "records_per_s": int(seen["records"]) / float(seen["seconds"]),
        }


class Kafka:
    """A running broker."""

    def __init__(self, tools, scratch, port, controller_port, binary):
        self.bootstrap = f"127.0.0.1:{port}"
        properties = scratch / "kafka.properties"
        places = {"port": port, "controller": controller_port, "data": scratch / "kafka"}
        properties.write_text(PROPERTIES.format(**places), encoding="utf-8")
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes)[:22].decode()
        run(tools.java(TOOL_HEAP, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", properties))
        broker = tools.java(BROKER_HEAP, "kafka.Kafka", properties)
        self.server = Server("Apache Kafka", broker, scratch / "kafka.log", port)
        self.topics = Topics(binary, self.bootstrap)

    def version(self):
        return f"Apache Kafka {KAFKA}"
