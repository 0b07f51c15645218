#!/usr/bin/env python3
"""kill -9 while old history is being forgotten: rows and content files still agree afterwards, and the next
sweep ends the work. Needs strace, and permission to trace. A round takes more than half a minute, because the
daemon sweeps every 30 seconds."""

import shutil
import sys
import time

import trial

args = trial.arguments(__doc__, messages=60)
if not shutil.which("strace"):
    sys.exit("this trial needs strace")

# The log's frames before the commit, its sync, and the content files after it.
MOMENTS = [
    ("pwrite64", "queue.db-wal", 1),
    ("pwrite64", "queue.db-wal", 5),
    ("fsync,fdatasync", "queue.db-wal", 1),
    ("unlink,unlinkat", None, 1),
    ("unlink,unlinkat", None, 10),
]

scene = trial.Scene(args, 'keep_failed = "5s"')
problems = []


def agreed(when):
    rows = scene.rows()
    files = {path.name for path in (scene.queue / "content").iterdir()}
    named = {row[0] for row in rows if row[3] == 2}
    if named - files:
        problems.append(f"{when}: rows without their file: {len(named - files)}")
    return rows, files - named


for number, (calls, path, nth) in enumerate(MOMENTS):
    when = f"killed in {calls} {path or ''} number {nth} of a sweep"
    daemon = scene.start()
    # Refused for good, and so kept with their content.
    clients = scene.clients(
        daemon, 1, f"{args.seed}-{number}", sizes=[500, 100_000], count=args.messages, to="fault+5.1.1@contoso.com"
    )
    clients[0].join(60)
    trial.until(lambda: scene.waiting() == 0, "every message to be refused", 60, 0.1)
    before = len(scene.rows())
    # Nothing else is written now but the sweep.
    strace = scene.attach(daemon, calls, path, "signal=SIGKILL", nth)
    trial.until(lambda: not daemon.alive(), when, 60)
    strace.wait(30)
    daemon.kill()
    rows, orphans = agreed(when)
    print(f"  {when}: {before} rows before, {len(rows)} after, {len(orphans)} files without a row", flush=True)
    daemon = scene.start()
    rows, orphans = agreed(f"{when}, restarted")
    if orphans:
        problems.append(f"{when}: {len(orphans)} files without a row after the restart")
    daemon.kill()
time.sleep(5)
daemon = scene.start()
trial.until(lambda: not scene.rows(), "the last sweep", 60, 0.5)
code = daemon.terminate()
rows, orphans = agreed("at the end")
if code or rows or orphans:
    problems.append(f"at the end: exit code {code}, {len(rows)} rows, {len(orphans)} files")
problems += scene.problems
for problem in problems:
    print(f"  PROBLEM {problem}")
print(f"sweep: moments={len(MOMENTS)} problems={len(problems)} seed={args.seed}")
if not problems and scene.temporary:
    shutil.rmtree(scene.temporary, ignore_errors=True)
raise SystemExit(1 if problems else 0)
