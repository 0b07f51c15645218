#!/usr/bin/env python3
"""10,000 clients that say nothing and 100 that say it slowly: others are served as if there were none, memory stays
bounded, and afterwards everything is as before."""

import os
import resource
import socket
import statistics
import threading
import time

import trial

# Enough for a client of 1,200 bit/s, which the daemon bears.
OCTETS_A_SECOND = 120
RESIDENT_MAX_MIB = 150
SERVED_MAX_MS = 100


def resident(daemon):
    """In MiB."""
    with open(f"/proc/{daemon.process.pid}/status") as status:
        line = next(line for line in status if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def descriptors(daemon):
    return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))


def connect(port, number):
    """Not all from one address: it has not so many ports."""
    source = f"127.0.{number // 10_000}.{number % 200 + 2}"
    stream = socket.create_connection(("127.0.0.1", port), timeout=60, source_address=(source, 0))
    greeting = stream.recv(200)
    if not greeting.startswith(b"220"):
        raise SystemExit(f"connection {number}: {greeting}")
    return stream


def begin_content(stream):
    stream.sendall(b"MAIL FROM:<slow@contoso.com>\r\nRCPT TO:<b@contoso.com>\r\nDATA\r\n")
    heard = b""
    while b"\r\n354" not in heard:
        more = stream.recv(500)
        if not more:
            raise SystemExit(f"a slow client heard {heard}")
        heard += more
    stream.sendall(b"Subject: slow\r\n\r\n")


class Drip(threading.Thread):
    """Half of them within a line of commands, half within content."""

    def __init__(self, commands, contents):
        super().__init__(daemon=True)
        self.commands, self.contents, self.stop = commands, contents, threading.Event()
        self.cut_off = 0

    def run(self):
        while not self.stop.wait(1):
            for streams, octets in [(self.commands, b"x"), (self.contents, b"y" * (OCTETS_A_SECOND - 2) + b"\r\n")]:
                for stream in list(streams):
                    try:
                        stream.sendall(octets)
                    except OSError:
                        streams.remove(stream)
                        self.cut_off += 1


def serve(scene, daemon, name, count):
    """How long each of `count` whole sessions with one message took, in ms."""
    took = []
    for number in range(count):
        client = trial.Client(daemon.port, f"{name}-{number}", sizes=[2_000], count=1)
        began = time.monotonic()
        client.run()
        took.append((time.monotonic() - began) * 1000)
        scene.gather_one(client)
    return took


class Scene(trial.Scene):
    def write_settings(self, settings=""):
        super().write_settings(settings)
        text = self.config.read_text().replace('"debug"', '"info"')
        most = self.args.idle + self.args.slow + 20
        self.config.write_text(text.replace("= 400", f"= {most}"))

    def gather_one(self, client):
        self.acknowledged.update(client.acknowledged)
        self.refused.update(client.refused)
        self.unknown.update(client.unknown)
        if not client.acknowledged:
            self.problems.append(f"client {client.name_} was not served: {client.refused}")


args = trial.arguments(__doc__, idle=10_000, slow=100, messages=100, seconds=10)
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
scene = Scene(args)
daemon = scene.start()
serve(scene, daemon, "warm", 5)
alone = serve(scene, daemon, "alone", args.messages)
before = (resident(daemon), descriptors(daemon))

began = time.monotonic()
idle = [connect(daemon.port, number) for number in range(args.idle)]
seconds = time.monotonic() - began
print(f"  {args.idle} connections in {seconds:.1f} s: {resident(daemon):.0f} MiB, before {before[0]:.0f}", flush=True)
contents = [connect(daemon.port, number) for number in range(args.slow // 2)]
commands = [connect(daemon.port, number) for number in range(args.slow - args.slow // 2)]
for stream in contents:
    begin_content(stream)
drip = Drip(commands, contents)
drip.start()
time.sleep(args.seconds)
among = serve(scene, daemon, "among", args.messages)
time.sleep(args.seconds)
most = resident(daemon)

# Over the limit: told at once.
over, refused = [], []
while len(refused) < 10 and len(over) < 50:
    began = time.monotonic()
    stream = socket.create_connection(("127.0.0.1", daemon.port), timeout=60)
    greeting = stream.recv(200)
    over.append(stream)
    if greeting.startswith(b"421 4.7.0"):
        refused.append((time.monotonic() - began) * 1000)
if len(refused) < 10:
    scene.problems.append("connections over the limit are not refused")

drip.stop.set()
drip.join()
if drip.cut_off:
    scene.problems.append(f"{drip.cut_off} slow clients were cut off too early")
for stream in idle + commands + contents + over:
    stream.close()
trial.until(lambda: descriptors(daemon) <= before[1] + 8, "the sessions to end", 60, 0.1)
after = serve(scene, daemon, "after", args.messages)
figures = {
    "idle": args.idle,
    "slow": args.slow,
    "alone_ms": round(statistics.median(alone)),
    "among_ms": round(statistics.median(among)),
    "among_max_ms": round(max(among)),
    "after_ms": round(statistics.median(after)),
    "refused_max_ms": round(max(refused, default=0)),
    "mib_before": round(before[0]),
    "mib_among": round(most),
    "mib_after": round(resident(daemon)),
}
if max(among) > SERVED_MAX_MS:
    scene.problems.append(f"a client on loopback waited {max(among):.0f} ms")
if most > RESIDENT_MAX_MIB:
    scene.problems.append(f"{most:.0f} MiB resident")
code = daemon.terminate()
if code != 0:
    scene.problems.append(f"the daemon ended with {code}")
rows = scene.drain()
raise SystemExit(scene.verdict("idle", rows, **figures))
