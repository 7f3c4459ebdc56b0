"""confluent-kafka (librdkafka) writes numbered records until the file STOP exists, while the disk fills and is freed.

usage: confluent.py BOOTSTRAP TOPIC STOP OUT.json [SETTING=VALUE...]
"""

import json
import os
import sys
import time

from confluent_kafka import Producer

EVERY_S, FLUSH_S = 0.01, 60
PADDING = b"." * 1000


def main():
    bootstrap, topic, stop, out, *settings = sys.argv[1:]
    config = {"bootstrap.servers": bootstrap, "linger.ms": 5} | dict(pair.split("=", 1) for pair in settings)
    producer = Producer(config)
    stored, failed = [], []

    def delivered(number):
        def note(error, message):
            if error:
                failed.append([number, time.time(), error.str()])
            else:
                stored.append([number, time.time(), message.offset()])

        return note

    number = 0
    while not os.path.exists(stop):
        producer.produce(topic, value=b"%d " % number + PADDING, partition=0, on_delivery=delivered(number))
        number += 1
        producer.poll(EVERY_S)
    left = producer.flush(FLUSH_S)
    with open(out, "w", encoding="utf-8") as file:
        json.dump({"sent": number, "unknown": left, "stored": stored, "failed": failed}, file)


main()
