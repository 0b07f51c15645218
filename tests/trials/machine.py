"""A Debian of its own: unpacked once, changed in a copy, and booted with a real systemd in namespaces. Needs root,
debootstrap and systemd-nspawn (package systemd-container). Its only network is a loopback of its own."""

import atexit
import ctypes
import os
import pathlib
import shlex
import shutil
import subprocess
import time

import trial

# What a run of any program changes, or what is not the disk's.
VOLATILE = ("/proc", "/sys", "/dev", "/run", "/tmp", "/root", "/srv", "/var/cache", "/var/log", "/var/tmp",
            "/var/lib/apt", "/var/lib/dpkg", "/var/lib/systemd", "/etc/resolv.conf")
# What a first boot and added users leave.
TRACKS = ("/etc/.updated", "/var/.updated", "/etc/.pwd", "/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-",
          "/etc/subuid-", "/etc/subgid-", "/var/mail/person")
PACKAGES = "systemd,systemd-sysv,dbus,ca-certificates"
CLONE_NEWNET = 0x40000000


class Machine:
    def __init__(self, folder, suite, base=""):
        """`base`: a folder that debootstrap has filled before; it is filled if it is not there."""
        base = pathlib.Path(base or folder / "base")
        if not (base / "etc/debian_version").exists():
            print(f"  debootstrap {suite}", flush=True)
            trial.run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", suite, base)
        self.root = folder / "root"
        trial.run("cp", "-a", base, self.root)
        (self.root / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
        self.manager = None
        self.init = None

    def path(self, path):
        return self.root / path.lstrip("/")

    def build(self, binary, kind, pattern, revision=1):
        """A package of `packaging/build`, put where root finds it; returns its path there."""
        trial.run(trial.ROOT / "packaging/build", kind, "--binary", binary, "--revision", revision)
        [package] = (trial.ROOT / "target/packages").glob(pattern)
        shutil.copy(package, self.path("/root/"))
        return f"/root/{package.name}"

    def run(self, *command, input=None, check=True, user=None):
        """In a bare chroot before the boot, and in the machine's namespaces after it. Returns what it says."""
        done = self.attempt(*command, input=input, user=user)
        if check and done.returncode:
            raise SystemExit(f"{shlex.join(command)}: {done.returncode}\n{done.stdout}")
        return done.stdout

    def attempt(self, *command, input=None, user=None):
        if user:
            command = ("runuser", "-u", user, "--", *command)
        if self.init:
            enter = ["nsenter", "--target", str(self.init), "--all", "--wdns=/"]
        else:
            enter = ["chroot", str(self.root)]
        clean = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
        return subprocess.run(
            [*enter, *command],
            input=input,
            env=clean,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **({} if input is not None else {"stdin": subprocess.DEVNULL}),
        )

    def boot(self):
        """And joins its network."""
        log = open(self.root.parent / "boot.log", "wb")
        self.manager = subprocess.Popen(
            ["systemd-nspawn", "--directory", str(self.root), "--register=no", "--keep-unit", "--private-network",
             "--boot", "--quiet"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )
        atexit.register(self.halt)

        def found():
            for task in pathlib.Path(f"/proc/{self.manager.pid}/task").iterdir():
                for child in (task / "children").read_text().split():
                    name = pathlib.Path(f"/proc/{child}/comm").read_text().strip()
                    if name == "systemd":
                        return int(child)
            return None

        trial.until(lambda: found() or self.manager.poll() is not None, "systemd", 60)
        self.init = found()
        if not self.init:
            raise SystemExit(f"systemd did not start:\n{(self.root.parent / 'boot.log').read_text()}")
        states = ("running", "degraded")
        trial.until(lambda: self.run("systemctl", "is-system-running", check=False).strip() in states, "the boot", 120, 0.5)
        with open(f"/proc/{self.init}/ns/net") as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET):
                raise SystemExit(f"setns: {os.strerror(ctypes.get_errno())}")

    def halt(self):
        if self.manager and self.manager.poll() is None:
            self.manager.terminate()
            try:
                self.manager.wait(60)
            except subprocess.TimeoutExpired:
                self.manager.kill()
        self.init = None

    def owner(self, path):
        """Mode, user and group: `640 root:exorelay`."""
        return self.run("stat", "--format=%a %U:%G", path).strip()

    def files(self):
        """Every path on its disk but the volatile ones."""
        found = set()
        for folder, folders, names in os.walk(self.root):
            here = "/" + os.path.relpath(folder, self.root).removeprefix(".").lstrip("/")
            if here.startswith(VOLATILE):
                folders.clear()
                continue
            found.update(os.path.join(here, name) for name in folders + names)
        return {path for path in found if not path.startswith(VOLATILE)}

    def property(self, unit, name):
        return self.run("systemctl", "show", "--property", name, "--value", unit).strip()

    def journal(self, unit):
        self.run("journalctl", "--sync", check=False)
        return self.run("journalctl", "--unit", unit, "--output=cat", "--no-pager")

    def until_active(self, unit, wanted="active", seconds=30):
        deadline = time.monotonic() + seconds
        while (state := self.property(unit, "ActiveState")) != wanted:
            if time.monotonic() > deadline:
                raise SystemExit(f"{unit} is {state}, not {wanted}:\n{self.journal(unit)}")
            time.sleep(0.2)
