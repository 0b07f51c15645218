#!/usr/bin/env python3
"""The RPM package and its scripts under a real systemd: installed, upgraded with mail in the queue, erased. The machine is a
Debian with rpm, as no other is at hand: dependencies are not looked at."""

import json
import smtplib

import trial
from checks import Checks
from machine import TRACKS, Machine

args = trial.arguments(__doc__, suite="bookworm", base="", messages=20)
checks = Checks("rpm", args)
expect, work = checks.expect, checks.work
SETTINGS = "/etc/exorelay/exorelay.toml"
# Nobody is there: mail waits.
ACCOUNT = """[account.default]
mailbox = "relay@contoso.com"
tenant_id = "contoso.com"
client_id = "11111111-2222-3333-4444-555555555555"
client_secret = "x"
[account.default.oauth]
token_url = "http://127.0.0.1:9/token"
"""


def build(release):
    return machine.build(args.exorelay, "--rpm", f"exorelay-*-{release}.*.rpm", release)


machine = Machine(work, args.suite, args.base)
machine.run("apt-get", "update")
machine.run("apt-get", "install", "--yes", "--no-install-recommends", "rpm")
# Debian's rpm would have other tools look after packages.
rpm = ["rpm", "--nodeps", "--force-debian"]
first, second = build(1), build(2)
machine.boot()
before = machine.files()

said = machine.run(*rpm, "--install", first)
expect("sudo exorelay setup" in said, "says what is next")
for path, wanted in {
    "/etc/exorelay": "750 root:exorelay",
    SETTINGS: "640 root:exorelay",
    "/var/lib/exorelay": "700 exorelay:exorelay",
    "/usr/bin/exorelay": "755 root:root",
    "/usr/lib/systemd/system/exorelay.service": "644 root:root",
}.items():
    expect(machine.owner(path) == wanted, f"{path} is {wanted}")
expect(machine.run("/usr/lib/exorelay/sendmail", "-bv", "root@contoso.com", check=False), "links to it are sendmail")
changed = machine.attempt("rpm", "--verify", "--nodeps", "exorelay")
expect(changed.returncode == 0, f"rpm --verify {changed.stdout}")
machine.path(SETTINGS).write_text(ACCOUNT)
machine.run("systemctl", "enable", "--now", "exorelay")
machine.run("systemctl", "reload", "exorelay")
with smtplib.SMTP("127.0.0.1", 2525, timeout=30) as client:
    for number in range(args.messages):
        client.sendmail("a@contoso.com", ["b@contoso.com"], f"Subject: {number}\r\n\r\nHello\r\n")

pid = machine.property("exorelay", "MainPID")
machine.run(*rpm, "--upgrade", second)
expect(machine.property("exorelay", "MainPID") not in (pid, "0"), "an upgrade restarts")
machine.until_active("exorelay")
waiting = json.loads(machine.run("exorelay", "queue", "list", "--json"))
expect(len(waiting) == args.messages, f"{len(waiting)} messages still wait")
expect(machine.path(SETTINGS).read_text() == ACCOUNT, "edited settings kept")
expect(machine.run("/usr/lib/exorelay/mailq", check=False), "links are still there")

machine.run(*rpm, "--erase", "exorelay")
expect(machine.run("systemctl", "is-active", "exorelay", check=False).strip() == "inactive", "erased: stopped")
expect(machine.path("/var/lib/exorelay/queue.db").exists(), "mail stays")
expect(machine.path(SETTINGS + ".rpmsave").read_text() == ACCOUNT, "edited settings stay as .rpmsave")
left = sorted(machine.files() - before)
# Mail and settings, and what belongs to no package or to others.
others = ("/var/lib/exorelay", "/etc/exorelay", "/var/lib/rpm", "/usr/share/fish", "/usr/share/zsh")
left = [path for path in left if not path.startswith(TRACKS + others)]
expect(not left, f"nothing else {left}")

machine.halt()
checks.end(suite=args.suite, messages=args.messages)
