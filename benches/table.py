"""The figures as one table in Markdown, and its place in a document."""

import re
import statistics
import textwrap

from client import MESSAGE_BYTES
from load import SESSIONS
from process import Failed
from rounds import LATENCY_RATE

BEGIN, END = "<!-- figures: written by benches/accept --write -->", "<!-- end of figures -->"
# What everything is compared with, and the column of what is measured of exorelay alone.
BASE, OWN = "postfix", "exorelay_info"


def spread(values, digits=0):
    middle, low, high = statistics.median(values), min(values), max(values)
    if len(values) == 1:
        return f"{middle:,.{digits}f}"
    return f"{middle:,.{digits}f} ({low:,.{digits}f}-{high:,.{digits}f})"


def ratio(ours, theirs):
    """Of rounds that ran one after the other, so that a slow minute of the machine hits both."""
    return statistics.median(our / their for our, their in zip(ours, theirs, strict=True))


def accept_rows(results):
    for result in results:
        figures, what = result["figures"], result["what"]
        rates, cpus = {}, {}
        for key, each in figures.items():
            rates[key], cpus[key] = spread(each["rate"]), spread(each["cpu"])
            if BASE in figures and not key.startswith(BASE):
                rates[key] += f", {ratio(each['rate'], figures[BASE]['rate']):.1f}x"
        yield f"{what}, msg/s", rates
        yield f"{what}, CPU for each, µs", cpus
        yield f"{what}, messages in a transaction", {
            key: sizes(each) for key, each in result["commits"].items()
        }


def sizes(commits):
    """How many messages shared a transaction, of those that took any in."""
    buckets = [each for each in commits["by_messages"] if each["at_most"] != 0]
    total = sum(each["count"] for each in buckets)
    if not total:
        return "none"
    shares, above = [], 1
    for bucket in buckets:
        most, share = bucket["at_most"], 100 * bucket["count"] / total
        name = f"{above} and more" if most is None else f"{above}-{most}" if most > above else f"{most}"
        if share >= 0.5:
            shares.append(f"{name}: {share:.0f} %")
        above = (most or 0) + 1
    mean = commits["messages"] / total
    each = commits["microseconds"] / commits["count"] / 1000
    return f"{mean:.1f} ({', '.join(shares)}), {each:.2f} ms each"


def latency_rows(results):
    for name, what in (
        ("accepted_ms", f"from the content to its 250 at {LATENCY_RATE} msg/s"),
        ("session_ms", "the whole session, connecting included"),
        ("late_ms", "the client itself behind its clock"),
    ):
        for part in ("p50", "p99", "max"):
            if (name, part) not in (("late_ms", "p50"), ("late_ms", "max")):
                yield f"{what}, {part}, ms", {
                    key: spread([each[name][part] for each in rounds], 2)
                    for key, rounds in results.items()
                }


def depth_rows(result):
    shallow = result["depths"][0]
    parts = [(f"taken in, {mode}", mode) for mode in shallow["accept"]] + [("delivered", None)]
    for what, mode in parts:
        pick = (lambda depth: depth["accept"][mode]) if mode else (lambda depth: depth["delivery"])
        for depth in result["depths"]:
            cell = spread(pick(depth)["rate"])
            if depth is not shallow:
                share = ratio(pick(depth)["rate"], pick(shallow)["rate"])
                cell += f", {share:.2f} of that with {shallow['messages']}"
            cell += f"; {spread(pick(depth)['cpu'])} µs"
            yield f"with {depth['messages']:,} queued, {what}, msg/s; CPU for each", {OWN: cell}
    full = result["standing"]
    queued = f"{full['messages']:,} queued"
    yield f"start with {queued} until READY, s", {OWN: spread(full["ready_s"], 3)}
    yield "the same with nothing of it in the page cache, s", {OWN: spread(full["ready_cold_s"], 3)}
    yield "resident memory, idle, MiB", {OWN: spread(result["idle_mib"], 1)}
    yield f"resident memory with {queued}, MiB", {OWN: spread(full["mib"], 1)}
    yield f"`queue list --json` with {queued}, s", {OWN: spread(full["list_s"], 2)}


def rounds_said(count):
    if count == 1:
        return "One round: a trial run, not figures to rely on."
    return f"Median of {count} rounds, and in brackets the lowest and the highest."


def render(report):
    rows = [
        *accept_rows(report.get("accept", [])),
        *(latency_rows(report["latency"]) if "latency" in report else []),
        *(depth_rows(report["depth"]) if "depth" in report else []),
    ]
    machine = report["machine"]
    columns = {
        key: name for key, name in report["columns"].items() if any(key in cells for _, cells in rows)
    }
    head = (
        f"{machine['date']}, {' and '.join(report['versions'])}, measured with `{report['command']}`: "
        f"{SESSIONS} connections at a time, messages of {MESSAGE_BYTES // 1024} KiB, sent by "
        f"{report['client']}. {rounds_said(report['rounds'])}"
    )
    foot = (
        f"{machine['cores']} cores ({machine['cpu']}), {machine['kernel']}, {machine['filesystem']}, "
        f"{machine['sync_ms']:.2f} ms for a sync of 4 KiB; load {machine['load']:.1f} before, "
        f"{machine['stolen']:.1f} % of the CPU time taken by other machines meanwhile."
        + (" Factors are to the first column." if BASE in columns else "")
    )
    lines = ["| | " + " | ".join(columns.values()) + " |", "|---" * (len(columns) + 1) + "|"]
    for what, cells in rows:
        lines.append(f"| {what} | " + " | ".join(cells.get(key, "") for key in columns) + " |")
    return "\n".join([textwrap.fill(head, 110), "", *lines, "", textwrap.fill(foot, 110)]) + "\n"


def write(path, text):
    """In place of what stands between the two markers."""
    document = path.read_text()
    between = re.compile(re.escape(BEGIN) + r"\n.*?" + re.escape(END), re.DOTALL)
    found = between.findall(document)
    if len(found) != 1:
        raise Failed(f"{path} has {len(found)} places between {BEGIN} and {END}, and needs one")
    path.write_text(between.sub(lambda _: f"{BEGIN}\n{text}{END}", document))
