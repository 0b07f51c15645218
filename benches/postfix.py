"""Postfix, for the columns beside exorelay's."""

import os
import pwd
import subprocess

from process import Failed, end, find, free_port, launch, settled_cpu_seconds
from process import wait_for_greeting

# Takes mail, schedules it and cannot deliver it; processes serve as many clients as Debian has it.
SCHEDULES = "defer_transports = smtp"
# Nothing but taking in: no queue manager's work, and processes that live on.
HOLDS = "smtpd_client_restrictions = check_client_access static:HOLD\nmax_use = 10000"


def why_not():
    """Why it cannot be measured, with the remedy; None when it can."""
    for name in ("postfix", "postconf", "smtp-sink"):
        if not find(name):
            return f"{name} not found: install the Debian package postfix"
    if os.geteuid() != 0:
        return "its master must be started as root: sudo benches/accept"
    return None


class Postfix:
    """A private instance."""

    def __init__(self, folder, name, key, more):
        self.name, self.key, self.more = name, key, more
        self.folder = folder / key
        self.port = free_port()
        self.acknowledged = 0
        self.process = None

    def start(self, stack):
        owner = pwd.getpwnam("postfix")
        self.config, self.queue = self.folder / "etc", self.folder / "spool"
        data, log = self.folder / "data", self.folder / "maillog"
        for folder in (self.folder, self.config, self.queue, data):
            folder.mkdir(mode=0o755)
        os.chown(data, owner.pw_uid, owner.pw_gid)
        # Everything that concerns durability stays as Postfix has it; what is switched off is work
        # that a relay for loopback clients does not need, to Postfix's advantage.
        (self.config / "main.cf").write_text(f"""compatibility_level = 3.6
queue_directory = {self.queue}
data_directory = {data}
maillog_file = {log}
maillog_file_prefixes = {self.folder}
myhostname = relay.bench.invalid
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
local_recipient_maps =
relayhost = [127.0.0.1]:9
default_process_limit = 100
in_flow_delay = 0
disable_dns_lookups = yes
smtpd_peername_lookup = no
smtpd_client_connection_rate_limit = 0
smtpd_client_connection_count_limit = 0
smtpd_relay_restrictions = permit_mynetworks, reject
{self.more}
""")
        (self.config / "master.cf").write_text(f"""127.0.0.1:{self.port} inet n - n - 60 smtpd
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
retry     unix  - - n - - error
smtp      unix  - - n - - smtp
postlog   unix-dgram n - n - 1 postlogd
""")
        self.reachable(owner)
        stack.callback(self.stop)
        with (self.folder / "console").open("wb") as console:
            self.process = launch([find("postfix"), "-c", self.config, "start-fg"], console)
        wait_for_greeting(self.name, self.port, self.process, log)

    def reachable(self, owner):
        for folder in self.folder.parents:
            if not os.stat(folder).st_mode & 0o001:
                raise Failed(f"{owner.pw_name} cannot enter {folder}: name another --work folder")

    def stop(self):
        if self.process is not None:
            stop = [find("postfix"), "-c", self.config, "stop"]
            subprocess.run([str(word) for word in stop], capture_output=True, check=False)
            end(self.process)

    def queued(self):
        # By name: the queue manager moves them from folder to folder, in this order.
        return len({
            file
            for name in ("incoming", "active", "deferred", "hold")
            for _, _, files in os.walk(self.queue / name)
            for file in files
        })

    def settled_cpu(self):
        return settled_cpu_seconds(self.process.pid)
