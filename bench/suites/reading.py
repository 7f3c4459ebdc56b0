"""Reads from the page cache against the yardstick, and from the disk against fio."""

import time

import install
from pairs import Row, settle
from peers.forebay import Load
from peers.machine import Yardstick, forget, read_by_fio
from processes import Repeated
from suites.base import ASYNC, Suite, cost, need_room, tail, throughput
from suites.machine import cost_below, half_of

READER_STARTS_S = 0.5


class CachedSuite(Suite):
    """Ours and a yardstick with the same batches, read again and again."""

    def start(self, options, scratch, stack):
        self.yardstick = Yardstick(options.bin, scratch, options.port_base + 350)
        stack.enter_context(self.yardstick)

    def fill(self):
        load = Load(self.sizes.batched_bytes)
        self.filled = self.ours.topics.create(load.partitions, self.settings)
        self.ours.bench.produce(self.filled, load)
        self.yardstick.bench.produce(self.filled, load)

    def read(self, side):
        return side.server.metered(lambda: side.bench.consume(self.filled, self.sizes.cached_rounds))


class ColdSuite(Suite):
    """A topic that is read from the disk."""

    def start(self, options, scratch, stack):
        self.scratch, self.filled = scratch, None
        self.fio = install.fio()

    def fill(self):
        """The topic is kept until the server ends."""
        if self.filled:
            return
        load = Load(self.sizes.cold_bytes)
        need_room(self.scratch, load.total_bytes)
        before = self.ours.partitions()
        self.filled = self.ours.topics.create(load.partitions, ASYNC)
        self.ours.bench.produce(self.filled, load)
        self.folders = sorted(self.ours.partitions() - before)

    def read(self):
        return self.ours.server.metered(lambda: self.ours.bench.consume(self.filled, cold=self.folders))

    def files(self):
        return sorted(path for folder in self.folders for path in folder.glob("*.log"))

    def read_files(self):
        return read_by_fio(self.fio, self.files())

    def pace(self):
        """Settles once for all runs what half the maximum rate is; the first look is a warm-up."""
        self.fill()
        for _ in range(2):
            settle()
            fastest = self.append(Load(self.sizes.batched_bytes))
        self.half = half_of(fastest, self.sizes.paced_s)
        need_room(self.scratch, self.half.total_bytes)

    def append_while_reading(self):
        """A reader that comes to the end starts again, so that no append is without one. The cache is empty before it
        starts: emptying it takes a core for a while, which is not what the appends are to suffer from."""
        for path in self.files():
            forget(path)
        with Repeated(self.ours.bench.consuming(self.filled, cold=self.folders)) as reader:
            time.sleep(READER_STARTS_S)
            measured = self.append(self.half)
        return measured | {"cold_reads": reader.starts}


CACHED = [
    Row(
        "machine/consume-cached",
        "batches of 16 KiB from the page cache, 4 connections, 4 MiB an answer; peer: the yardstick's sendfile",
        [throughput(0.9), *cost_below(0.12)],
        ours=lambda suite: suite.read(suite.ours),
        peer=lambda suite: suite.read(suite.yardstick),
        prepare=CachedSuite.fill,
        settings=ASYNC,
    ),
]

COLD = [
    Row(
        "machine/consume-cold",
        "10 GiB from the disk, 4 connections; peer: fio reads the same files one after the other",
        [throughput(0.7), *cost()],
        ours=ColdSuite.read,
        peer=ColdSuite.read_files,
        prepare=ColdSuite.fill,
    ),
    Row(
        "machine/consume-cold-producer",
        "acks=1 at half the maximum rate while all is read from the disk; peer: ours without the reader",
        [tail(2.0), throughput()],
        ours=ColdSuite.append_while_reading,
        peer=lambda suite: suite.append(suite.half),
        prepare=ColdSuite.pace,
    ),
]
