#!/usr/bin/env python3
"""kill -9 at a random moment under load, round after round."""

import random
import time

import trial

args = trial.arguments(__doc__, rounds=200, clients=20)
scene = trial.Scene(args)
began = time.monotonic()
for number in range(args.rounds):
    daemon = scene.start()
    if number % 10 == 9:
        # Without a pause now and then the queue would only grow.
        trial.until(lambda: scene.waiting() == 0, "the queue to drain", 600, 0.1)
    clients = scene.clients(daemon, args.clients, f"{args.seed}-{number}")
    time.sleep(random.uniform(0.0, 0.6))
    daemon.kill()
    scene.gather(clients)
    scene.sandbox.idle()
    scene.note_arrivals()
    rows = scene.died(daemon.log(), f"killed in round {number}")
    lost = scene.lost(rows)
    if lost:
        scene.problems.append(f"round {number}: lost {lost[:3]}")
    daemon.log_path.unlink()
    if number % 10 == 9:
        waiting = sum(row[2] <= trial.DEFERRED for row in rows)
        print(f"  round {number + 1}: {len(scene.acknowledged)} acknowledged, {waiting} wait", flush=True)
rows = scene.drain(1200)
code = scene.verdict("kill", rows, rounds=args.rounds, seconds=round(time.monotonic() - began))
raise SystemExit(code)
