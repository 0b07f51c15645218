#!/usr/bin/env python3
"""What packaging/Containerfile starts, without a container engine: the program alone in a root that nobody can write,
as process 1, under the image's user, with the image's command and health check. Needs root."""

import ctypes
import fcntl
import os
import pathlib
import re
import shlex
import shutil
import signal
import smtplib
import socket
import struct
import subprocess
import time

import trial
from checks import Checks

args = trial.arguments(__doc__)
checks = Checks("container", args)
expect, work = checks.expect, checks.work
image, volume = work / "image", work / "volume"
CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
# As engines mount them, and a root without a way to write.
MOUNT = """
mount --bind "$1" "$1"
mount -o remount,bind,ro "$1"
mount -t proc proc "$1/proc"
mount --bind "$2" "$1/var/lib/exorelay"
shift 2
exec "$@"
"""


def last_stage():
    text = (trial.ROOT / "packaging/Containerfile").read_text().replace("\\\n", " ")
    stage = text[text.rindex("\nFROM ") :]
    found = {word: re.findall(rf"(?m)^{word} (.*)$", stage) for word in ["USER", "ENTRYPOINT", "CMD", "HEALTHCHECK"]}
    listed = lambda text: re.findall(r'"([^"]*)"', text[text.index("[") :])
    return {
        "user": found["USER"][0],
        "command": listed(found["ENTRYPOINT"][0]) + listed(found["CMD"][0]),
        "health": listed(found["HEALTHCHECK"][0]),
    }


def fill():
    """The program, its libraries, the settings: what the last stage copies, and the base image has."""
    for folder in ["proc", "usr/bin", "var/lib/exorelay", "etc/exorelay", "etc/ssl/certs", "run/secrets"]:
        (image / folder).mkdir(parents=True)
    shutil.copy(args.exorelay, image / "usr/bin/exorelay")
    shutil.copy(trial.ROOT / "packaging/container.toml", image / "etc/exorelay/exorelay.toml")
    shutil.copy("/etc/ssl/certs/ca-certificates.crt", image / "etc/ssl/certs/")
    (image / "etc/hosts").write_text("127.0.0.1 localhost\n")
    (image / "etc/passwd").write_text("nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n")
    needed = subprocess.run(["ldd", args.exorelay], check=True, stdout=subprocess.PIPE, text=True).stdout
    for library in re.findall(r"(/\S+) \(0x", needed):
        target = image / library.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, target)
    volume.mkdir()
    volume.chmod(0o700)
    shutil.chown(volume, 65532, 65532)


def own_network():
    """So that the image's port is free."""
    if ctypes.CDLL(None).unshare(CLONE_NEWNET):
        raise SystemExit("no network namespace is to be had")
    with socket.socket() as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))


def inside(command):
    return ["chroot", f"--userspec={stage['user']}", str(image), *command]


def start(**variables):
    log = open(work / f"{len(list(work.glob('*.log')))}.log", "wb")
    process = subprocess.Popen(
        ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", MOUNT, "sh", image, volume,
         *inside(stage["command"])],
        env={"PATH": "/usr/bin:/usr/sbin:/bin:/sbin", **variables}, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
    )
    process.log = pathlib.Path(log.name)
    return process


def first_process(process):
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return children[0] if children else None


def is_healthy(process, variables):
    done = subprocess.run(
        ["nsenter", "--target", first_process(process), "--mount", "--pid", *inside(stage["health"])],
        env={"PATH": "/usr/bin:/usr/sbin:/bin:/sbin", **variables}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    return done.returncode == 0


stage = last_stage()
fill()
own_network()
print(f"user {stage['user']}, {shlex.join(stage['command'])}, health check {shlex.join(stage['health'])}")
sandbox = trial.Sandbox(args.exorelay, work)
shutil.copy(work / "sandbox/ca.pem", image / "run/secrets/ca.pem")
values = dict(re.findall(r'(?m)^(\w+) = "?(.*?)"?$', sandbox.account))
(image / "run/secrets/client-secret").write_text(values["client_secret"] + "\n")
account = {f"EXORELAY_ACCOUNT__DEFAULT__{key.upper()}": values[key] for key in ["mailbox", "tenant_id", "client_id"]}
account |= {
    "EXORELAY_ACCOUNT__DEFAULT__CLIENT_SECRET__FILE": "/run/secrets/client-secret",
    "EXORELAY_ACCOUNT__DEFAULT__OAUTH__TOKEN_URL": values["token_url"],
    "EXORELAY_ACCOUNT__DEFAULT__SMTP__HOST": values["host"],
    "EXORELAY_ACCOUNT__DEFAULT__SMTP__PORT": values["port"],
    "EXORELAY_ACCOUNT__DEFAULT__SMTP__CA_FILE": "/run/secrets/ca.pem",
}
refused = start(**account)
expect(refused.wait(60) == 78, "no start as an open relay")
expect("open relay" in refused.log.read_text(), "which says what is missing")

account["EXORELAY_LISTENER__LOCAL__ALLOW"] = '["127.0.0.0/8"]'
daemon = start(**account)
trial.until(lambda: " ready " in daemon.log.read_text() or daemon.poll() is not None, "READY", 60)
if daemon.poll() is not None:
    raise SystemExit(f"it did not start:\n{daemon.log.read_text()}")
expect(is_healthy(daemon, account), "healthy")
with open(f"/proc/{first_process(daemon)}/status") as status:
    status = status.read()
expect(re.search(r"(?m)^Uid:\s+65532\s+65532", status), "under the image's user")
expect(re.search(r"(?m)^NSpid:.*\s1$", status), "as process 1")
with smtplib.SMTP("127.0.0.1", 2525, timeout=30) as client:
    client.sendmail("a@sandbox.example", ["b@sandbox.example"], "Subject: contained\r\n\r\nHello\r\n")
trial.until(lambda: list((work / "sandbox").rglob("*.eml")), "the message to arrive", 60)
expect((volume / "queue.db").stat().st_uid == 65532, "the queue is in the volume")
daemon_pid = int(first_process(daemon))
began = time.monotonic()
signal.pidfd_send_signal(os.pidfd_open(daemon_pid), signal.SIGTERM)
code = daemon.wait(60)
expect(code == 0, f"SIGTERM drains: status {code} after {time.monotonic() - began:.1f} s")
sandbox.close()
written = [path for path in image.rglob("*") if path.is_file() and path.stat().st_uid == 65532]
expect(not written, f"nothing was written into the image {written}")
checks.end()
