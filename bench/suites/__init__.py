"""The rows, by what they compare with. A suite starts its servers once, so that a peer's warm-up is not lost between
rows; every run has a topic of its own, which is deleted after it."""

from suites import idle, kafka, machine, mock, nats, reading

SUITES = [
    *((mock.MockSuite, mock.MOCK), (kafka.KafkaSuite, kafka.KAFKA), (nats.NatsSuite, nats.NATS)),
    *((idle.IdleSuite, idle.IDLE), (machine.MachineSuite, machine.MACHINE)),
    *((reading.CachedSuite, reading.CACHED), (reading.ColdSuite, reading.COLD)),
]
