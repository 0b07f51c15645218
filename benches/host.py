"""What the machine is, beside the figures that were measured on it."""

import contextlib
import os
import pathlib
import platform
import re
import statistics
import subprocess
import tempfile
import time


def machine(folder):
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cores": len(os.sched_getaffinity(0)),
        "cpu": cpu.group(1) if cpu else platform.machine(),
        "kernel": f"{platform.system()} {platform.release()}",
        "filesystem": filesystem(folder),
        "sync_ms": sync_ms(folder),
        "load": os.getloadavg()[0],
    }


def sync_ms(folder):
    """The median of a 4 KiB append with fdatasync: what one sync costs on this disk."""
    taken = []
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        for _ in range(200):
            started = time.perf_counter()
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - started)
    return statistics.median(taken) * 1000


def first_line(command):
    with contextlib.suppress(OSError, IndexError):
        return subprocess.run(command, capture_output=True, text=True).stdout.splitlines()[0]
    return "unknown"


def filesystem(folder):
    best = ("", "unknown")
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        _, mount, kind, options = line.split()[:4]
        mount = mount.encode().decode("unicode_escape")
        if (str(folder) + "/").startswith(mount.rstrip("/") + "/") and len(mount) >= len(best[0]):
            best = (mount, f"{kind} ({options})")
    return best[1]


def stolen():
    """Of all CPU time so far: what the hypervisor gave to somebody else, and the sum."""
    ticks = [int(word) for word in pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    return ticks[7], sum(ticks)
