#!/usr/bin/env python3
"""kill -9 in the middle of a renewal of a person's sign-in, round after round: the token in the file always works.
--mode entra: a refresh token lives on after it was exchanged; strict: it is revoked as soon as what came of it is
used, the access token included; both: half of the rounds each. Half of each with an encrypted file."""

import base64
import http.server
import json
import os
import pathlib
import random
import re
import shutil
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

import trial

PHASES = ["received", "made", "answered"]


class Tokens:
    """Which of refresh-0, refresh-1, ... are good, and when the next daemon dies."""

    def __init__(self, store):
        self.lock = threading.Lock()
        self.store = store
        self.strict = False
        self.sealed = False
        self.issued = self.used = self.exchanges = self.logins = 0
        self.in_round = 0
        self.problems = []
        self.aim = None

    def arm(self, exchanges, phase, delay):
        """The daemon is killed `delay` seconds after `phase` of the n-th exchange from now on."""
        self.victim = None
        self.has_victim, self.killed = threading.Event(), threading.Event()
        self.in_round = 0
        self.aim = (exchanges, phase, delay)

    def reached(self, phase, exchange):
        aim = self.aim
        if aim is None or exchange != aim[0] or phase != aim[1]:
            return
        self.aim = None
        self.has_victim.wait()
        time.sleep(aim[2])
        self.victim.process.kill()
        self.killed.set()

    def exchange(self, presented):
        """The index of the new pair, or none."""
        with self.lock:
            self.exchanges += 1
            if not self.used <= presented <= self.issued:
                self.problems.append(f"refresh-{presented} was presented, and refresh-{self.used} used before")
                return None
            self.use(presented)
            self.issued += 1
            return self.issued

    def use(self, index):
        if self.strict:
            self.used = max(self.used, index)

    def login(self, index):
        """An access token is used: what came with it must be in the file by now, or something newer."""
        with self.lock:
            self.logins += 1
            self.use(index)
            stored = self.stored()
            if stored is not None and stored < index:
                self.problems.append(f"access-{index} was used while the file held refresh-{stored}")

    def stored(self):
        """What the file holds; none if it cannot be told, for it is encrypted."""
        found = json.loads(self.store.read_text())
        if self.sealed and "sealed" in found:
            return None
        return int(found["refresh_token"].removeprefix("refresh-"))


class Endpoint(http.server.BaseHTTPRequestHandler):
    """POST grant_type=refresh_token, RFC 6749 section 6."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        form = urllib.parse.parse_qs(body)
        presented = int(form["refresh_token"][0].removeprefix("refresh-"))
        with tokens.lock:
            tokens.in_round += 1
            exchange = tokens.in_round
        tokens.reached("received", exchange)
        index = tokens.exchange(presented)
        tokens.reached("made", exchange)
        if index is None:
            status, answer = 400, {"error": "invalid_grant", "error_description": "AADSTS70000: revoked"}
        else:
            status, answer = 200, {
                "token_type": "Bearer",
                "expires_in": 60,
                "access_token": f"access-{index}",
                "refresh_token": f"refresh-{index}",
            }
        text = json.dumps(answer).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)
            self.wfile.flush()
        except OSError:
            pass
        tokens.reached("answered", exchange)

    def log_message(self, *_):
        pass


class Sink(socketserver.StreamRequestHandler):
    """A submission service that looks at tokens only."""

    def handle(self):
        try:
            self.talk()
        except OSError:
            pass

    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def talk(self):
        self.say("220 sink")
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb == b"EHLO":
                self.say("250-sink\r\n250 AUTH XOAUTH2")
            elif verb == b"AUTH":
                text = base64.b64decode(line.split()[2]).decode()
                tokens.login(int(re.search(r"Bearer access-(\d+)", text).group(1)))
                self.say("235 2.7.0 ok")
            elif verb == b"DATA":
                self.say("354 go")
                while self.rfile.readline() not in (b".\r\n", b""):
                    pass
                self.say("250 2.0.0 ok")
            elif verb == b"QUIT":
                self.say("221 2.0.0 bye")
                return
            else:
                self.say("250 2.0.0 ok")


class Threads(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request, client_address):
        # Whoever was killed has reset the connection.
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def serve(handler):
    server = Threads(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def renew():
    """Asks the daemon for a new token, as a sign-in does."""
    try:
        with socket.socket(socket.AF_UNIX) as stream:
            stream.settimeout(5)
            stream.connect(str(folder / "admin.sock"))
            stream.sendall(
                b"POST /v1/accounts/default/renew HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            while stream.recv(4096):
                pass
    except OSError:
        pass


def hurry():
    """Keeps renewals coming, and has something to send with each token, until the daemon dies."""
    while not tokens.killed.is_set():
        renew()
        time.sleep(random.uniform(0.0, 0.01))


def mail(daemon, name):
    """One message, so that the first access token is used."""
    found = None
    while not tokens.killed.is_set() and not found:
        found = re.search(r"listening.*address=[\d.]+:(\d+)", daemon.log())
        time.sleep(0.002)
    if found:
        trial.Client(int(found.group(1)), name, sizes=[300], count=1).run()


def settings(key):
    text = f"""hostname = "relay.test"
[listener.local]
address = "127.0.0.1:0"
[admin]
socket = "{folder}/admin.sock"
[queue]
directory = "{folder}/queue"
min_free_disk = 0
[account.default]
mailbox = "relay@contoso.com"
client_id = "app"
access = "delegated"
[account.default.oauth]
token_url = "http://127.0.0.1:{token_port}/token"
[account.default.smtp]
host = "127.0.0.1"
port = {smtp_port}
tls = "none"
messages_per_minute = 0
"""
    if key:
        text += f'[token_store]\nkey = "{key}"\n'
    config.write_text(text)


def round_(number):
    # The file is written within milliseconds of the answer: most kills go there.
    phase = random.choices(PHASES, weights=[1, 1, 3])[0]
    delay = random.choice([0.0, random.uniform(0.0, 0.004), random.uniform(0.0, 0.03)])
    tokens.arm(random.randint(1, 6), phase, delay)
    daemon = trial.Daemon(args.exorelay, config, folder, wait=False)
    tokens.victim = daemon
    tokens.has_victim.set()
    helpers = [threading.Thread(target=hurry), threading.Thread(target=mail, args=(daemon, f"m{number}"))]
    for helper in helpers:
        helper.start()
    beside = None
    if number % 4 == 0:
        # A command that takes its turn in the same file, and dies with the daemon.
        beside = subprocess.Popen(
            [args.exorelay, "--config", str(config), "token", "show"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=trial.environment(),
        )
    if not tokens.killed.wait(60):
        tokens.problems.append(f"round {number}: no renewal within a minute:\n{daemon.log()[-2000:]}")
        tokens.killed.set()
    daemon.kill()
    if beside:
        beside.kill()
        beside.wait()
    for helper in helpers:
        helper.join()
    stored = tokens.stored()
    if stored is not None and stored < tokens.used:
        tokens.problems.append(f"round {number}: killed when {phase}, the file holds the revoked refresh-{stored}")
    kills[phase] += 1
    daemon.log_path.unlink()


args = trial.arguments(__doc__, rounds=200, mode="both")
modes = {"entra": [False], "strict": [True], "both": [False, True]}[args.mode]
temporary = None if args.folder else tempfile.mkdtemp(prefix="exorelay-trial-")
folder = pathlib.Path(args.folder or temporary)
folder.mkdir(parents=True, exist_ok=True)
config = folder / "exorelay.toml"
tokens = Tokens(folder / "queue/tokens/default.json")
token_port, smtp_port = serve(Endpoint), serve(Sink)
began = time.monotonic()
kills = dict.fromkeys(PHASES, 0)
settings(key=None)
subprocess.run(
    [args.exorelay, "--config", str(config), "token", "import", "--no-check"],
    input=b"refresh-0\n",
    stdout=subprocess.DEVNULL,
    env=trial.environment(),
    check=True,
)
parts = [(strict, sealed) for sealed in (False, True) for strict in modes]
for number in range(args.rounds):
    tokens.strict, sealed = parts[number * len(parts) // args.rounds]
    if sealed and not tokens.sealed:
        tokens.sealed = True
        settings(key=os.urandom(24).hex())
    round_(number)
    if number % 20 == 19:
        print(f"  round {number + 1}: {tokens.exchanges} exchanges, {tokens.logins} logins", flush=True)
daemon = trial.Daemon(args.exorelay, config, folder)
trial.until(lambda: "access token obtained" in daemon.log(), "the last token", 30)
code = daemon.terminate()
if code != 0:
    tokens.problems.append(f"the last daemon ended with {code}")
leftovers = {path.name for path in tokens.store.parent.iterdir()} - {"default.json", "default.lock"}
if leftovers:
    tokens.problems.append(f"left in the folder of tokens: {leftovers}")
for problem in tokens.problems:
    print(f"  PROBLEM {problem}")
figures = {
    "rounds": args.rounds,
    **{f"killed_when_{phase}": count for phase, count in kills.items()},
    "exchanges": tokens.exchanges,
    "logins": tokens.logins,
    "seconds": round(time.monotonic() - began),
    "problems": len(tokens.problems),
    "seed": args.seed,
}
print("refresh: " + " ".join(f"{key}={value}" for key, value in figures.items()), flush=True)
good = not tokens.problems and tokens.logins
if temporary and good:
    shutil.rmtree(temporary, ignore_errors=True)
elif not good:
    print(f"  everything is left in {folder}")
raise SystemExit(0 if good else 1)
