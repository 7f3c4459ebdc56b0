"""The machine itself as a peer: the yardstick, which does as little as a server can, and plain files and sockets."""

import json
import os
import resource
import shutil
import socket
import struct
from contextlib import contextmanager

from peers.forebay import LoadProgram
from processes import RunFailed, Server, run

# What `limits` needs for the figures that are not looked at.
LITTLE_BYTES = 1 << 20
# Descriptors of this program beside the connections it opens.
SPARE_DESCRIPTORS = 256
API_VERSIONS = 18


class Yardstick:
    """`forebay bench yardstick` with empty files. Leaving it ends the process and removes the files."""

    def __init__(self, binary, scratch, port, partitions=4):
        address = f"127.0.0.1:{port}"
        self.folder = scratch / "yardstick"
        arguments = [binary, "bench", "yardstick", "--listen", address, "--dir", self.folder]
        self.server = Server("yardstick", [*arguments, "--partitions", partitions], scratch / "yardstick.log", port)
        self.bench = LoadProgram(binary, address, raw=True)

    def __enter__(self):
        self.server.__enter__()
        return self

    def __exit__(self, *exception):
        self.server.__exit__(*exception)
        shutil.rmtree(self.folder, ignore_errors=True)


def limits(binary, folder, sustained_bytes=LITTLE_BYTES):
    """Medians of `forebay bench limits`, by their names there."""
    sizes = ["--total-bytes", LITTLE_BYTES, "--sustained-bytes", sustained_bytes, "--repeat", 3]
    command = [binary, "bench", "limits", "--dir", folder, *sizes, "--no-yardstick", "--output", "json"]
    return {name: limit["median"] for name, limit in json.loads(run(command, apart=True))["limits"].items()}


def read_by_fio(fio, files):
    """One process reads all files, one after the other, from the disk."""
    for path in files:
        forget(path)
    wanted = sum(path.stat().st_size for path in files)
    which = [f"--filename={':'.join(map(str, files))}", "--file_service_type=sequential", "--readonly"]
    how = ["--rw=read", "--bs=1M", "--ioengine=psync", "--direct=0"]
    seen = json.loads(run([fio, "--name=read", *which, *how, "--output-format=json"], apart=True))["jobs"][0]["read"]
    if seen["io_bytes"] < wanted * 0.99:
        raise RunFailed(f"fio read {seen['io_bytes']} of {wanted} bytes")
    return {"payload_bytes": seen["io_bytes"], "mb_per_s": seen["io_bytes"] / 1000 / seen["runtime"]}


def forget(path):
    """Drops a file from the page cache; what is dirty stays, so that goes to the disk first."""
    with open(path, "rb") as file:
        os.fdatasync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@contextmanager
def idle_connections(port, count):
    """Keeps `count` connections open, each of which asked for ApiVersions once and was answered."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + SPARE_DESCRIPTORS
    if hard < wanted:
        raise RunFailed(f"{count} connections need {wanted} descriptors, and `ulimit -Hn` is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    connections = []
    try:
        for _ in range(count):
            connections.append(socket.create_connection(("127.0.0.1", port), timeout=10))
            ask_versions(connections[-1])
        yield
    finally:
        for connection in connections:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def ask_versions(connection):
    """ApiVersions, version 0, correlation 1, no client id; its answer is read to the end."""
    connection.sendall(struct.pack(">ihhih", 10, API_VERSIONS, 0, 1, -1))
    (length,) = struct.unpack(">i", receive(connection, 4))
    receive(connection, length)


def receive(connection, length):
    """Exactly so many bytes."""
    parts = b""
    while len(parts) < length:
        part = connection.recv(length - len(parts))
        if not part:
            raise RunFailed("the server closed a connection instead of answering ApiVersions")
        parts += part
    return parts
