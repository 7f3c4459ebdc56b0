"""Appends against what the machine has to give: the yardstick, plain files, an echo, and ours in other shapes."""

from dataclasses import replace

from pairs import Figure, Row, settle
from peers.forebay import Load
from peers.machine import Yardstick, limits
from suites.base import ASYNC, Suite, cost, need_room, of_single_records, one_record_each, rate, tail, throughput

LARGE_BATCH_BYTES = 1 << 20
SUSTAINED_BATCH_BYTES = 64 << 10
MANY_PARTITIONS = 1000
# As many requests as the echo has.
ALONE_REQUESTS = 20_000


class MachineSuite(Suite):
    """No server beside ours stays up: the yardstick is started with empty files for each run."""

    def start(self, options, scratch, stack):
        self.scratch = scratch
        self.binary, self.yardstick_port = options.bin, options.port_base + 350

    def append_to_yardstick(self, load):
        with Yardstick(self.binary, self.scratch, self.yardstick_port, load.partitions) as yardstick:
            return yardstick.server.metered(lambda: yardstick.bench.produce("bench", load))

    def at_half_rate(self, run):
        """Measures how fast ours takes batches now, and then `run(load)` at half of that for `paced_s`."""
        fastest = self.append(Load(self.sizes.batched_bytes))
        settle()
        self.half = half_of(fastest, self.sizes.paced_s)
        need_room(self.scratch, self.half.total_bytes)
        return run(self.half) | {"unpaced_mb_per_s": fastest["mb_per_s"]}

    def until_visible(self, load):
        with self.topic(self.ours, load.partitions) as topic:
            return self.ours.server.metered(lambda: self.ours.bench.latency(topic, load, self.sizes.paced_s))

    def sustained(self):
        need_room(self.scratch, self.sizes.sustained_bytes)
        return self.append(Load(self.sizes.sustained_bytes, batch_bytes=SUSTAINED_BATCH_BYTES))

    def write_behind(self):
        need_room(self.scratch, self.sizes.sustained_bytes)
        return {"mb_per_s": limits(self.binary, self.scratch, self.sizes.sustained_bytes)["write_behind"]}

    def echo(self):
        return {"p50_ms": limits(self.binary, self.scratch)["echo_1k_p50"]}


def half_of(fastest, seconds):
    """The load of an unpaced run at half its rate."""
    per_second = max(1, int(fastest["requests_per_s"] / 2))
    bytes_a_request = fastest["payload_bytes"] / fastest["requests"]
    return Load(int(per_second * seconds * bytes_a_request), rate=per_second)


def absolute(name, unit, goal, more_is_better=False):
    """A figure of ours that is bounded itself."""
    return Figure(name, unit, more_is_better=more_is_better, goal=goal, absolute=True)


def cost_below(cpu=None):
    """As `cost`, with a bound on CPU time itself."""
    return [absolute("cpu_s_per_gb", "CPU-s/GB", cpu), *cost()[1:]]


def of_yardstick(name, what, figures, load, seen=lambda measured: measured):
    """A row that does the same with the yardstick; `load` takes the sizes, `seen` what was measured."""
    return Row(
        name,
        f"{what}, acks=1, 16 connections x 5, ours async; peer: the yardstick",
        figures,
        ours=lambda suite: seen(suite.append(load(suite.sizes))),
        peer=lambda suite: seen(suite.append_to_yardstick(load(suite.sizes))),
        settings=ASYNC,
    )


def synced(partitions, goal):
    """From stable storage against the same without waiting for it."""

    def load(suite):
        return Load(suite.sizes.batched_bytes, partitions=partitions, acks="all")

    return Row(
        f"machine/synced-{partitions}",
        f"batches of 16 KiB, acks=all, {partitions} partitions, from stable storage; peer: ours async",
        [throughput(goal), tail(3.0), *cost()],
        ours=lambda suite: suite.append(load(suite)),
        peer=lambda suite: suite.append(load(suite), ASYNC),
    )


def half_rate(name, what, settings=()):
    """Waiting times at half the maximum rate, and those of the yardstick at the same rate."""
    p999 = absolute("p999_ms", "ms", 8.0)
    return Row(
        name,
        what,
        [absolute("p99_ms", "ms", 2.0), p999, throughput(), Figure("unpaced_mb_per_s", "MB/s")],
        ours=lambda suite: suite.at_half_rate(suite.append),
        peer=lambda suite: suite.append_to_yardstick(suite.half),
        settings=settings,
    )


def batches(sizes):
    return Load(sizes.batched_bytes)


def large_batches(sizes):
    return Load(sizes.batched_bytes, batch_bytes=LARGE_BATCH_BYTES)


def single_records(sizes):
    return one_record_each(sizes.alone_bytes)


def random_partitions(partitions):
    def append(suite):
        return suite.append(Load(suite.sizes.batched_bytes, partitions=partitions, spread="random"))

    return append


def one_by_one(suite):
    """One record of 1 KiB, and the next when it was answered."""
    load = one_record_each(0, connections=1, in_flight=1, partitions=1)
    return of_single_records(suite.append(replace(load, total_bytes=ALONE_REQUESTS * load.batch_bytes)))


MACHINE = [
    of_yardstick(
        "machine/produce-16KiB",
        "batches of 16 KiB",
        [throughput(0.75), *cost_below(0.55), tail()],
        batches,
    ),
    of_yardstick(
        "machine/produce-1MiB",
        "batches of 1 MiB",
        [throughput(0.7), absolute("p99_ms", "ms", 70.0), *cost()],
        large_batches,
    ),
    of_yardstick(
        "machine/produce-1KiB",
        "one record of 1 KiB a request",
        [rate(0.6), *cost(), tail()],
        single_records,
        of_single_records,
    ),
    synced(1, 0.5),
    synced(16, 0.35),
    Row(
        "machine/one-connection",
        "1 connection, 1 request in flight, one record of 1 KiB, acks=1; peer: an echo of 1 KiB over tokio",
        [Figure("p50_ms", "ms", more_is_better=False, goal=3.0), tail()],
        ours=one_by_one,
        peer=MachineSuite.echo,
    ),
    Row(
        "machine/visible",
        "half the maximum rate, batches of 16 KiB, acks=1: until a parked consumer has a batch",
        [absolute("visible_p99_ms", "ms", 10.0), throughput(), Figure("unpaced_mb_per_s", "MB/s")],
        ours=lambda suite: suite.at_half_rate(suite.until_visible),
    ),
    half_rate("machine/half-rate", "half the maximum rate, batches of 16 KiB, acks=1; peer: the yardstick, same rate"),
    half_rate("machine/half-rate-async", "the same, ours async", ASYNC),
    Row(
        "machine/partitions-1000",
        "batches of 16 KiB to any of 1,000 partitions, acks=1, async; peer: ours with 4 partitions",
        [throughput(0.75), *cost(), tail()],
        ours=random_partitions(MANY_PARTITIONS),
        peer=random_partitions(4),
        settings=ASYNC,
    ),
    Row(
        "machine/sustained",
        "20 GiB in batches of 64 KiB, acks=1, ours async; peer: one file, buffered, write-back started behind",
        [throughput(0.8), absolute("slowest_second", "of the median", 0.5, more_is_better=True), *cost(), tail()],
        ours=MachineSuite.sustained,
        peer=MachineSuite.write_behind,
        once=True,
        settings=ASYNC,
    ),
]
