"""aiokafka writes numbered records until the file STOP exists, while the disk fills and is freed.

usage: aio.py BOOTSTRAP TOPIC STOP OUT.json [SETTING=VALUE...]
"""

import asyncio
import json
import os
import sys
import time

from aiokafka import AIOKafkaProducer

EVERY_S, FINISH_S = 0.01, 60
PADDING = b"." * 1000


async def main():
    bootstrap, topic, stop, out, *settings = sys.argv[1:]
    config = {name: value == "true" for name, value in (pair.split("=", 1) for pair in settings)}
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=5, **config)
    await producer.start()
    stored, failed = [], []

    async def send(number):
        try:
            sent = await producer.send_and_wait(topic, b"%d " % number + PADDING, partition=0)
            stored.append([number, time.time(), sent.offset])
        except Exception as error:  # What its user would see, whatever it is.
            failed.append([number, time.time(), f"{type(error).__name__}: {error}"])

    number, tasks = 0, []
    while not os.path.exists(stop):
        tasks.append(asyncio.create_task(send(number)))
        number += 1
        await asyncio.sleep(EVERY_S)
    _, late = await asyncio.wait(tasks, timeout=FINISH_S)
    unknown = len(late)
    await producer.stop()
    with open(out, "w", encoding="utf-8") as file:
        json.dump({"sent": number, "unknown": unknown, "stored": stored, "failed": failed}, file)


asyncio.run(main())
