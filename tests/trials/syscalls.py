#!/usr/bin/env python3
"""System calls of the running daemon fail, or kill it, one kind after the other: `strace -e inject`. Needs
strace, and permission to trace (root, or kernel.yama.ptrace_scope = 0)."""

import collections
import shutil
import signal
import subprocess
import sys
import time

import trial

args = trial.arguments(__doc__, clients=8, kills=12)
if not shutil.which("strace"):
    sys.exit("this trial needs strace")

SYNC = "fsync,fdatasync"
# Name, calls, file (None: any), what happens, which calls of each thread.
FAULTS = [
    ("log: write, no space", "pwrite64", "queue.db-wal", "error=ENOSPC", "3+"),
    ("log: one write, no space", "pwrite64", "queue.db-wal", "error=ENOSPC", "20"),
    ("log: write, quota", "pwrite64", "queue.db-wal", "error=EDQUOT", "3+"),
    ("log: write, I/O error", "pwrite64", "queue.db-wal", "error=EIO", "3+"),
    ("log: one write, I/O error", "pwrite64", "queue.db-wal", "error=EIO", "21"),
    ("log: write, read-only", "pwrite64", "queue.db-wal", "error=EROFS", "3+"),
    ("log: sync, I/O error", SYNC, "queue.db-wal", "error=EIO", "3+"),
    ("log: one sync, I/O error", SYNC, "queue.db-wal", "error=EIO", "5"),
    ("log: one sync, no space", SYNC, "queue.db-wal", "error=ENOSPC", "5"),
    ("database: write, no space", "pwrite64", "queue.db", "error=ENOSPC", "1+"),
    ("database: write, I/O error", "pwrite64", "queue.db", "error=EIO", "1+"),
    ("database: one sync, I/O error", SYNC, "queue.db", "error=EIO", "1"),
    ("database: ftruncate, I/O error", "ftruncate", "queue.db", "error=EIO", "1+"),
    ("log: read, I/O error", "pread64", "queue.db-wal", "error=EIO", "1+"),
    ("index: ftruncate, no space", "ftruncate", "queue.db-shm", "error=ENOSPC", "1+"),
    ("index: write, no space", "pwrite64", "queue.db-shm", "error=ENOSPC", "1+"),
    ("folder: sync, I/O error", SYNC, "content", "error=EIO", "2"),
    ("folder: open, too many files", "openat", "content", "error=EMFILE", "2+"),
    ("any file: sync, I/O error", SYNC, None, "error=EIO", "2"),
    ("any file: open, no space", "openat", None, "error=ENOSPC", "1+"),
    ("any file: open, I/O error", "openat", None, "error=EIO", "1+"),
    ("any file: unlink, I/O error", "unlink,unlinkat", None, "error=EIO", "1+"),
    ("any file: rename, I/O error", "rename,renameat,renameat2", None, "error=EIO", "1+"),
]
KILLS = [
    # The content file's octets, its sync, the log's frames, its sync, the reply to the client.
    ("write", None),
    ("openat", None),
    (SYNC, None),
    (SYNC, "content"),
    ("pwrite64", "queue.db-wal"),
    (SYNC, "queue.db-wal"),
    ("pwrite64", "queue.db"),
    (SYNC, "queue.db"),
    ("sendto", None),
    ("recvfrom", None),
    ("unlink,unlinkat", None),
]
# Enough in the log for it to be folded back again and again.
SIZES = [300, 20_000, 60_000, 60_000, 60_000, 100_000]

scene = trial.Scene(args)
figures = collections.Counter()


def injected():
    text = (scene.folder / "strace.out").read_text(errors="replace")
    return text.count("(INJECTED)")


def outcome(daemon, clients):
    """How the daemon took it, and what it told."""
    told = collections.Counter(reply[:3] for client in clients for reply in client.refused.values())
    told["250"] = sum(len(client.acknowledged) for client in clients)
    words = " ".join(f"{code}:{count}" for code, count in sorted(told.items()))
    if daemon.alive():
        return "goes on", words
    return f"ends with {daemon.process.returncode}", words


def heals(daemon, name):
    """Without a restart, once the fault is over."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        clients = scene.clients(daemon, 1, f"{name}-{time.monotonic_ns()}", sizes=[500, 100_000], count=3)
        clients[0].join(60)
        scene.gather(clients)
        if len(clients[0].acknowledged) == 3:
            return True
        time.sleep(0.2)
    return False


def check(daemon, name):
    """The sandbox is at rest, and nothing acknowledged is missing."""
    scene.sandbox.idle()
    scene.note_arrivals()
    rows = scene.died(daemon.log(), name)
    lost = scene.lost(rows)
    if lost:
        scene.problems.append(f"{name}: lost {lost[:3]}")
    daemon.log_path.unlink()


print("| fault | injected | told | the daemon | heals |\n| --- | --- | --- | --- | --- |")
for number, (name, calls, path, effect, when) in enumerate(FAULTS):
    daemon = scene.start()
    trial.until(lambda: scene.waiting() == 0, "the queue to drain", 120, 0.1)
    strace = scene.attach(daemon, calls, path, effect, when)
    clients = scene.clients(daemon, args.clients, f"{args.seed}-f{number}", sizes=SIZES)
    end = time.monotonic() + (6 if path == "queue.db" else 2)
    while time.monotonic() < end and daemon.alive():
        time.sleep(0.05)
    scene.gather(clients)
    took, told = outcome(daemon, clients)
    strace.send_signal(signal.SIGINT)
    strace.wait(30)
    count = injected()
    healed = "-"
    if daemon.alive():
        healed = "yes" if heals(daemon, f"{args.seed}-h{number}") else "NO"
        latched = "storage failed and its state is unknown" in daemon.log()
        if healed == "NO" and not latched:
            scene.problems.append(f"{name}: mail is not taken again")
        # A latched daemon ends by itself once its sessions have.
        daemon.signal(signal.SIGTERM)
        if latched:
            took = "latches"
    daemon.process.wait(60)
    if "latches" in took or daemon.process.returncode:
        took = f"latches, ends with {daemon.process.returncode}"
        if "storage failed and its state is unknown" not in daemon.log():
            scene.problems.append(f"{name}: ended with {daemon.process.returncode} without saying why")
    check(daemon, name)
    figures["faults"] += 1
    figures["injected"] += count
    print(f"| {name} {effect} {when} | {count} | {told} | {took} | {healed} |", flush=True)

print("\n| killed in | rounds | kills |\n| --- | --- | --- |")
for kind, (calls, path) in enumerate(KILLS):
    kills = 0
    for nth in range(1, args.kills + 1):
        name = f"killed in {calls} {path or ''} number {nth}"
        daemon = scene.start()
        # Small steps where a call comes often.
        when = nth if path == "content" or calls.startswith("unlink") else nth * nth
        strace = scene.attach(daemon, calls, path, "signal=SIGKILL", when)
        clients = scene.clients(daemon, args.clients, f"{args.seed}-k{kind}-{nth}", sizes=SIZES)
        end = time.monotonic() + (6 if path == "queue.db" else 3)
        while time.monotonic() < end and daemon.alive():
            time.sleep(0.02)
        kills += not daemon.alive()
        daemon.kill()
        strace.wait(30)
        scene.gather(clients)
        check(daemon, name)
    figures["kills"] += kills
    print(f"| {calls} {path or 'any file'} | {args.kills} | {kills} |", flush=True)

rows = scene.drain(600)
raise SystemExit(scene.verdict("syscalls", rows, **figures))
