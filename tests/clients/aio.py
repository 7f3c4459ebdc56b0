"""aiokafka as a writer and a reader with `assign`.

usage: aio.py write BOOTSTRAP PLAN.json WRITER
       aio.py read BOOTSTRAP PLAN.json OUT.json WRITERS
"""

import asyncio
import base64
import json
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

TIMEOUT_S = 60


def b64(data):
    return None if data is None else base64.b64encode(data).decode()


def unb64(text):
    return None if text is None else base64.b64decode(text)


async def write(bootstrap, plan, writer):
    for topic in (t for t in plan["topics"] if t["writer"] == writer):
        codec = None if topic["codec"] == "none" else topic["codec"]
        idempotent = writer.endswith("idempotent")
        producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap, compression_type=codec, linger_ms=50, enable_idempotence=idempotent
        )
        await producer.start()
        try:
            sent = []
            for row in topic["records"]:
                headers = [(name, unb64(content)) for name, content in row["headers"]]
                future = await producer.send(
                    topic["name"],
                    key=unb64(row["key"]),
                    value=unb64(row["value"]),
                    partition=0,
                    timestamp_ms=row["timestamp"],
                    headers=headers or None,
                )
                sent.append(future)
            await asyncio.wait_for(asyncio.gather(*sent), TIMEOUT_S)
        finally:
            await producer.stop()


async def read(bootstrap, plan, writers):
    topics = [t for t in plan["topics"] if t["writer"] in writers]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest", check_crcs=True
    )
    await consumer.start()
    rows = {t["name"]: [] for t in topics}
    try:
        parts = [TopicPartition(t["name"], 0) for t in topics]
        consumer.assign(parts)
        await consumer.seek_to_beginning(*parts)
        ends = await consumer.end_offsets(parts)
        while any(len(rows[p.topic]) < end for p, end in ends.items()):
            batches = await consumer.getmany(timeout_ms=TIMEOUT_S * 1000)
            if not batches:
                break
            for part, messages in batches.items():
                rows[part.topic] += [
                    {
                        "offset": m.offset,
                        "timestamp": m.timestamp,
                        "key": b64(m.key),
                        "value": b64(m.value),
                        "headers": [[name, b64(content)] for name, content in m.headers],
                    }
                    for m in messages
                ]
    finally:
        await consumer.stop()
    return rows


def main():
    mode, bootstrap, plan_path = sys.argv[1:4]
    with open(plan_path, encoding="utf-8") as file:
        plan = json.load(file)
    if mode == "write":
        asyncio.run(write(bootstrap, plan, sys.argv[4]))
        return
    rows = asyncio.run(read(bootstrap, plan, sys.argv[5].split(",")))
    with open(sys.argv[4], "w", encoding="utf-8") as out:
        json.dump(rows, out)


main()
