"""What sends the mail: the client in load.rs, Postfix's smtp-source, or the one in Python beside this file."""

import json
import pathlib
import subprocess
import sys
import time

from client import MESSAGE_BYTES, RECIPIENT, SENDER
from process import Failed, find

SESSIONS = 20
HERE = pathlib.Path(__file__).parent
CLIENT = HERE / "client.py"
# In the order of how little of the machine they take.
CLIENTS = ["load", "smtp-source", "client.py"]


def built():
    """What `cargo build --release --bench load` made last."""
    found = (HERE.parent / "target/release/deps").glob("load-*")
    return max((each for each in found if not each.suffix), key=lambda each: each.stat().st_mtime, default=None)


class Load:
    """Sends to one server after the other; all programs give up at the first unexpected reply."""

    def __init__(self, wanted=None):
        programs = {"load": built(), "smtp-source": find("smtp-source"), "client.py": CLIENT}
        names = [wanted] if wanted else CLIENTS
        self.name = next((name for name in names if programs[name]), None)
        if self.name is None:
            raise Failed(f"there is no {wanted}: cargo build --release --bench load, or the package postfix")
        self.program = programs[self.name]

    def send(self, target, messages, reuse):
        """As fast as it goes; returns messages a second."""
        if self.name == "smtp-source":
            command = [self.program, "-s", SESSIONS, "-l", MESSAGE_BYTES, "-m", messages]
            command += ["-d"] if reuse else []
            command += ["-f", SENDER, "-t", RECIPIENT, f"127.0.0.1:{target.port}"]
            started = time.monotonic()
            run(target, command)
            elapsed = time.monotonic() - started
        else:
            program = [self.program] if self.name == "load" else [sys.executable, CLIENT]
            command = [*program, "--port", target.port, "--messages", messages, "--sessions", SESSIONS]
            elapsed = json.loads(run(target, command + (["--reuse"] if reuse else [])))["seconds"]
        target.acknowledged += messages
        return messages / elapsed

    def send_at(self, target, messages, rate):
        """By the clock, one message a connection; returns how long replies took."""
        command = [sys.executable, CLIENT, "--port", target.port, "--messages", messages, "--rate", rate]
        figures = json.loads(run(target, command))
        target.acknowledged += messages
        return figures


def run(target, command):
    done = subprocess.run([str(word) for word in command], capture_output=True, check=False)
    if done.returncode:
        raise Failed(f"towards {target.name}: {done.stderr.decode().strip()}")
    return done.stdout
