"""confluent-kafka's idempotent producer against a server that is killed with SIGKILL under load.

usage: kill9.py FOREBAY DIR ROUNDS

Every record that the client was told is stored must be there, once, and in order, after the last restart.
"""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

TOPIC = "killed"
PARTITIONS = 4
READY_S = 30
DELIVERY_S = 60
# Every FOREBAY_... variable is a setting of the server; those of this matrix are not meant for it.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("FOREBAY_")}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """The real binary on fixed ports, so that a client finds it again after a restart."""

    def __init__(self, binary, folder):
        self.kafka, self.http = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        self.command = [binary, "serve", "--data-dir", str(folder / "data")]
        self.command += ["--kafka-listen", self.kafka, "--http-listen", self.http]
        self.log = open(folder / "server.log", "ab")
        self.process = None

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=self.log, stderr=self.log, env=ENVIRONMENT)
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            host, port = self.kafka.rsplit(":", 1)
            with socket.socket() as probe:
                if probe.connect_ex((host, int(port))) == 0:
                    return
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        sys.exit(f"the server did not start; see {self.log.name}")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


class Load(threading.Thread):
    """Produces numbered records until told to stop, and keeps what was acknowledged, by partition."""

    def __init__(self, bootstrap):
        super().__init__(daemon=True)
        self.producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "linger.ms": 2,
                "message.timeout.ms": DELIVERY_S * 1000,
                "reconnect.backoff.max.ms": 200,
            }
        )
        self.acknowledged = {p: [] for p in range(PARTITIONS)}
        self.failures = []
        self.stop = threading.Event()

    def delivered(self, error, message):
        if error:
            self.failures.append(str(error))
        else:
            self.acknowledged[message.partition()].append((message.offset(), int(message.value())))

    def run(self):
        number = 0
        while not self.stop.is_set():
            try:
                self.producer.produce(TOPIC, str(number), partition=number % PARTITIONS, on_delivery=self.delivered)
                number += 1
            except BufferError:
                self.producer.poll(0.1)
            self.producer.poll(0)
            if number % 50 == 0:
                time.sleep(0.002)
        if self.producer.flush(DELIVERY_S):
            self.failures.append("records left in the queue")


def read_all(bootstrap):
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False, "enable.partition.eof": True}
    )
    consumer.assign([TopicPartition(TOPIC, p, 0) for p in range(PARTITIONS)])
    rows, at_end = {p: [] for p in range(PARTITIONS)}, set()
    deadline = time.monotonic() + DELIVERY_S
    while len(at_end) < PARTITIONS and time.monotonic() < deadline:
        message = consumer.poll(1.0)
        if message is None:
            continue
        if message.error():
            if message.error().code() != KafkaError._PARTITION_EOF:
                sys.exit(str(message.error()))
            at_end.add(message.partition())
            continue
        rows[message.partition()].append((message.offset(), int(message.value())))
    consumer.close()
    return rows


def main():
    binary, folder, rounds = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(9)
    server = Server(binary, folder)
    server.start()
    try:
        subprocess.run(
            [binary, "topic", "create", TOPIC, "--partitions", str(PARTITIONS), "--bootstrap", server.kafka],
            check=True,
            env=ENVIRONMENT,
        )
        load = Load(server.kafka)
        load.start()
        for _ in range(rounds):
            time.sleep(rng.uniform(0.2, 1.5))
            server.kill()
            server.start()
        time.sleep(0.5)
        load.stop.set()
        load.join()
        rows = read_all(server.kafka)
    finally:
        server.kill()
    bad = list(load.failures[:5])
    for partition, acknowledged in load.acknowledged.items():
        stored = rows[partition]
        lost = set(acknowledged) - set(stored)
        numbers = [number for _, number in stored]
        if lost:
            bad.append(f"partition {partition}: {len(lost)} acknowledged records lost, first {min(lost)}")
        if numbers != sorted(set(numbers)):
            bad.append(f"partition {partition}: records are out of order or twice")
    total = sum(len(rows) for rows in load.acknowledged.values())
    print(f"kill -9 under confluent-kafka: {rounds} rounds, {total} acknowledged records, {len(bad)} faults")
    for line in bad:
        print(f"  {line}")
    sys.exit(1 if bad or total == 0 else 0)


main()
