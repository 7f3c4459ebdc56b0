"""Processes that are started, watched through /proc, and ended by their own id whatever happens."""

import os
import shutil
import signal
import socket
import subprocess
import threading
import time

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
CLIENT_TIMEOUT_S = 900
READY_TIMEOUT_S = 60
STOP_TIMEOUT_S = 30
LOG_TAIL_BYTES = 2000


class RunFailed(Exception):
    """A server or a load program did not do what it was asked; the text says what it printed last."""


def environment():
    """Ours without FOREBAY_...: each such variable is a setting of the server or of its commands."""
    return {name: value for name, value in os.environ.items() if not name.startswith("FOREBAY_")}


def begin(arguments, **options):
    """Starts a process in a session of its own, so that Ctrl-C reaches this program alone, which then ends all others.
    Should this program be killed, the kernel ends them."""
    guard = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
    return subprocess.Popen(
        guard + [str(word) for word in arguments],
        stdin=subprocess.DEVNULL,
        env=environment(),
        start_new_session=True,
        **options,
    )


def end(process, timeout_s=STOP_TIMEOUT_S):
    """Asks it to stop, then kills it; returns when it is gone."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def run(arguments, timeout_s=CLIENT_TIMEOUT_S, cwd=None, apart=False):
    """Runs a program to its end and returns what it printed; with `apart`, without what it said on standard error."""
    process = begin(
        arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if apart else subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd=cwd,
    )
    try:
        printed, said = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise RunFailed(f"{arguments[0]} did not end within {timeout_s} s") from None
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if process.returncode != 0:
        words = " ".join(str(word) for word in arguments)[:300]
        raise RunFailed(f"{words}\nended with {process.returncode}: {(said or printed)[-LOG_TAIL_BYTES:]}")
    return printed


class Repeated:
    """A program that is started again whenever it ends, until this is left."""

    def __init__(self, arguments):
        self.arguments, self.starts, self.process, self.over = arguments, 0, None, False
        self.lock = threading.Lock()
        # The thread outlives each process: the kernel ends a process with the thread that started it.
        self.thread = threading.Thread(target=self.repeat)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, failure, *_):
        with self.lock:
            early, self.over = self.over, True
        if self.process:
            end(self.process)
        self.thread.join()
        if early and not failure:
            raise RunFailed(f"{' '.join(map(str, self.arguments))[:300]}\nended with {self.process.returncode}")

    def repeat(self):
        while True:
            with self.lock:
                if self.over:
                    return
                silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
                self.process = begin(self.arguments, **silent)
                self.starts += 1
            code = self.process.wait()
            with self.lock:
                self.over = self.over or code != 0


class Server:
    """A server process with its log, and what the kernel says it used."""

    def __init__(self, name, arguments, log, port):
        self.name, self.arguments, self.log, self.port = name, arguments, log, port
        self.process = None

    def __enter__(self):
        if self.answers():
            raise RunFailed(f"port {self.port} is taken: choose others with --port-base")
        with open(self.log, "wb") as out:
            self.process = begin(self.arguments, stdout=out, stderr=subprocess.STDOUT)
        try:
            self.await_port()
        except BaseException:
            end(self.process)
            raise
        return self

    def __exit__(self, *_):
        end(self.process)

    def await_port(self):
        deadline = time.monotonic() + READY_TIMEOUT_S
        while time.monotonic() < deadline:
            self.check()
            if self.answers():
                return
            time.sleep(0.1)
        raise RunFailed(f"{self.name} did not open port {self.port} within {READY_TIMEOUT_S} s{self.tail()}")

    def answers(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def check(self):
        """Fails if the server is gone."""
        if self.process.poll() is not None:
            raise RunFailed(f"{self.name} ended with {self.process.returncode}{self.tail()}")

    def tail(self):
        with open(self.log, "rb") as log:
            return "; its log ends:\n" + log.read()[-LOG_TAIL_BYTES:].decode(errors="replace")

    def cpu_s(self):
        """CPU-seconds so far, user and system, all threads, also those that ended."""
        with open(f"/proc/{self.process.pid}/stat", encoding="utf-8") as stat:
            # The name in parentheses may hold spaces; utime and stime are fields 14 and 15, counted from 1.
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S

    def memory_mib(self, field):
        """A line of /proc/PID/status in MiB: VmRSS is what is resident now, VmHWM the most since `forget_peak`."""
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as status:
            for line in status:
                if line.startswith(field + ":"):
                    return int(line.split()[1]) / 1024
        raise RunFailed(f"/proc/{self.process.pid}/status has no {field}")

    def forget_peak(self):
        with open(f"/proc/{self.process.pid}/clear_refs", "w", encoding="utf-8") as refs:
            refs.write("5")

    def metered(self, load):
        """Runs `load`, whose measurements tell `payload_bytes`, and adds what it cost this server."""
        self.check()
        self.forget_peak()
        before = self.cpu_s()
        measured = load()
        used = self.cpu_s() - before
        self.check()
        measured["cpu_s_per_gb"] = used / (measured["payload_bytes"] / 1e9)
        measured["peak_rss_mib"] = self.memory_mib("VmHWM")
        return measured
