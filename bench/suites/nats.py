"""NATS JetStream and ours, each with our load program for it."""

import install
from pairs import Row
from peers.forebay import Load
from peers.nats import Nats
from suites.base import ASYNC, Suite, cost, of_single_records, one_record_each, rate, tail, throughput


class NatsSuite(Suite):
    """NATS JetStream."""

    def start(self, options, scratch, stack):
        self.nats = Nats(install.nats_server(), install.nats_load(), scratch, options.port_base + 222)
        stack.enter_context(self.nats.server)
        self.versions["nats"] = self.nats.version()

    def publish(self, message_bytes, total_bytes):
        return self.nats.server.metered(lambda: self.nats.publish(message_bytes, total_bytes))


def against_nats(name, what, figure, ours, peer, settings=()):
    return Row(name, what, [figure, *cost(), tail()], ours, peer, settings=settings)


def batches(suite):
    return suite.append(Load(suite.sizes.batched_bytes))


def large_messages(suite):
    return suite.publish(16384, suite.sizes.batched_bytes)


def single_records(suite):
    return of_single_records(suite.append(one_record_each(suite.sizes.single_bytes)))


def small_messages(suite):
    return suite.publish(1024, suite.sizes.single_bytes)


ONE_EACH = "one record of 1 KiB a request, acks=1; peer: messages"
NATS = [
    against_nats("nats/16KiB", "batches of 16 KiB, acks=1; peer: messages", throughput(2.0), batches, large_messages),
    against_nats("nats/16KiB-async", "the same; ours async", throughput(2.0), batches, large_messages, ASYNC),
    against_nats("nats/1KiB", ONE_EACH, rate(1.5), single_records, small_messages),
    against_nats("nats/1KiB-async", "the same; ours async", rate(1.5), single_records, small_messages, ASYNC),
]
