#!/usr/bin/env python3
"""Exchange's real limits in real time: 30 messages in any 60 s and 3 connections for a mailbox, kept over
kill -9 in mid-minute, and used up. 600 messages take 20 minutes."""

import datetime
import re
import socket
import threading
import time

import trial

LIMIT, WINDOW = 30, 60.0


class Slow(threading.Thread):
    """A way to the sandbox on which every reply takes its time, as Exchange's do."""

    def __init__(self, port, seconds):
        super().__init__(daemon=True)
        self.upstream, self.seconds = port, seconds
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def run(self):
        while True:
            near, _ = self.listener.accept()
            far = socket.create_connection(("127.0.0.1", self.upstream))
            for source, sink, delay in [(near, far, 0), (far, near, self.seconds)]:
                threading.Thread(target=self.pump, args=(source, sink, delay), daemon=True).start()

    def pump(self, source, sink, delay):
        try:
            while octets := source.recv(65536):
                time.sleep(delay)
                sink.sendall(octets)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def instant(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def come():
    """When each message came, by the sandbox's clock."""
    return sorted(instant(message["received_at"]) for message in scene.sandbox.ask("messages"))


args = trial.arguments(__doc__, messages=600, kills=3, latency=0.0)
scene = trial.Scene(args, limits=True)
if args.latency:
    port = int(re.search(r"port = (\d+)", scene.sandbox.account).group(1))
    slow = Slow(port, args.latency)
    slow.start()
    scene.sandbox.account = scene.sandbox.account.replace(f"port = {port}", f"port = {slow.port}")
    scene.write_settings()
daemon = scene.start()
clients = scene.clients(daemon, 4, f"{args.seed}", sizes=[2_000], count=args.messages // 4)
for client in clients:
    client.join()
scene.gather(clients)
# In mid-minute: some of the window is used, and attempts are under way.
for number in range(args.kills):
    aim = (number * LIMIT * 2) + LIMIT // 2
    if aim >= args.messages:
        break
    trial.until(lambda: len(come()) >= aim, f"{aim} messages", 60 + aim * 3, 0.05)
    daemon.kill()
    scene.died(daemon.log(), f"kill {number + 1}")
    print(f"  killed after {len(come())} messages", flush=True)
    daemon = scene.start()
trial.until(lambda: scene.waiting() == 0, "the queue to drain", 120 + args.messages * 3, 1)
code = daemon.terminate()
if code != 0:
    scene.problems.append(f"the last daemon ended with {code}")
times, stats = come(), scene.sandbox.ask("stats")
most = max(sum(at <= one < at + WINDOW for one in times) for at in times)
if most > LIMIT or stats["over_rate"]:
    scene.problems.append(f"{most} messages in {WINDOW:.0f} s, {stats['over_rate']} over the rate")
if stats["mailbox_connections_max"] > 3:
    scene.problems.append(f"{stats['mailbox_connections_max']} connections at once")
# Places that a kill made uncertain are lost for a minute: from the last kill on it is a matter of waves.
settled = args.kills * LIMIT * 2 + 2 * LIMIT
per_minute = 0.0
if len(times) > settled + LIMIT:
    waves = (len(times) - 1 - settled) // LIMIT
    per_minute = waves * LIMIT / (times[settled + waves * LIMIT] - times[settled]) * WINDOW
    if per_minute < 29:
        scene.problems.append(f"only {per_minute:.2f} a minute")
scene.note_arrivals()
figures = {"most_in_a_minute": most, "a_minute": round(per_minute, 2)}
figures["connections"] = stats["mailbox_connections_max"]
figures["minutes"] = round((times[-1] - times[0]) / 60, 1)
raise SystemExit(scene.verdict("pace", scene.rows(), kills=args.kills, **figures))
