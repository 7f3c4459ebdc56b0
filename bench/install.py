"""Everything that is compared with, and every load program, installed outside the checkout.

The folder is `$FOREBAY_CACHE/bench`, by default `~/.cache/forebay/bench`. A folder in it appears whole or not at all:
it is made under another name first.
"""

import os
import shutil
from pathlib import Path

from processes import RunFailed, run

RDKAFKA_SYS = "4.10.0"  # the crate that brings the sources of librdkafka 2.12.1
KAFKA = "4.2.0"
LOG4J = "2.25.1"
BUILD_TIMEOUT_S = 3600

TOP = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("FOREBAY_CACHE", Path.home() / ".cache/forebay")) / "bench"

CRATE = f"""[package]
name = "fetch"
version = "0.0.0"
edition = "2021"

[workspace]

[dependencies]
rdkafka-sys = {{ version = "={RDKAFKA_SYS}", default-features = false }}
"""

POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>forebay</groupId>
  <artifactId>bench-kafka</artifactId>
  <version>1</version>
  <dependencies>{}</dependencies>
</project>
"""

LOG4J_CONFIGURATION = """rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
appender.out.type = Console
appender.out.name = out
appender.out.target = SYSTEM_ERR
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d %p %c %m%n
"""


def need(command, *packages):
    """Installs Debian packages if a command is missing."""
    if shutil.which(command):
        return
    if not shutil.which("apt-get"):
        raise RunFailed(f"{command} is missing: install it (Debian: {' '.join(packages)})")
    print(f"installing {' '.join(packages)}", flush=True)
    run(["apt-get", "update", "-qq"], BUILD_TIMEOUT_S)
    run(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-qq", *packages], BUILD_TIMEOUT_S)


def once(name, make):
    """A folder of the cache; `make` fills it if it is not there."""
    folder = CACHE / name
    if not folder.exists():
        print(f"installing {name} into {folder}", flush=True)
        partial = CACHE / f"{name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        make(partial)
        partial.rename(folder)
    return folder


def rdkafka_performance():
    """librdkafka's load program, built from the sources that its Rust crate carries."""
    return once(f"rdkafka-sys-{RDKAFKA_SYS}", build_rdkafka) / "rdkafka_performance"


def build_rdkafka(folder):
    need("make", "build-essential")
    need("gcc", "build-essential")
    fetch = folder / "fetch"
    (fetch / "src").mkdir(parents=True)
    (fetch / "Cargo.toml").write_text(CRATE)
    (fetch / "src/lib.rs").write_text("")
    run(["cargo", "vendor", "--quiet", "vendor"], BUILD_TIMEOUT_S, cwd=fetch)
    sources = fetch / "vendor/rdkafka-sys/librdkafka"
    # Neither encryption nor zstd is measured; without them nothing but a C compiler is needed.
    without = [f"--disable-{part}" for part in ("ssl", "gssapi", "curl", "zstd", "lz4-ext", "syslog")]
    run(["bash", "./configure", *without], BUILD_TIMEOUT_S, cwd=sources)
    run(["make", "-j2", "-C", "src", "librdkafka.a"], BUILD_TIMEOUT_S, cwd=sources)
    run(["make", "-C", "examples", "rdkafka_performance"], BUILD_TIMEOUT_S, cwd=sources)
    shutil.copy2(sources / "examples/rdkafka_performance", folder)
    shutil.rmtree(fetch)


def kafka():
    """The folder of Apache Kafka's libraries, broker and tools: `lib` and `log4j2.properties`."""
    need("java", "default-jdk-headless")
    return once(f"kafka-{KAFKA}", fetch_kafka)


def fetch_kafka(folder):
    need("mvn", "maven")
    wanted = [
        ("org.apache.kafka", "kafka_2.13", KAFKA),
        ("org.apache.kafka", "kafka-tools", KAFKA),
        ("org.apache.logging.log4j", "log4j-slf4j-impl", LOG4J),
    ]
    parts = ("groupId", "artifactId", "version")
    dependencies = (
        "<dependency>" + "".join(f"<{part}>{text}</{part}>" for part, text in zip(parts, one)) + "</dependency>"
        for one in wanted
    )
    (folder / "pom.xml").write_text(POM.format("".join(dependencies)))
    (folder / "log4j2.properties").write_text(LOG4J_CONFIGURATION)
    run(["mvn", "-B", "-q", "dependency:copy-dependencies", "-DoutputDirectory=lib"], BUILD_TIMEOUT_S, cwd=folder)


def fio():
    """The program that reads files as fast as the disk gives them."""
    need("fio", "fio")
    return shutil.which("fio")


def nats_server():
    """Debian's nats-server: the one that is installed, or unpacked here, where it does not become a service."""
    return shutil.which("nats-server") or str(once("nats-server", unpack_nats) / "usr/sbin/nats-server")


def unpack_nats(folder):
    need("apt-get")
    run(["apt-get", "update", "-qq"], BUILD_TIMEOUT_S)
    run(["apt-get", "download", "-qq", "nats-server"], BUILD_TIMEOUT_S, cwd=folder)
    for package in folder.glob("*.deb"):
        run(["dpkg", "-x", package, folder])
        package.unlink()


def nats_load():
    """Our load program for NATS JetStream; cargo knows whether it must be built."""
    target = CACHE / "nats-load"
    manifest = TOP / "bench/nats-load/Cargo.toml"
    build = ["cargo", "build", "--release", "--locked", "--manifest-path", manifest, "--target-dir", target]
    run(build, BUILD_TIMEOUT_S, cwd=TOP)
    return target / "release/nats-load"
