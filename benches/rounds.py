"""Rounds: the same load for one server after the other, and what each made of it."""

import os

from exorelay import Exorelay
from process import Failed

MODES = {"one message a connection": False, "connections reused": True}
LATENCY_RATE = 500


def verify(target):
    queued = target.queued()
    if queued != target.acknowledged:
        raise Failed(
            f"{target.name} acknowledged {target.acknowledged} messages, its queue holds {queued}"
        )


def one(target, load, messages, reuse):
    """Messages a second, and microseconds of the server's processors for each of them."""
    # What one server left for the disk to write is not for the next one to pay.
    os.sync()
    before = target.settled_cpu()
    rate = load.send(target, messages, reuse)
    cpu = 1e6 * (target.settled_cpu() - before) / messages
    verify(target)
    return rate, cpu


def accept(targets, load, rounds, seconds, say):
    """How many messages a second are taken in."""
    results = []
    for mode, reuse in MODES.items():
        counts = {}
        for target in targets:
            # A short round, and a second long one that knows how many messages that takes.
            rate = load.send(target, 500, reuse)
            rate = load.send(target, max(500, int(rate)), reuse)
            counts[target.key] = max(500, int(rate * seconds))
        figures = {target.key: {"rate": [], "cpu": []} for target in targets}
        before = commits(targets)
        for number in range(rounds):
            for target in targets:
                rate, cpu = one(target, load, counts[target.key], reuse)
                figures[target.key]["rate"].append(rate)
                figures[target.key]["cpu"].append(cpu)
                say(f"{mode}, round {number + 1}: {target.name} {rate:.0f} msg/s, {cpu:.0f} us each")
        shared = {key: grown(before[key], after) for key, after in commits(targets).items()}
        results.append({"what": mode, "messages": counts, "figures": figures, "commits": shared})
    return results


def latency(targets, load, rounds, seconds, say):
    """How long a reply takes while messages come at a fixed rate."""
    results = {target.key: [] for target in targets}
    messages = max(200, int(LATENCY_RATE * seconds))
    for target in targets:
        load.send_at(target, 200, LATENCY_RATE)
    for number in range(rounds):
        for target in targets:
            os.sync()
            target.settled_cpu()
            figures = load.send_at(target, messages, LATENCY_RATE)
            verify(target)
            results[target.key].append(figures)
            reply, late = figures["accepted_ms"], figures["late_ms"]
            say(f"latency, round {number + 1}: {target.name} p50 {reply['p50']:.2f} ms, "
                f"p99 {reply['p99']:.2f} ms; the client was late by {late['p99']:.2f} ms (p99)")
    return results


def commits(targets):
    return {each.key: each.commits() for each in targets if isinstance(each, Exorelay)}


def grown(before, after):
    """The transactions between two looks."""
    pairs = zip(before["by_messages"], after["by_messages"], strict=True)
    return {
        "count": after["count"] - before["count"],
        "messages": after["messages"] - before["messages"],
        "microseconds": after["microseconds"] - before["microseconds"],
        "by_messages": [
            {"at_most": new["at_most"], "count": new["count"] - old["count"]} for old, new in pairs
        ],
    }
