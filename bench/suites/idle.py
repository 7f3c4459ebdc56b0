"""What ours takes while nobody asks for anything. It has no peer: its goals bound ours itself."""

import time

from pairs import Row
from peers.machine import idle_connections
from suites.base import IDLE_S, Suite
from suites.machine import absolute

CPU_S = 10


class IdleSuite(Suite):
    """A server that was just started."""

    def idle(self):
        server, count = self.ours.server, self.sizes.connections
        time.sleep(IDLE_S)
        at_rest, used = server.memory_mib("VmRSS"), server.cpu_s()
        time.sleep(CPU_S)
        percent = (server.cpu_s() - used) / CPU_S * 100
        with idle_connections(server.port, count):
            time.sleep(IDLE_S)
            server.check()
            connected = server.memory_mib("VmRSS")
        return {
            "idle_rss_mib": at_rest,
            "idle_cpu": percent,
            "connections_rss_mib": connected - at_rest,
            "connections": count,
        }


IDLE = [
    Row(
        "machine/idle",
        "memory after the start, what 10,000 idle connections add, CPU over 10 s without any",
        [
            absolute("idle_rss_mib", "MiB", 30.0),
            absolute("connections_rss_mib", "MiB", 120.0),
            absolute("idle_cpu", "% of a core", 1.0),
        ],
        ours=IdleSuite.idle,
        once=True,
    )
]
