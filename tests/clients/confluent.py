"""confluent-kafka (librdkafka) as a writer and a reader with `assign`.

usage: confluent.py write BOOTSTRAP PLAN.json [WRITER]
       confluent.py read BOOTSTRAP PLAN.json OUT.json WRITERS
"""

import base64
import json
import sys
import time

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

TIMEOUT_S = 60


def b64(data):
    return None if data is None else base64.b64encode(data).decode()


def unb64(text):
    return None if text is None else base64.b64decode(text)


def write(bootstrap, plan, writer):
    for topic in (t for t in plan["topics"] if t["writer"] == writer):
        config = {"bootstrap.servers": bootstrap, "compression.codec": topic["codec"], "linger.ms": 50}
        if writer.endswith("idempotent"):
            config |= {"enable.idempotence": True, "acks": "all"}
        producer = Producer(config)
        failures = []
        for row in topic["records"]:
            producer.produce(
                topic["name"],
                key=unb64(row["key"]),
                value=unb64(row["value"]),
                partition=0,
                timestamp=row["timestamp"],
                headers=[(name, unb64(content)) for name, content in row["headers"]] or None,
                on_delivery=lambda error, _message: failures.append(error) if error else None,
            )
        left = producer.flush(TIMEOUT_S)
        if left or failures:
            sys.exit(f"{topic['name']}: {left} not delivered, failures: {failures[:3]}")


def read(bootstrap, plan, writers):
    topics = [t for t in plan["topics"] if t["writer"] in writers]
    # librdkafka wants a group id even where no group is joined and no offset is committed.
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "unused",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "check.crcs": True,
        }
    )
    consumer.assign([TopicPartition(t["name"], 0, 0) for t in topics])
    rows = {t["name"]: [] for t in topics}
    at_end, deadline = set(), time.monotonic() + TIMEOUT_S
    while len(at_end) < len(topics) and time.monotonic() < deadline:
        message = consumer.poll(1.0)
        if message is None:
            continue
        if message.error():
            if message.error().code() != KafkaError._PARTITION_EOF:
                sys.exit(f"{message.topic()}: {message.error()}")
            at_end.add(message.topic())
            continue
        rows[message.topic()].append(
            {
                "offset": message.offset(),
                "timestamp": message.timestamp()[1],
                "key": b64(message.key()),
                "value": b64(message.value()),
                "headers": [[name, b64(content)] for name, content in message.headers() or []],
            }
        )
    consumer.close()
    return rows


def main():
    mode, bootstrap, plan_path = sys.argv[1:4]
    with open(plan_path, encoding="utf-8") as file:
        plan = json.load(file)
    if mode == "write":
        write(bootstrap, plan, sys.argv[4])
        return
    with open(sys.argv[4], "w", encoding="utf-8") as out:
        json.dump(read(bootstrap, plan, sys.argv[5].split(",")), out)


main()
