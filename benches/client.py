#!/usr/bin/env python3
"""An SMTP client in one thread that measures replies: by the clock, or as fast as the server is.

    benches/client.py --port 2525 --messages 5000 --rate 500

By the clock, sessions of one message each are begun at fixed moments, whether or not earlier ones have
been answered: a server that falls behind gets no mercy. The figures come as one JSON object.
"""

import argparse
import errno
import gc
import json
import select
import socket
import sys
import time

MESSAGE_BYTES = 4096
SENDER, RECIPIENT = "scanner@bench.invalid", "somebody@bench.invalid"
CONTENT = b"Subject: bench\r\n\r\n" + (b"X" * 78 + b"\r\n") * (MESSAGE_BYTES // 80) + b".\r\n"
PATIENCE = 60

clock = time.perf_counter


class Refused(Exception):
    """Another reply than the expected one."""


class Figures:
    """Seconds, each a list with one entry for each message or session."""

    def __init__(self):
        self.accepted, self.sessions, self.late = [], [], []


def dialogue(figures, is_wanted=lambda: True, reuse=False):
    """Yields what to send and the code that must come back; message after message, or one."""
    started = clock()
    yield b"", b"220"
    yield b"EHLO bench.invalid\r\n", b"250"
    while is_wanted():
        yield f"MAIL FROM:<{SENDER}>\r\n".encode(), b"250"
        yield f"RCPT TO:<{RECIPIENT}>\r\n".encode(), b"250"
        yield b"DATA\r\n", b"354"
        # All of it goes into the socket at once: from here on it is the server's time.
        sent = clock()
        yield CONTENT, b"250"
        figures.accepted.append(clock() - sent)
        if not reuse:
            break
    yield b"QUIT\r\n", b"221"
    figures.sessions.append(clock() - started)


class Session:
    """One connection."""

    def __init__(self, port, steps):
        self.steps, self.received = steps, b""
        # Before the connection is made: making it is part of the session.
        self.octets, self.code = next(steps)
        self.stream = socket.socket()
        self.stream.setblocking(False)
        self.stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        error = self.stream.connect_ex(("127.0.0.1", port))
        if error not in (0, errno.EINPROGRESS):
            raise OSError(error, f"port {port}")

    def go_on(self):
        """Reads; at a whole reply says the next thing. False: the session has ended."""
        self.received += self.stream.recv(65536) or b"(nothing: the connection was closed)\n"
        if not self.received.endswith(b"\n"):
            return True
        last = self.received.rstrip(b"\r\n").rpartition(b"\n")[2]
        if last[3:4] == b"-":
            return True
        if not last.startswith(self.code):
            raise Refused(f"after {self.octets[:40]!r} came {last!r}")
        self.received = b""
        step = next(self.steps, None)
        if step is None:
            self.stream.close()
            return False
        self.octets, self.code = step
        if self.stream.send(self.octets) != len(self.octets):
            raise Refused(f"{len(self.octets)} octets do not fit into the socket")
        return True


class Crowd:
    """All sessions that are open."""

    def __init__(self, port):
        self.port, self.sessions, self.ready = port, {}, select.epoll()

    def __len__(self):
        return len(self.sessions)

    def begin(self, steps):
        session = Session(self.port, steps)
        self.sessions[session.stream.fileno()] = session
        self.ready.register(session.stream, select.EPOLLIN)

    def serve(self, seconds):
        """Waits so long for something to read, and reads. epoll alone would wait whole milliseconds."""
        if not select.select([self.ready], [], [], seconds)[0]:
            return False
        for number, _ in self.ready.poll(0):
            if not self.sessions[number].go_on():
                del self.sessions[number]
        return True

    def wait_until_below(self, count):
        while len(self) >= count:
            if not self.serve(PATIENCE):
                raise Refused(f"{len(self)} sessions had no reply for {PATIENCE} s")


def at_a_rate(port, messages, rate):
    figures, crowd, began = Figures(), Crowd(port), clock()
    for number in range(messages):
        due = began + number / rate
        while (ahead := due - clock()) > 0:
            crowd.serve(ahead)
        figures.late.append(clock() - due)
        crowd.begin(dialogue(figures))
    crowd.wait_until_below(1)
    return figures


def flat_out(port, messages, sessions, reuse):
    figures, crowd, numbers = Figures(), Crowd(port), iter(range(messages))

    def is_wanted():
        return next(numbers, None) is not None

    for _ in range(min(sessions, messages) if reuse else messages):
        crowd.wait_until_below(sessions)
        crowd.begin(dialogue(figures, is_wanted, reuse))
    crowd.wait_until_below(1)
    return figures


def percentiles(seconds):
    """In milliseconds; the one that so many per cent are not above."""
    if not seconds:
        return None
    ordered = sorted(seconds)

    def at(share):
        return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * share))]

    return {"p50": at(0.5), "p99": at(0.99), "max": at(1)}


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True, help="on 127.0.0.1")
    parser.add_argument("--messages", type=int, required=True)
    parser.add_argument("--rate", type=float, help="begun a second; default: as fast as it goes")
    parser.add_argument("--sessions", type=int, default=20, help="at a time, without --rate")
    parser.add_argument("--reuse", action="store_true", help="sessions go on, without --rate")
    return parser.parse_args()


def main():
    asked = options()
    # There is no garbage in circles here, and looking for some would be the server's delay.
    gc.disable()
    started = clock()
    try:
        if asked.rate:
            figures = at_a_rate(asked.port, asked.messages, asked.rate)
        else:
            figures = flat_out(asked.port, asked.messages, asked.sessions, asked.reuse)
    except (OSError, Refused) as error:
        sys.exit(f"benches/client.py: {error}")
    json.dump({
        "messages": len(figures.accepted),
        "seconds": clock() - started,
        "accepted_ms": percentiles(figures.accepted),
        "session_ms": percentiles(figures.sessions),
        "late_ms": percentiles(figures.late),
    }, sys.stdout)


if __name__ == "__main__":
    main()
