"""What every trial needs: the sandbox, the daemon, clients that remember what they were told, and the
comparison of all three. Python 3 alone; nothing is installed."""

import argparse
import atexit
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
SIZES = [300, 2_000, 20_000, 60_000, 100_000, 400_000]
READY, SENDING, DEFERRED = 0, 1, 2


def arguments(description, **defaults):
    """Options of a trial; each keyword is a number with its default."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--exorelay",
        default=os.environ.get("EXORELAY", ROOT / "target/debug/exorelay"),
        help="the program on trial",
    )
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--folder", help="where to work; default: a new folder in TMPDIR, removed at the end")
    for name, default in defaults.items():
        parser.add_argument("--" + name.replace("_", "-"), type=type(default), default=default)
    found = parser.parse_args()
    found.exorelay = str(pathlib.Path(found.exorelay).resolve())
    random.seed(found.seed)
    return found


def environment():
    return {name: value for name, value in os.environ.items() if not name.startswith("EXORELAY")}


class Sandbox:
    """The stand-in for Exchange Online, which outlives every daemon."""

    def __init__(self, exorelay, folder, *options, limits=False):
        self.folder = folder / "sandbox"
        command = [exorelay, "sandbox", "--smtp", "127.0.0.1:0", "--http", "127.0.0.1:0"]
        command += ["--directory", str(self.folder), *options]
        command += [] if limits else ["--no-limits"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment())
        atexit.register(self.process.kill)
        said = ""
        for line in self.process.stdout:
            said += line
            if line.startswith("Control"):
                self.http = line.split()[-1]
                break
        self.account = said[said.index("[account.default]") : said.index("Control")].rstrip()

    def ask(self, path, method="GET", body=None):
        request = urllib.request.Request(self.http + path.lstrip("/"), method=method)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
            return json.loads(text) if text else None

    def stop_sending(self):
        """No account gets a token: everything stays in the queue."""
        self.ask("control/token", "POST", {"fault": "off"})

    def heal(self):
        self.ask("control", "DELETE")

    def idle(self):
        until(lambda: self.ask("stats")["connections"] == 0, "the sandbox's connections to end", 90)

    def close(self):
        self.process.terminate()
        self.process.wait()


class Daemon:
    """`exorelay run`, with its log in a file."""

    number = 0

    def __init__(self, exorelay, config, folder, wait=True):
        Daemon.number += 1
        self.log_path = folder / f"daemon-{Daemon.number}.log"
        self.log_file = open(self.log_path, "wb")
        self.process = subprocess.Popen(
            [exorelay, "--config", str(config), "run"], stderr=self.log_file, env=environment()
        )
        atexit.register(self.process.kill)
        self.port = None
        if wait:
            until(lambda: " ready " in self.log() or self.process.poll() is not None, "READY", 60)
            if self.process.poll() is not None:
                raise SystemExit(f"the daemon did not start:\n{self.log()}")
            self.port = int(re.search(r"listening.*address=[\d.]+:(\d+)", self.log()).group(1))

    def log(self):
        text = self.log_path.read_text(errors="replace")
        return re.sub(r"\x1b\[[0-9;]*m", "", text)

    def signal(self, number):
        self.process.send_signal(number)

    def alive(self):
        return self.process.poll() is None

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.log_file.close()

    def terminate(self, seconds=60):
        self.process.terminate()
        code = self.process.wait(seconds)
        self.log_file.close()
        return code


class Refused(Exception):
    """A reply that is neither 2xx nor 3xx."""


class Client(threading.Thread):
    """Sends message after message until the connection dies or it is told to stop."""

    def __init__(self, port, name, sizes=SIZES, count=None, pause=None, to="b@contoso.com"):
        super().__init__(daemon=True)
        self.port, self.name_, self.sizes, self.count = port, name, sizes, count
        self.pause, self.to = pause, to
        self.acknowledged = {}
        self.refused = {}
        self.unknown = []
        self.stop = False

    def run(self):
        number = 0
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=60) as stream:
                file = stream.makefile("rb")
                self.reply(file)
                self.say(stream, file, b"EHLO device\r\n")
                while not self.stop and (self.count is None or number < self.count):
                    self.offer(stream, file, f"<{self.name_}-{number}@device>")
                    number += 1
        except (OSError, EOFError):
            pass

    def offer(self, stream, file, message_id):
        body = os.urandom(16).hex() + "\r\n"
        size = random.choice(self.sizes)
        body += ("0123456789abcdef" * 60 + "\r\n") * (size // 962 + 1)
        digest = hashlib.sha256(body.encode()).hexdigest()
        head = f"From: a@contoso.com\r\nSubject: trial\r\nMessage-ID: {message_id}\r\nX-Digest: {digest}\r\n\r\n"
        try:
            self.say(stream, file, b"MAIL FROM:<a@contoso.com>\r\n")
            self.say(stream, file, f"RCPT TO:<{self.to}>\r\n".encode())
            self.say(stream, file, b"DATA\r\n")
            wire = (head + body).encode()
            if self.pause:
                stream.sendall(wire[: len(wire) // 2])
                self.pause.wait()
                wire = wire[len(wire) // 2 :]
            self.unknown.append(message_id)
            reply = self.say(stream, file, wire + b".\r\n")
            self.acknowledged[message_id] = reply.split()[-1]
            self.unknown.remove(message_id)
        except Refused as refused:
            self.refused[message_id] = str(refused)
            if message_id in self.unknown:
                self.unknown.remove(message_id)
            # Only MAIL leaves nothing to be undone.
            stream.sendall(b"RSET\r\n")
            self.reply(file)

    def say(self, stream, file, octets):
        stream.sendall(octets)
        return self.reply(file)

    def reply(self, file):
        """The last line of a reply; only a whole one counts."""
        while True:
            line = file.readline()
            if not line.endswith(b"\n"):
                raise EOFError
            text = line.decode(errors="replace").rstrip()
            if text[3:4] != "-":
                break
        if text.startswith("421"):
            raise EOFError
        if text[0] not in "23":
            raise Refused(text)
        return text


class Scene:
    """Everything of one trial, and the account of every message in it."""

    def __init__(self, args, settings="", queue=None, limits=False):
        self.args = args
        self.limits = limits
        self.temporary = None if args.folder else tempfile.mkdtemp(prefix="exorelay-trial-")
        self.folder = pathlib.Path(args.folder or self.temporary)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.queue = queue or self.folder / "queue"
        self.sandbox = Sandbox(args.exorelay, self.folder, limits=limits)
        self.config = self.folder / "exorelay.toml"
        self.write_settings(settings)
        # Message-ID -> queue id of every 250, and what came of it.
        self.acknowledged = {}
        self.refused = {}
        self.unknown = set()
        self.arrived = {}
        self.excused = {}
        self.in_doubt = set()
        self.damaged = []
        self.problems = []

    def write_settings(self, settings=""):
        text = f"""hostname = "relay.test"
[listener.local]
address = "127.0.0.1:0"
max_connections = 400
max_connections_per_client = 400
[admin]
socket = "{self.folder}/admin.sock"
[queue]
directory = "{self.queue}"
min_free_disk = 0
retry_initial = "1s"
{settings}
[log]
level = "debug"
{self.sandbox.account}
messages_per_minute = {30 if self.limits else 0}
recipients_per_day = {10000 if self.limits else 0}
"""
        self.config.write_text(text)

    def start(self, wait=True):
        return Daemon(self.args.exorelay, self.config, self.folder, wait)

    def clients(self, daemon, how_many, name, **more):
        clients = [Client(daemon.port, f"{name}-{n}", **more) for n in range(how_many)]
        for client in clients:
            client.start()
        return clients

    def attach(self, daemon, calls, path, effect, when):
        """strace, which lets the daemon's calls fail from now on; `path` is in the queue's folder."""
        command = ["strace", "-f", "-q", "-o", str(self.folder / "strace.out"), "-e", f"trace={calls}"]
        if path:
            command += ["-P", str(self.queue / path)]
        command += ["-e", f"inject={calls}:{effect}:when={when}", "-p", str(daemon.process.pid)]
        strace = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        threads = pathlib.Path(f"/proc/{daemon.process.pid}/task")

        def attached():
            states = [(task / "status").read_text() for task in threads.iterdir()]
            return all(f"TracerPid:\t{strace.pid}" in state for state in states)

        # To every thread, or the first calls would go unnoticed.
        until(lambda: strace.poll() is not None or attached(), "strace to attach", 20)
        # It ends with the daemon, which the first call may have killed already.
        if strace.poll() is not None and daemon.alive() and strace.returncode:
            sys.exit(f"strace does not attach: {strace.stderr.read()}")
        return strace

    def gather(self, clients):
        """What the clients were told."""
        for client in clients:
            client.stop = True
        for client in clients:
            client.join(90)
            if client.is_alive():
                self.problems.append(f"client {client.name_} hangs")
            self.acknowledged.update(client.acknowledged)
            self.refused.update(client.refused)
            self.unknown.update(client.unknown)

    def note_arrivals(self):
        """What the sandbox got; its files are removed, as it keeps only the latest ones itself."""
        for path in self.sandbox.folder.rglob("*.eml"):
            content = path.read_bytes()
            head, _, body = content.partition(b"\r\n\r\n")
            found = re.search(rb"(?im)^Message-ID: (\S+)", head)
            digest = re.search(rb"(?im)^X-Digest: (\w+)", head)
            message_id = found.group(1).decode()
            if not digest or digest.group(1).decode() != hashlib.sha256(body).hexdigest():
                self.damaged.append(message_id)
            self.arrived[message_id] = self.arrived.get(message_id, 0) + 1
            path.unlink()
            path.with_suffix(".json").unlink(missing_ok=True)

    def rows(self):
        """The rows of the queue, read in a copy: opening the original would recover it."""
        with tempfile.TemporaryDirectory(dir=self.folder) as copy:
            for name in ["queue.db", "queue.db-wal"]:
                if (self.queue / name).exists():
                    shutil.copy(self.queue / name, copy)
            database = sqlite3.connect(pathlib.Path(copy) / "queue.db")
            verdict = database.execute("PRAGMA integrity_check").fetchall()
            if verdict != [("ok",)]:
                self.problems.append(f"integrity_check: {verdict[:3]}")
            rows = database.execute("SELECT id, message_id, state, stored, last_reply FROM message").fetchall()
            database.close()
        return rows

    def died(self, log, cause):
        """After a death: attempts under way at that moment explain a second copy each."""
        rows = self.rows()
        for queue_id, message_id, state, _, _ in rows:
            if state == SENDING:
                # The last lines of the log die with a daemon that is killed, so they are shown and not relied on.
                said = [line for line in log.splitlines() if queue_id in line] or ["none was written"]
                self.excused.setdefault(message_id, []).append((queue_id, cause, said[-1]))
        doubted = set(re.findall(r"may have been stored.*queue_id=(\w+)", log))
        self.in_doubt.update(row[1] for row in rows if row[0] in doubted)
        return rows

    def lost(self, rows):
        """Acknowledged, and neither arrived nor in the queue."""
        held = {row[1] for row in rows if row[2] <= DEFERRED}
        return [one for one in self.acknowledged if one not in self.arrived and one not in held]

    def waiting(self):
        """How many messages a running daemon still has to send; asked as a reader, beside it."""
        database = sqlite3.connect(f"file:{self.queue}/queue.db?mode=ro", uri=True, timeout=30)
        try:
            return database.execute("SELECT count(*) FROM message WHERE state < 3").fetchone()[0]
        finally:
            database.close()

    def drain(self, seconds=120):
        """A last daemon delivers what is left, and the account is closed."""
        self.sandbox.heal()
        daemon = self.start()
        until(lambda: self.waiting() == 0, "the queue to drain", seconds, 0.1)
        code = daemon.terminate()
        if code != 0:
            self.problems.append(f"the last daemon ended with {code}")
        self.sandbox.idle()
        self.note_arrivals()
        rows = self.rows()
        files = {path.name for path in (self.queue / "content").iterdir()}
        named = {row[0] for row in rows if row[3] == 2}
        if files != named:
            self.problems.append(f"content files without row or rows without file: {files ^ named}")
        for row in rows:
            if row[4] and "damaged" in row[4]:
                self.problems.append(f"{row[0]} {row[4]}")
        violations = self.sandbox.ask("violations")
        if violations:
            self.problems.append(f"the sandbox objected: {violations[:3]}")
        return rows

    def verdict(self, name, rows, **figures):
        """Prints the summary line; the exit code says whether the promise was kept."""
        lost = self.lost(rows)
        duplicates = unexplained = 0
        for message_id, copies in self.arrived.items():
            if copies > 1:
                duplicates += copies - 1
                reasons = self.excused.get(message_id, [])
                for queue_id, cause, line in reasons[: copies - 1]:
                    print(f"  copy of {message_id} queue_id={queue_id}: {cause}; its last line: {line}")
                if copies - 1 > len(reasons):
                    unexplained += copies - 1 - len(reasons)
                    self.problems.append(f"{message_id} arrived {copies} times, explained {len(reasons)}")
        never_told = {one for one in self.arrived if one in self.refused and one not in self.in_doubt}
        if never_told:
            self.problems.append(f"refused and delivered all the same: {sorted(never_told)[:3]}")
        if self.damaged:
            self.problems.append(f"arrived with other content: {self.damaged[:3]}")
        for one in lost[:10]:
            self.problems.append(f"LOST {one} queue_id={self.acknowledged[one]}")
        for problem in self.problems:
            print(f"  PROBLEM {problem}")
        figures = {
            **figures,
            "acknowledged": len(self.acknowledged),
            "refused": len(self.refused),
            "without_answer": len(self.unknown),
            "in_doubt": len(self.in_doubt),
            "arrived": len(self.arrived),
            "lost": len(lost),
            "duplicates": duplicates,
            "unexplained": unexplained,
            "problems": len(self.problems),
            "seed": self.args.seed,
        }
        print(f"{name}: " + " ".join(f"{key}={value}" for key, value in figures.items()), flush=True)
        self.sandbox.close()
        good = not lost and not self.problems and self.acknowledged
        if self.temporary and good:
            shutil.rmtree(self.temporary, ignore_errors=True)
        elif not good:
            print(f"  everything is left in {self.folder}")
        return 0 if good else 1


def until(asked, what, seconds=30, pause=0.02):
    end = time.monotonic() + seconds
    while not asked():
        if time.monotonic() > end:
            raise SystemExit(f"waited {seconds} s in vain for {what}")
        time.sleep(pause)


def run(*command):
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)


def needs_root():
    if os.geteuid() != 0:
        sys.exit("this trial mounts filesystems: run it as root")
