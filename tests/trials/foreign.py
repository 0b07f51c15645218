#!/usr/bin/env python3
"""A neighbour in the network tries every port: what listens on loopback is not there for it, and a listener that is
there lets in whom `allow` names and nobody else. Wants root, for a network namespace of the neighbour's own."""

import json
import subprocess
import sys

import trial

NAMESPACE = "exorelay-foreign"
HERE, FRIEND, STRANGER = "10.99.43.1", "10.99.43.2", "10.99.43.3"

# What the neighbour runs: it tells which ports took a connection, and what was said there.
SCAN = """
import json, selectors, socket, sys
here, source, ports = sys.argv[1], sys.argv[2], range(1, 65536)
heard = {}
pending = iter(ports)
waiting = selectors.DefaultSelector()
def begin(port):
    stream = socket.socket()
    stream.setblocking(False)
    stream.bind((source, 0))
    stream.connect_ex((here, port))
    waiting.register(stream, selectors.EVENT_WRITE, port)
for _ in range(200):
    begin(next(pending))
while waiting.get_map():
    for key, _ in waiting.select():
        waiting.unregister(key.fileobj)
        if key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
            heard[key.data] = ""
        key.fileobj.close()
        port = next(pending, None)
        if port is not None:
            begin(port)
for port in heard:
    stream = socket.create_connection((here, port), timeout=30, source_address=(source, 0))
    try:
        stream.sendall(b"EHLO stranger\\r\\nMAIL FROM:<a@contoso.com>\\r\\nRCPT TO:<b@contoso.com>\\r\\nDATA\\r\\n"
                       b"Subject: foreign\\r\\n\\r\\nx\\r\\n.\\r\\nQUIT\\r\\n")
        while more := stream.recv(4096):
            heard[port] += more.decode()
    except ConnectionError:
        pass
print(json.dumps(heard))
"""


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def neighbourhood():
    subprocess.run(["ip", "netns", "del", NAMESPACE], stderr=subprocess.DEVNULL)
    ip("netns", "add", NAMESPACE)
    ip("link", "add", "exorelay0", "type", "veth", "peer", "name", "exorelay1", "netns", NAMESPACE)
    ip("address", "add", f"{HERE}/24", "dev", "exorelay0")
    ip("link", "set", "exorelay0", "up")
    for address in FRIEND, STRANGER:
        ip("-n", NAMESPACE, "address", "add", f"{address}/24", "dev", "exorelay1")
    ip("-n", NAMESPACE, "link", "set", "exorelay1", "up")


def scan(source):
    command = ["ip", "netns", "exec", NAMESPACE, sys.executable, "-c", SCAN, HERE, source]
    heard = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=300).stdout
    return {int(port): said for port, said in json.loads(heard).items()}


def main():
    args = trial.arguments(__doc__)
    before = None
    neighbourhood()
    try:
        # Whatever else this machine offers is not the daemon's.
        before = scan(STRANGER)
        scene = trial.Scene(
            args, settings=f'[listener.lan]\naddress = "{HERE}:0"\nallow = ["{FRIEND}"]\n'
        )
        daemon = scene.start()
        # A look at each port, and a whole message to each that answers.
        stranger, friend = scan(STRANGER), scan(FRIEND)
        for port in before:
            stranger.pop(port, None)
            friend.pop(port, None)
        if len(stranger) != 1 or len(friend) != 1:
            scene.problems.append(f"open to the stranger: {stranger}; to the friend: {friend}")
        for said in stranger.values():
            if not said.startswith("554 5.7.1 ") or said.count("\n") != 1:
                scene.problems.append(f"the stranger heard {said!r}")
        for said in friend.values():
            if "queued as" not in said:
                scene.problems.append(f"the friend heard {said!r}")
        trial.until(lambda: scene.sandbox.ask("stats")["messages"] >= 1, "the friend's message", 30)
        accepted = scene.sandbox.ask("stats")["messages"]
        if accepted != 1:
            scene.problems.append(f"{accepted} messages arrived")
        if code := daemon.terminate():
            scene.problems.append(f"the daemon ended with {code}")
        for problem in scene.problems:
            print(problem)
        print(f"ports=65535 open={len(stranger)} heard={list(stranger.values())} problems={len(scene.problems)}")
        sys.exit(bool(scene.problems))
    finally:
        subprocess.run(["ip", "netns", "del", NAMESPACE])


if __name__ == "__main__":
    main()
