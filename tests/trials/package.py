#!/usr/bin/env python3
"""The Debian package on a fresh Debian with a real systemd: installed, five lines edited, started, and a first message
sent through the sandbox; upgraded with mail in the queue; port 25 and secrets by way of systemd; removed; purged."""

import functools
import json
import re
import smtplib
import urllib.request

import trial
from checks import Checks
from machine import TRACKS, Machine

args = trial.arguments(__doc__, suite="bookworm", base="", messages=100)
checks = Checks("package", args)
expect, work = checks.expect, checks.work
SETTINGS = "/etc/exorelay/exorelay.toml"
CONTROL = "http://127.0.0.1:2588/"


def ask(path, method="GET", body=None):
    request = urllib.request.Request(CONTROL + path, method=method)
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read()


def arrived():
    found = set()
    for path in machine.path("/srv/sandbox").rglob("*.eml"):
        found.update(re.findall(rb"(?im)^Subject: (\S+)", path.read_bytes()))
    return {subject.decode() for subject in found}


def waiting():
    listed = json.loads(machine.run("exorelay", "queue", "list", "--json"))
    return {message["subject"] for message in listed}


def send(subjects, port=2525):
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
        for subject in subjects:
            content = f"From: a@sandbox.example\r\nTo: b@sandbox.example\r\nSubject: {subject}\r\n\r\nHello\r\n"
            client.sendmail("a@sandbox.example", ["b@sandbox.example"], content)


def all_arrive(subjects, seconds=60):
    trial.until(lambda: arrived() >= set(subjects), f"{len(subjects)} messages to arrive", seconds, 0.2)


def edit(change):
    path = machine.path(SETTINGS)
    text = path.read_text()
    changed = change(text)
    expect(changed != text, "settings edited")
    path.write_text(changed)


def left():
    """What is there and was not before, but for the tracks of a boot and of users that were added."""
    return [path for path in sorted(machine.files() - before) if not path.startswith(TRACKS)]


def set_up(program="exorelay"):
    """By the interview's answers, and with the way to the sandbox."""
    machine.path("/root/secret").write_text(values["client_secret"] + "\n")
    answers = [f'{key} = "{values[key]}"' for key in ["mailbox", "tenant_id", "client_id"]]
    answers += ['way = "secret"', 'client_secret_file = "/root/secret"']
    machine.path("/root/answers").write_text("\n".join(answers) + "\n")
    machine.run(program, "setup", "--offline", "--answers", "/root/answers")
    edit(lambda text: text + "\n" + beyond)


def process_status(name):
    pid = machine.property("exorelay", "MainPID")
    text = machine.run("cat", f"/proc/{pid}/status")
    return re.search(rf"(?m)^{name}:\s*(\S+)", text).group(1)


machine = Machine(work, args.suite, args.base)
build = functools.partial(machine.build, args.exorelay)
first, second = build("--deb", "exorelay_*-1_*.deb"), build("--deb", "exorelay_*-2_*.deb", 2)
tarball = build("--tar", "exorelay-*.tar.gz")
before = machine.files()

print("installed in a chroot, where no systemd runs")
said = machine.run("apt-get", "install", "--yes", first)
expect("sudo exorelay setup" in said, "says what is next")
for path, wanted in {
    "/etc/exorelay": "750 root:exorelay",
    SETTINGS: "640 root:exorelay",
    "/var/lib/exorelay": "700 exorelay:exorelay",
    "/usr/bin/exorelay": "755 root:root",
}.items():
    expect(machine.owner(path) == wanted, f"{path} is {wanted}")
expect(not machine.path("/usr/sbin/sendmail").exists(), "/usr/sbin/sendmail is left alone")

print("booted, not set up")
machine.boot()
version = int(re.search(r"systemd (\d+)", machine.run("systemctl", "--version")).group(1))
expect(machine.run("systemctl", "is-enabled", "exorelay", check=False).strip() == "disabled", "not enabled")
verified = machine.attempt("systemd-analyze", "--man=no", "verify", "exorelay.service", "exorelay.socket")
complaints = [line for line in verified.stdout.splitlines() if "exorelay" in line and "notify-reload" not in line]
expect(verified.returncode == 0 and not complaints, f"systemd-analyze verify {complaints}")
exposure = re.search(r"exposure level.*: ([\d.]+)", machine.run("systemd-analyze", "security", "exorelay.service"))
expect(float(exposure.group(1)) <= 1.5, f"exposure {exposure.group(1)}")
checked = machine.attempt("exorelay", "config", "check")
expect(checked.returncode == 78, "config check refuses the settings as installed")
for key in ["mailbox", "tenant_id", "client_id"]:
    expect(f"account.default.{key}: is missing" in checked.stdout, f"and asks for {key}")
machine.attempt("systemctl", "start", "exorelay")
machine.until_active("exorelay", "failed")
expect(machine.property("exorelay", "NRestarts") == "0", "a start without settings fails once")
expect("account.default.mailbox: is missing" in machine.journal("exorelay"), "and the journal says why")
machine.run("systemctl", "reset-failed", "exorelay")

print("five lines edited, started, first message")
machine.run("mkdir", "/srv/sandbox")
machine.run("touch", "/srv/account")
machine.run("systemd-run", "--unit=sandbox", "--property=StandardOutput=file:/srv/account", "exorelay", "sandbox",
            "--no-limits", "--directory", "/srv/sandbox")
trial.until(lambda: "Ctrl-C" in machine.path("/srv/account").read_text(), "the sandbox", 30, 0.2)
account = machine.path("/srv/account").read_text()
values = dict(re.findall(r'(?m)^(\w+) = "(.*)"$', account.partition("[account.default.oauth]")[0]))
beyond = "[account.default.oauth]" + account.partition("[account.default.oauth]")[2].partition("Control")[0].rstrip()
# In place of Exchange's 30 a minute.
beyond += "\nmessages_per_minute = 0\n"


def five_lines(text):
    for key in ["mailbox", "tenant_id", "client_id"]:
        text = text.replace(f'{key} = ""', f'{key} = "{values[key]}"')
    return text.replace('credential_expires = ""', 'credential_expires = "2099-01-01"') + "\n" + beyond


edit(five_lines)
machine.run("install", "-m", "640", "-g", "exorelay", "/dev/stdin", "/etc/exorelay/client-secret",
            input=values["client_secret"] + "\n")
machine.run("exorelay", "config", "check")
machine.run("systemctl", "enable", "--now", "exorelay")
expect(machine.property("exorelay", "ActiveState") == "active", "READY=1 was heard")
kind = machine.property("exorelay", "Type")
expect(kind == ("notify-reload" if version >= 253 else "notify"), f"Type={kind}")
machine.run("exorelay", "send-test", "--to", "b@sandbox.example")
checked = machine.attempt("exorelay", "check")
expect(checked.returncode == 0, f"exorelay check {checked.stdout if checked.returncode else ''}")
expect(process_status("CapEff") == process_status("CapBnd") == "0" * 16, "no capability")
expect(process_status("NoNewPrivs") == "1" and process_status("Seccomp") == "2", "sandboxed")
machine.run("useradd", "person")
mail = "From: person@sandbox.example\nTo: b@sandbox.example\nSubject: by-sendmail\n\nHello\n"
machine.run("/usr/lib/exorelay/sendmail", "-t", input=mail, user="person")
all_arrive(["by-sendmail"])
expect(machine.owner("/run/exorelay/sendmail.json") == "644 exorelay:exorelay", "sendmail.json is for everybody")
expect(machine.owner("/run/exorelay/admin.sock") == "660 exorelay:exorelay", "admin.sock is for the group")

print("reload, and an alarm's program inside the sandboxing")
edit(lambda text: text + "\n[alert]\ncommand = ['/bin/sh', '-c', 'cat > /run/exorelay/incident.json']\n")
machine.run("systemctl", "reload", "exorelay")
trial.until(lambda: "settings reloaded" in machine.journal("exorelay"), "the reload")
REFUSED = "faults/token?aadsts=7000215"
ask(REFUSED, "POST")
machine.run("systemctl", "restart", "exorelay")

print(f"upgrade with {args.messages} messages queued")
subjects = [f"upgrade-{number}" for number in range(args.messages)]
send(subjects)
expect(waiting() == set(subjects), f"{args.messages} wait")
incident = "/run/exorelay/incident.json"
trial.until(lambda: machine.attempt("test", "-s", incident).returncode == 0, "the alarm's program", 30, 0.2)
expect("aadsts7000215" in machine.run("cat", incident), "an alarm's program was run")
pid = machine.property("exorelay", "MainPID")
edit(lambda text: text.replace("# exorelay:", "# Ours. exorelay:"))
said = machine.run("apt-get", "install", "--yes", second)
expect(machine.property("exorelay", "MainPID") not in (pid, "0"), "restarted")
expect("stopping" in machine.journal("exorelay"), "drained first")
expect(waiting() == set(subjects), f"{args.messages} still wait")
expect("# Ours." in machine.path(SETTINGS).read_text(), "edited settings kept")
expect(machine.owner(SETTINGS) == "640 root:exorelay", "with their owner")
ask("control", "DELETE")
machine.run("systemctl", "reload", "exorelay")
all_arrive(subjects, 120)
expect(waiting() == set(), "delivered after the upgrade")

print("port 25: by a socket unit, then with the one capability")
edit(lambda text: text + '\n[listener.local]\n[listener.old]\naddress = "systemd:smtp"\nallow = ["127.0.0.1"]\n')
machine.run("systemctl", "stop", "exorelay")
machine.run("systemctl", "start", "exorelay.socket")
send(["activated"], 25)
all_arrive(["activated"])
expect(machine.property("exorelay", "ActiveState") == "active", "started by a connection to port 25")
expect(process_status("CapEff") == "0" * 16, "without a capability")
send(["before-restart"], 25)
machine.run("systemctl", "restart", "exorelay")
send(["after-restart"], 25)
machine.run("systemctl", "stop", "exorelay.socket", "exorelay")
edit(lambda text: text.replace("systemd:smtp", "127.0.0.1:25"))
examples = "/usr/share/doc/exorelay/examples/systemd/"
drop_ins = "/etc/systemd/system/exorelay.service.d/"
machine.run("install", "-D", "-m", "644", examples + "port-25.conf", drop_ins + "port-25.conf")
machine.run("install", "-D", "-m", "644", examples + "credentials.conf", drop_ins + "credentials.conf")
edit(lambda text: text.replace('{ file = "/etc/exorelay/client-secret" }', '{ credential = "client-secret" }'))
machine.run("chown", "root:root", "/etc/exorelay/client-secret")
machine.run("chmod", "600", "/etc/exorelay/client-secret")
machine.run("systemctl", "daemon-reload")
machine.run("systemctl", "start", "exorelay")
send(["by-capability"], 25)
all_arrive(["before-restart", "after-restart", "by-capability"])
# 1 << 10 is CAP_NET_BIND_SERVICE.
expect(int(process_status("CapEff"), 16) == int(process_status("CapBnd"), 16) == 1 << 10, "with that one only")

print("killed: systemd starts it again")
pid = machine.property("exorelay", "MainPID")
machine.run("systemctl", "kill", "--signal=KILL", "exorelay")
trial.until(lambda: machine.property("exorelay", "MainPID") not in (pid, "0"), "the restart", 30, 0.2)
machine.until_active("exorelay")

print("hung: the watchdog ends it, and systemd starts it again")
watched = drop_ins + "watchdog.conf"
machine.path(watched).write_text("[Service]\nWatchdogSec=3s\nTimeoutAbortSec=1s\n")
machine.run("systemctl", "daemon-reload")
machine.run("systemctl", "restart", "exorelay")
pid = machine.property("exorelay", "MainPID")
heard = machine.property("exorelay", "WatchdogTimestampMonotonic")
trial.until(lambda: machine.property("exorelay", "WatchdogTimestampMonotonic") != heard, "a sign of life", 10, 0.2)
expect(machine.property("exorelay", "MainPID") == pid, "it tells that it lives")
machine.run("systemctl", "kill", "--signal=STOP", "exorelay")
trial.until(lambda: machine.property("exorelay", "MainPID") not in (pid, "0"), "the watchdog", 30, 0.2)
machine.until_active("exorelay")
machine.path(watched).unlink()
machine.run("systemctl", "daemon-reload")
machine.run("systemctl", "restart", "exorelay")

print("as sendmail, once it is asked to")
page = (trial.ROOT / "docs/install.md").read_text()
shown = re.search(r"\$ sudo (update-alternatives --install(?: .*\\\n)+.*)", page).group(1)
machine.run(*shown.replace("\\\n", " ").split())
machine.run("/usr/sbin/sendmail", "-t", input=mail.replace("by-sendmail", "by-alternative"), user="person")
all_arrive(["by-alternative"])
machine.run("mailq")

print("removed and installed again with mail in the queue")
ask(REFUSED, "POST")
machine.run("systemctl", "restart", "exorelay")
send(["kept-1", "kept-2", "kept-3"])
said = machine.run("apt-get", "remove", "--yes", "exorelay")
expect("3 undelivered messages stay" in said, "remove tells of mail")
expect(machine.path("/var/lib/exorelay/queue.db").exists() and machine.path(SETTINGS).exists(), "mail and settings stay")
expect(machine.run("systemctl", "is-active", "exorelay", check=False).strip() == "inactive", "stopped")
expect(not machine.path("/usr/sbin/sendmail").is_symlink(), "the alternative is gone")
machine.run("apt-get", "install", "--yes", second)
machine.run("systemctl", "start", "exorelay")
expect(waiting() == {"kept-1", "kept-2", "kept-3"}, "still there")

print("purged with mail, then without")
said = machine.run("apt-get", "purge", "--yes", "exorelay")
expect("it holds 3 undelivered messages" in said, "purge tells of mail")
expect(machine.path("/var/lib/exorelay/queue.db").exists(), "and keeps it")
expect(not machine.path("/etc/exorelay").exists(), "no secret stays")
machine.run("apt-get", "install", "--yes", second)
set_up()
expect(machine.owner(SETTINGS) == "640 root:exorelay", "setup keeps the owner of the settings")
expect(machine.owner("/etc/exorelay/client-secret") == "600 exorelay:root", "and the secret is for the daemon")
expect("# Without more, programs" in machine.path(SETTINGS).read_text(), "and the comments")
machine.run("rm", "-r", drop_ins)
machine.run("systemctl", "daemon-reload")
ask("control", "DELETE")
machine.run("systemctl", "enable", "--now", "exorelay")
all_arrive(["kept-1", "kept-2", "kept-3"])
trial.until(lambda: waiting() == set(), "the queue to be empty", 30, 0.2)
machine.run("apt-get", "purge", "--yes", "exorelay")
expect(not left(), f"nothing is left behind {left()}")
expect(not sorted(before - machine.files()), f"and nothing is missing {sorted(before - machine.files())}")
expect("exorelay:" in machine.path("/etc/passwd").read_text(), "the user stays")
expect(machine.attempt("test", "-e", "/run/exorelay").returncode == 1, "nothing in /run")

print("from the tarball, into /usr/local")
machine.run("tar", "--extract", "--file", tarball, "--directory", "/root")
unpacked = tarball.removesuffix(".tar.gz")
machine.run("chown", "--recursive", "person", unpacked)
said = machine.run(f"{unpacked}/install")
expect("/usr/local/bin/exorelay setup" in said, "says what is next")
expect(machine.owner("/usr/local/bin/exorelay") == "755 root:root", "the program is root's, whoever unpacked it")
expect(machine.owner(SETTINGS) == "640 root:exorelay", f"{SETTINGS} is 640 root:exorelay")
set_up("/usr/local/bin/exorelay")
machine.run("systemctl", "enable", "--now", "exorelay")
send(["from-tarball"])
all_arrive(["from-tarball"])
machine.run("systemctl", "reload", "exorelay")
machine.run(f"{unpacked}/install")
expect(values["mailbox"] in machine.path(SETTINGS).read_text(), "settings kept by a second installation")
send(["after-upgrade"])
all_arrive(["after-upgrade"])
machine.run(f"{unpacked}/install", "--uninstall")
stays = ("/etc/exorelay", "/var/lib/exorelay", "/etc/systemd/system/exorelay.service.d")
there = [path for path in left() if not path.startswith(stays) and not machine.path(path).is_dir()]
expect(not there, f"nothing but settings and queue is left behind {there}")
expect(machine.path(SETTINGS).exists() and machine.path("/var/lib/exorelay/queue.db").exists(), "and those are")

machine.halt()
checks.end(suite=args.suite, systemd=version, exposure=exposure.group(1), messages=args.messages)
