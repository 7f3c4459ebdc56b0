"""What all suites share: sizes, the server of ours, and the figures that most rows tell."""

import contextlib
import shutil
from dataclasses import dataclass

from pairs import Figure
from peers.forebay import Forebay, Load
from processes import RunFailed

ASYNC = ("flush.mode=async",)
IDLE_S = 5
# Room for a batch header and one record of 1 KiB, not for two.
ONE_RECORD_BATCH_BYTES = 1100


@dataclass(frozen=True)
class Sizes:
    """How much one run moves."""

    small_records: int = 5_000_000  # of 100 bytes
    records: int = 2_000_000  # of 1 KiB
    java_records: int = 2_000_000
    java_warm_up: int = 1_000_000
    latency_s: int = 30
    latency_warm_up_s: int = 10
    batched_bytes: int = 2 << 30
    single_bytes: int = 256 << 20  # one record a request, against messages
    alone_bytes: int = 512 << 20  # the same against the yardstick
    sustained_bytes: int = 20 << 30
    cold_bytes: int = 10 << 30
    cached_rounds: int = 5
    paced_s: int = 5
    connections: int = 10_000

    def count(self, record_bytes):
        """How many records of this size librdkafka's program sends."""
        return self.small_records if record_bytes == 100 else self.records


QUICK = Sizes(
    small_records=500_000,
    records=200_000,
    java_records=100_000,
    java_warm_up=50_000,
    latency_s=5,
    latency_warm_up_s=2,
    batched_bytes=128 << 20,
    single_bytes=16 << 20,
    alone_bytes=32 << 20,
    sustained_bytes=1 << 30,
    cold_bytes=512 << 20,
    cached_rounds=1,
    paced_s=1,
    connections=1_000,
)


class Suite:
    """Servers and load programs of one peer, and what each row does with them."""

    def __init__(self, options, scratch, stack, notes):
        ports = options.port_base
        self.sizes = QUICK if options.quick else Sizes()
        self.notes = notes
        self.ours = Forebay(options.bin, scratch, ports + 92, ports + 644)
        stack.enter_context(self.ours.server)
        self.versions = {"forebay": self.ours.version()}
        self.start(options, scratch, stack)

    def start(self, options, scratch, stack):
        """Starts the peer; there may be none."""

    def settings_for(self, row):
        """The row's topic settings as far as the server takes them, with a note about each that it refuses."""
        taken = []
        for setting in row.settings:
            reason = self.ours.refuses(setting)
            if reason is None:
                taken.append(setting)
            else:
                self.notes.append(f"{row.name}: the server refuses {setting}, so ours ran without it ({reason})")
        self.settings = tuple(taken)

    @contextlib.contextmanager
    def topic(self, side, partitions=4, settings=None):
        """A topic; ours with the settings of the row unless told."""
        if settings is None:
            settings = self.settings if side is self.ours else ()
        name = side.topics.create(partitions, settings)
        try:
            yield name
        finally:
            side.topics.delete(name)

    def load(self, side, produce):
        """Runs `produce(address, topic)` against one side's server and meters the server."""
        with self.topic(side) as topic:
            return side.server.metered(lambda: produce(side.bootstrap, topic))

    def append(self, load, settings=None):
        """Appends to a new topic of ours."""
        with self.topic(self.ours, load.partitions, settings) as topic:
            return self.ours.server.metered(lambda: self.ours.bench.produce(topic, load))


def one_record_each(total_bytes, **shape):
    """Batches with room for one record of 1 KiB."""
    return Load(total_bytes, batch_bytes=ONE_RECORD_BATCH_BYTES, **shape)


def of_single_records(measured):
    """Checks that each batch carried one record of 1 KiB: two would need twice the bytes. The cost becomes that of the
    records' bytes."""
    bytes_a_record = measured["payload_bytes"] / measured["records"]
    if not 1024 < bytes_a_record <= ONE_RECORD_BATCH_BYTES:
        raise RunFailed(f"a request took {bytes_a_record:.0f} bytes a record, so it did not carry one of 1 KiB")
    measured["cpu_s_per_gb"] *= bytes_a_record / 1024
    return measured


def need_room(folder, wanted_bytes):
    """Fails where a run would fill the disk."""
    free = shutil.disk_usage(folder).free
    if free < wanted_bytes * 1.1:
        raise RunFailed(f"{folder} has {free / 1e9:.0f} GB left, and this needs {wanted_bytes * 1.1 / 1e9:.0f}")


def throughput(goal=None):
    return Figure("mb_per_s", "MB/s", goal=goal)


def rate(goal=None):
    return Figure("records_per_s", "records/s", goal=goal)


def cost(cpu=None, rss=None):
    """What the servers used."""
    return [
        Figure("cpu_s_per_gb", "CPU-s/GB", more_is_better=False, goal=cpu),
        Figure("peak_rss_mib", "MiB", more_is_better=False, goal=rss),
    ]


def tail(goal=None, floor=0.0):
    return Figure("p99_ms", "ms", more_is_better=False, goal=goal, floor=floor)
