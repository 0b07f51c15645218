"""A server's processes: found, started, watched and ended."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

SBIN = ["/usr/sbin", "/usr/local/sbin", "/usr/lib/postfix/sbin"]
TICKS = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """Said in one line, with the remedy."""


def find(name):
    """The path of a program, or None."""
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *SBIN]))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def launch(command, output, environment=None):
    """In a session of its own: Ctrl-C is for this program, which then stops its servers."""
    return subprocess.Popen(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment,
        start_new_session=True)


def end(process, patience=60):
    """SIGTERM, and SIGKILL to the whole group when that is not heard."""
    with contextlib.suppress(ProcessLookupError):
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(patience)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def wait_for_greeting(name, port, process, log):
    until = time.monotonic() + 30
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
                if client.recv(512).startswith(b"220"):
                    client.sendall(b"QUIT\r\n")
                    client.recv(512)
                    return
        time.sleep(0.05)
    raise not_started(name, log)


def not_started(name, log):
    tail = "".join(log.read_text(errors="replace").splitlines(True)[-5:]) if log.exists() else ""
    return Failed(f"{name} did not start; the end of its log:\n{tail}")


def stat(pid):
    """The fields of /proc/PID/stat from `ppid` on: the name before them may hold anything."""
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1:]


def family(pid):
    """A process and all that descend from it."""
    children = {}
    for entry in pathlib.Path("/proc").iterdir():
        # Whatever has ended in the meantime.
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                children.setdefault(int(stat(entry.name)[0]), []).append(int(entry.name))
    found = [pid]
    for parent in found:
        found += children.get(parent, [])
    return found


def cpu_seconds(pid):
    """User and system time of a process, its descendants, and those of them that have ended."""
    ticks = 0
    for member in family(pid):
        with contextlib.suppress(OSError):
            # utime, stime, and both of the children that were waited for.
            ticks += sum(int(word) for word in stat(member)[10:14])
    return ticks / TICKS


def settled_cpu_seconds(pid, patience=20):
    """The same, once what a round has left to do is done."""
    until, last, quiet = time.monotonic() + patience, cpu_seconds(pid), 0
    while quiet < 3 and time.monotonic() < until:
        time.sleep(0.1)
        now = cpu_seconds(pid)
        quiet = quiet + 1 if now - last <= 1 / TICKS else 0
        last = now
    return last


def resident_mib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise Failed(f"process {pid} has no memory: it has ended")
