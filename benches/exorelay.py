"""The daemon, in its own folder: with an account that cannot send, or one that sends to the sandbox."""

import contextlib
import json
import os
import pathlib
import socket
import sqlite3
import subprocess
import sys
import time

from process import Failed, cpu_seconds, end, free_port, launch, not_started, settled_cpu_seconds

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "tests/trials"))
from trial import environment


def holding(refusing_port):
    """An account that gets no token: mail only queues."""
    return f"""[account.default]
mailbox = "relay@bench.invalid"
tenant_id = "00000000-0000-0000-0000-000000000000"
client_id = "00000000-0000-0000-0000-000000000000"
client_secret = "no secret: nobody listens there"
[account.default.oauth]
token_url = "http://127.0.0.1:{refusing_port}/token"
[account.default.smtp]
host = "127.0.0.1"
port = {refusing_port}
tls = "none"
"""


def sending(sandbox):
    """An account of the sandbox's, as fast as it goes; its last section is that of the upstream."""
    return f"{sandbox.account}\nmessages_per_minute = 0\nrecipients_per_day = 0\n"


class Exorelay:
    """A daemon that can be stopped and started again on the same queue."""

    def __init__(self, folder, binary, key, account, level="info"):
        self.name = f"exorelay, log {level}"
        self.key, self.binary, self.account, self.level = key, binary, account, level
        self.folder = folder / key
        self.queue = self.folder / "queue"
        self.settings = self.folder / "exorelay.toml"
        self.port = free_port()
        self.acknowledged = 0
        self.process = None

    def start(self, stack):
        self.folder.mkdir(mode=0o700)
        stack.callback(self.stop)
        return self.begin(self.account)

    def begin(self, account):
        """Seconds from the start of the process until it said READY=1."""
        self.settings.write_text(f"""hostname = "relay.bench.invalid"
[listener.local]
address = "127.0.0.1:{self.port}"
max_connections = 1000
max_connections_per_client = 1000
[queue]
directory = "{self.queue}"
max_messages = 100000000
max_bytes = "1000GiB"
{account}[admin]
socket = "{self.folder}/admin.sock"
[log]
level = "{self.level}"
""")
        self.settings.chmod(0o600)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            path, log = self.folder / "notify", self.folder / "log"
            path.unlink(missing_ok=True)
            manager.bind(str(path))
            manager.settimeout(0.1)
            told = {**environment(), "NOTIFY_SOCKET": str(path)}
            started = time.monotonic()
            with log.open("ab") as stderr:
                self.process = launch(self.command("run"), stderr, told)
            while self.process.poll() is None and time.monotonic() < started + 120:
                with contextlib.suppress(TimeoutError):
                    if manager.recv(4096).startswith(b"READY=1"):
                        return time.monotonic() - started
        raise not_started(self.name, log)

    def stop(self):
        if self.process is not None:
            end(self.process)

    def command(self, *words):
        return [str(self.binary), "--config", str(self.settings), *words]

    def ask(self, *words):
        """What a command prints, as JSON, and the seconds that it took."""
        started = time.monotonic()
        done = subprocess.run(
            self.command(*words, "--json"), capture_output=True, env=environment(), check=False)
        took = time.monotonic() - started
        if done.returncode:
            raise Failed(f"exorelay {' '.join(words)}: {done.stderr.decode().strip()}")
        return json.loads(done.stdout), took

    def commits(self):
        return self.ask("status")[0]["queue"]["commits"]

    def queued(self):
        database = f"file:{self.queue}/queue.db?mode=ro"
        with contextlib.closing(sqlite3.connect(database, uri=True, timeout=30)) as reader:
            return reader.execute(
                "SELECT count(*) FROM message JOIN content USING (seq) WHERE state < 4"
            ).fetchone()[0]

    def evict(self):
        """What the system has read of the queue is forgotten, as after a power cut."""
        os.sync()
        for path in self.queue.rglob("*"):
            if path.is_file():
                file = os.open(path, os.O_RDONLY)
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(file)

    def cpu(self):
        return cpu_seconds(self.process.pid)

    def settled_cpu(self):
        return settled_cpu_seconds(self.process.pid)
