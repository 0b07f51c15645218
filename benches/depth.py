"""What a full queue changes: starting, listing, memory, taking in and sending."""

import statistics
import time

from exorelay import Exorelay, sending
from process import Failed, resident_mib
from rounds import MODES, one, verify

# After READY the daemon still asks for tokens, looks at the queue and starts its threads.
SETTLED = 1.0
LOOK = 0.05
PATIENCE = 600


class Depth:
    """A daemon, and as many messages as its queue is to hold when a round begins."""

    def __init__(self, folder, binary, account, messages):
        self.messages = messages
        self.daemon = Exorelay(folder, binary, f"depth_{messages}", account)
        self.daemon.name = f"exorelay with {messages} queued"
        self.accept = {mode: {"rate": [], "cpu": []} for mode in MODES}
        self.delivery = {"rate": [], "cpu": []}

    def fill(self, load, stack):
        """From nothing; returns the resident memory before."""
        self.daemon.start(stack)
        time.sleep(SETTLED)
        idle = resident_mib(self.daemon.process.pid)
        self.top_up(load)
        return idle

    def top_up(self, load):
        if self.messages > self.daemon.acknowledged:
            load.send(self.daemon, self.messages - self.daemon.acknowledged, reuse=True)
        verify(self.daemon)

    def restart(self, account=None):
        self.daemon.stop()
        return self.daemon.begin(account or self.daemon.account)

    def take_in(self, load, messages):
        """`messages` more in each mode."""
        for mode, reuse in MODES.items():
            rate, cpu = one(self.daemon, load, messages, reuse)
            self.accept[mode]["rate"].append(rate)
            self.accept[mode]["cpu"].append(cpu)

    def deliver(self, sandbox, messages):
        """Sends `messages` of the queue, and no more than those that are under way at the end."""
        before = sandbox.ask("stats")["messages"]
        self.restart(sending(sandbox))
        # From the first on: connections and tokens have been had.
        first = self.sent(sandbox, before, 1)
        last = self.sent(sandbox, before, messages)
        self.daemon.stop()
        if last[0] == first[0]:
            raise Failed(f"{messages} messages are too few to measure how fast they are sent")
        sent, seconds, cpu = (end - start for end, start in zip(last, first, strict=True))
        self.delivery["rate"].append(sent / seconds)
        self.delivery["cpu"].append(1e6 * cpu / sent)
        stats = sandbox.ask("stats")
        if stats["messages_refused"] or stats["violations"]:
            raise Failed(f"the sandbox objected: {stats}")
        self.daemon.acknowledged -= stats["messages"] - before
        verify(self.daemon)

    def sent(self, sandbox, before, wanted):
        """Once so many have been sent: how many, when, and the daemon's CPU time."""
        until = time.monotonic() + PATIENCE
        while (sent := sandbox.ask("stats")["messages"] - before) < wanted:
            if time.monotonic() > until:
                raise Failed(f"{self.daemon.name}: {sent} of {wanted} were sent in {PATIENCE} s")
            time.sleep(LOOK)
        return sent, time.monotonic(), self.daemon.cpu()


def stand(depth, rounds, say):
    """Starts and listings of a queue that nobody uses."""
    daemon, figures = depth.daemon, {"ready_s": [], "ready_cold_s": [], "mib": [], "list_s": []}
    for _ in range(rounds):
        daemon.stop()
        daemon.evict()
        figures["ready_cold_s"].append(daemon.begin(daemon.account))
        figures["ready_s"].append(depth.restart())
        time.sleep(SETTLED)
        figures["mib"].append(resident_mib(daemon.process.pid))
        listed, took = daemon.ask("queue", "list")
        if len(listed) != daemon.acknowledged:
            raise Failed(f"{len(listed)} messages are listed, {daemon.acknowledged} are queued")
        figures["list_s"].append(took)
    ready, cold = (statistics.median(figures[key]) for key in ("ready_s", "ready_cold_s"))
    say(f"{daemon.name}: ready after {ready:.3f} s, {cold:.3f} s from the disk")
    return {"messages": daemon.acknowledged, **figures}


def measure(depths, load, sandbox, rounds, messages, stack, say):
    """All of it, from the shallowest to the deepest; only one daemon runs at a time."""
    idle = []
    for depth in depths:
        idle.append(depth.fill(load, stack))
        depth.daemon.stop()
        say(f"{depth.daemon.name}: filled")
    standing = stand(depths[-1], rounds, say)
    depths[-1].daemon.stop()
    for number in range(rounds):
        for depth in depths:
            depth.daemon.begin(depth.daemon.account)
            depth.top_up(load)
            # A daemon that has just been started is not what is measured.
            load.send(depth.daemon, 200, reuse=False)
            depth.take_in(load, messages)
            depth.deliver(sandbox, depth.daemon.acknowledged - depth.messages)
            said = [f"{figures['rate'][-1]:.0f}" for figures in (*depth.accept.values(), depth.delivery)]
            say(f"{depth.daemon.name}, round {number + 1}: in {said[0]} and {said[1]}, out {said[2]} msg/s")
    return {
        "idle_mib": idle,
        "standing": standing,
        "added": messages,
        "depths": [
            {"messages": each.messages, "accept": each.accept, "delivery": each.delivery}
            for each in depths
        ],
    }
