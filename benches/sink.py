"""Postfix's smtp-sink: says yes to everything and stores nothing. What the machine and the client allow."""

from process import end, find, free_port, launch, settled_cpu_seconds, wait_for_greeting

BACKLOG = 1000


class Sink:
    """Nobody waits for a disk here."""

    def __init__(self, folder):
        self.name, self.key = "smtp-sink, storing nothing", "sink"
        self.log = folder / "sink.log"
        self.port = free_port()
        self.acknowledged = 0
        self.process = None

    def start(self, stack):
        # As root it wants to be told who it is.
        command = [find("smtp-sink"), "-u", "nobody", f"127.0.0.1:{self.port}", BACKLOG]
        stack.callback(self.stop)
        with self.log.open("wb") as log:
            self.process = launch(command, log)
        wait_for_greeting(self.name, self.port, self.process, self.log)

    def stop(self):
        if self.process is not None:
            end(self.process)

    def queued(self):
        """There is nothing to count."""
        return self.acknowledged

    def settled_cpu(self):
        return settled_cpu_seconds(self.process.pid)
