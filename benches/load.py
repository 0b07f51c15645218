"""What sends the mail: smtp-source, or the client beside this file where Postfix is not installed."""

import json
import pathlib
import subprocess
import sys
import time

from client import MESSAGE_BYTES, RECIPIENT, SENDER
from process import Failed, find

SESSIONS = 20
CLIENT = pathlib.Path(__file__).with_name("client.py")


class Load:
    """Sends to one server after the other; both programs give up at the first unexpected reply."""

    def __init__(self):
        self.source = find("smtp-source")
        self.name = "smtp-source" if self.source else "benches/client.py"

    def send(self, target, messages, reuse):
        """As fast as it goes; returns messages a second."""
        if self.source:
            command = [self.source, "-s", SESSIONS, "-l", MESSAGE_BYTES, "-m", messages]
            command += ["-d"] if reuse else []
            command += ["-f", SENDER, "-t", RECIPIENT, f"127.0.0.1:{target.port}"]
            started = time.monotonic()
            run(target, command)
            elapsed = time.monotonic() - started
        else:
            more = ["--sessions", SESSIONS] + (["--reuse"] if reuse else [])
            elapsed = client(target, messages, more)["seconds"]
        target.acknowledged += messages
        return messages / elapsed

    def send_at(self, target, messages, rate):
        """By the clock, one message a connection; returns how long replies took."""
        figures = client(target, messages, ["--rate", rate])
        target.acknowledged += messages
        return figures


def client(target, messages, more):
    command = [sys.executable, CLIENT, "--port", target.port, "--messages", messages, *more]
    return json.loads(run(target, command))


def run(target, command):
    done = subprocess.run([str(word) for word in command], capture_output=True, check=False)
    if done.returncode:
        raise Failed(f"towards {target.name}: {done.stderr.decode().strip()}")
    return done.stdout
