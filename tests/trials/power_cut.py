#!/usr/bin/env python3
"""Power cuts: the queue lies on ext4 on a loop device; its backing file is copied while the daemon is
stopped, and the copy is what the next daemon finds. What was never synced is not in it. Needs root."""

import filecmp
import pathlib
import random
import shutil
import signal
import subprocess
import tempfile
import time

import trial

args = trial.arguments(__doc__, rounds=30, clients=20, megabytes=256)
trial.needs_root()
work = pathlib.Path(args.folder or tempfile.mkdtemp(prefix="exorelay-power-"))
mount = work / "disk"
mount.mkdir(parents=True, exist_ok=True)
image, copies = work / "image", [work / "copy-a", work / "copy-b"]
with open(image, "wb") as file:
    file.truncate(args.megabytes << 20)
# All of it at once, or the kernel would go on writing by itself.
trial.run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", image)


def attach():
    # The kernel writes back by itself only seldom, so that a cut finds as little as possible.
    trial.run("mount", "-o", "loop,commit=300", image, mount)


def snapshot():
    """The disk at one moment: two copies in a row are the same."""
    end = time.monotonic() + 300
    while time.monotonic() < end:
        for copy in copies:
            trial.run("cp", "--sparse=always", image, copy)
        if filecmp.cmp(*copies, shallow=False):
            return copies[0]
    raise SystemExit("the disk does not come to rest")


SIZES = [300, 2_000, 20_000, 80_000]

attach()
scene = trial.Scene(args, queue=mount / "queue")
fsck_errors = 0
try:
    for number in range(args.rounds):
        daemon = scene.start()
        if number % 5 == 4:
            # Without a pause now and then the disk would only fill up.
            trial.until(lambda: scene.waiting() == 0, "the queue to drain", 600, 0.1)
        clients = scene.clients(daemon, args.clients, f"{args.seed}-{number}", sizes=SIZES)
        time.sleep(random.uniform(0.1, 1.0))
        daemon.signal(signal.SIGSTOP)
        # What had been said before reaches the clients; from here on nobody is told anything.
        time.sleep(0.3)
        disk = snapshot()
        daemon.kill()
        scene.gather(clients)
        scene.sandbox.idle()
        scene.note_arrivals()
        trial.run("umount", mount)
        shutil.copyfile(disk, image)
        subprocess.run(["e2fsck", "-p", str(image)], stdout=subprocess.DEVNULL)
        clean = subprocess.run(["e2fsck", "-n", "-f", str(image)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        fsck_errors += clean.returncode != 0
        attach()
        rows = scene.died(daemon.log(), f"power cut {number}")
        held = {row[1] for row in rows}
        gone = [one for one in scene.acknowledged if one not in held]
        if gone:
            scene.problems.append(f"power cut {number}: {len(gone)} acknowledged messages without a row: {gone[:3]}")
        daemon.log_path.unlink()
    rows = scene.drain(1200)
    code = scene.verdict("power-cut", rows, rounds=args.rounds, fsck_errors=fsck_errors)
finally:
    subprocess.run(["umount", "-l", str(mount)], stderr=subprocess.DEVNULL)
if code == 0:
    shutil.rmtree(work)
raise SystemExit(code)
