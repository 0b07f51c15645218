#!/usr/bin/env python3
"""A small filesystem fills up in the middle of 50 messages, a daemon is started on it while it is full, the
queue's own mail fills it, and an ext4 filesystem becomes read-only under it. Needs root."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import threading
import time

import trial

args = trial.arguments(__doc__, clients=50, megabytes=192, rounds=3)
trial.needs_root()
work = pathlib.Path(args.folder or tempfile.mkdtemp(prefix="exorelay-full-"))
mount = work / "disk"


def attach(kind):
    mount.mkdir(parents=True, exist_ok=True)
    if kind == "tmpfs":
        trial.run("mount", "-t", "tmpfs", "-o", f"size={args.megabytes}m", "none", mount)
    else:
        image = work / "image"
        with open(image, "wb") as file:
            file.truncate(args.megabytes << 20)
        trial.run("mkfs.ext4", "-q", "-F", "-m", "0", image)
        trial.run("mount", "-o", "loop", image, mount)


def fill():
    """Until not one block is left."""
    for number in range(3):
        with open(mount / f"filler-{number}", "wb", buffering=0) as file:
            block = b"x" * (1 << 16 if number == 0 else 1 << 9)
            try:
                while True:
                    file.write(block)
            except OSError:
                pass
    os.sync()


def make_room():
    for path in mount.glob("filler-*"):
        path.unlink()


def counted(clients):
    replies = [reply[:3] for client in clients for reply in client.refused.values()]
    found = {code: replies.count(code) for code in sorted(set(replies))}
    found["250"] = sum(len(client.acknowledged) for client in clients)
    return found


def check_held(scene, when):
    held = {row[1] for row in scene.rows()} | set(scene.arrived)
    for one in scene.acknowledged:
        if one not in held:
            scene.problems.append(f"{when}: LOST {one}")
    half = [row for row in scene.rows() if row[1] in scene.refused]
    if half:
        scene.problems.append(f"{when}: refused and in the queue: {half[:3]}")


def one_is_taken(scene, daemon, name):
    """Mail flows again, without a restart."""
    deadline = time.monotonic() + 30
    attempt = 0
    while time.monotonic() < deadline:
        attempt += 1
        clients = scene.clients(daemon, 1, f"{name}-{attempt}", sizes=[1_000, 200_000], count=4)
        for client in clients:
            client.join(60)
        taken = len(clients[0].acknowledged)
        scene.gather(clients)
        if taken == 4:
            return
        time.sleep(0.2)
    scene.problems.append(f"{name}: mail is not taken again")


def filling_up(kind, number):
    attach(kind)
    scene = trial.Scene(args, queue=mount / "queue")
    scene.sandbox.stop_sending()
    daemon = scene.start()
    # Each client has sent half of a message when the disk fills up.
    full = threading.Event()
    sizes = [800, 30_000, 60_000, 150_000, 500_000]
    clients = scene.clients(daemon, args.clients, f"middle-{number}", sizes=sizes, count=2, pause=full)
    time.sleep(1.5)
    fill()
    # A little more than the queue keeps for itself: some are taken, the others not.
    if number % 2:
        (mount / "filler-0").open("r+b").truncate((mount / "filler-0").stat().st_size - 38_000_000)
    full.set()
    for client in clients:
        client.join(90)
    scene.gather(clients)
    told = counted(clients)
    check_held(scene, "full")
    alive = daemon.alive()
    if not alive:
        scene.problems.append("the daemon ended on a full disk")
    elif number == 2:
        # It dies on the full disk and comes back on it.
        daemon.kill()
        scene.died(daemon.log(), "killed on the full disk")
        daemon = scene.start()
        refused = scene.clients(daemon, 1, "restarted", sizes=[60_000], count=1)
        refused[0].join(60)
        scene.gather(refused)
        if refused[0].acknowledged:
            print("  (the restarted daemon found room for one more)")
    make_room()
    one_is_taken(scene, daemon, f"room-{number}")
    scene.sandbox.heal()
    trial.until(lambda: scene.waiting() == 0, "delivery", 120, 0.1)
    code = daemon.terminate()
    if code:
        scene.problems.append(f"the daemon ended with {code}")
    rows = scene.drain()
    told = " ".join(f"told_{code}={count}" for code, count in told.items())
    result = scene.verdict(f"full-disk {kind} {told}", rows)
    subprocess.run(["umount", "-l", str(mount)])
    return result


def own_mail(kind):
    """Nothing but the queue's own mail fills the disk: it must still be able to drain."""
    attach(kind)
    scene = trial.Scene(args, queue=mount / "queue")
    scene.sandbox.stop_sending()
    daemon = scene.start()
    clients = scene.clients(daemon, 10, "own", sizes=[500, 60_000, 60_000, 400_000])
    trial.until(lambda: all(len(client.refused) > 20 for client in clients), "the disk to be full", 120)
    scene.gather(clients)
    told = counted(clients)
    scene.sandbox.heal()
    trial.until(lambda: scene.waiting() == 0, "the full queue to drain by itself", 200, 0.1)
    one_is_taken(scene, daemon, "afterwards")
    daemon.terminate()
    rows = scene.drain()
    told = " ".join(f"told_{code}={count}" for code, count in told.items())
    result = scene.verdict(f"own-mail {kind} {told}", rows)
    subprocess.run(["umount", "-l", str(mount)])
    return result


def read_only():
    """What ext4 does of itself after an error of the disk (errors=remount-ro)."""
    attach("ext4")
    scene = trial.Scene(args, queue=mount / "queue")
    scene.sandbox.stop_sending()
    daemon = scene.start()
    clients = scene.clients(daemon, 10, "before", sizes=[500, 80_000])
    time.sleep(1)
    subprocess.run(["mount", "-o", "remount,abort", str(mount)], stderr=subprocess.DEVNULL)
    time.sleep(2)
    scene.gather(clients)
    told = counted(clients)
    alive = daemon.alive()
    log = daemon.log()
    state = "goes_on" if alive else f"ended_{daemon.process.returncode}"
    daemon.kill()
    subprocess.run(["umount", "-l", str(mount)])
    time.sleep(0.5)
    subprocess.run(["e2fsck", "-p", "-f", str(work / "image")], stdout=subprocess.DEVNULL)
    trial.run("mount", "-o", "loop", work / "image", mount)
    # Refused with 451 while nobody could know: named in the log.
    scene.died(log, "read-only")
    rows = scene.drain()
    told = " ".join(f"told_{code}={count}" for code, count in told.items())
    result = scene.verdict(f"read-only ext4 {told} daemon={state} latched={'storage failed' in log}", rows)
    subprocess.run(["umount", "-l", str(mount)])
    return result


failed = 0
try:
    for number in range(args.rounds):
        for kind in ["tmpfs", "ext4"]:
            failed += filling_up(kind, number)
    for kind in ["tmpfs", "ext4"]:
        failed += own_mail(kind)
    failed += read_only()
finally:
    subprocess.run(["umount", "-l", str(mount)], stderr=subprocess.DEVNULL)
if not failed:
    shutil.rmtree(work, ignore_errors=True)
raise SystemExit(1 if failed else 0)
