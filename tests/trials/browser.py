"""A headless Chromium over the DevTools protocol: as much of it as the trial of the status page needs.
Python 3 alone; nothing is installed but the browser."""

import atexit
import base64
import json
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import tempfile
import time
import urllib.parse

NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]


class WebSocket:
    """RFC 6455, the client's side: text messages, in fragments if they come so."""

    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        self.stream = socket.create_connection((parts.hostname, parts.port), timeout=60)
        key = base64.b64encode(os.urandom(16)).decode()
        self.stream.sendall(
            f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self.file = self.stream.makefile("rb")
        if b" 101 " not in self.file.readline():
            raise ConnectionError("the browser does not speak WebSocket")
        while self.file.readline().strip():
            pass

    def send(self, text):
        octets, mask = text.encode(), os.urandom(4)
        size = len(octets)
        head = b"\x81" + (
            bytes([0x80 | size]) if size < 126
            else b"\xfe" + struct.pack(">H", size) if size < 65536
            else b"\xff" + struct.pack(">Q", size)
        )
        masked = bytes(octet ^ mask[index % 4] for index, octet in enumerate(octets))
        self.stream.sendall(head + mask + masked)

    def receive(self):
        text = b""
        while True:
            first, second = self.exactly(2)
            size = second & 0x7F
            if size > 125:
                size = struct.unpack(">H", self.exactly(2))[0] if size == 126 else struct.unpack(">Q", self.exactly(8))[0]
            octets = self.exactly(size)
            if first & 0x0F == 8:
                raise ConnectionError("the browser has closed")
            if first & 0x0F in (0, 1):
                text += octets
                if first & 0x80:
                    return text.decode()

    def exactly(self, size):
        octets = self.file.read(size)
        if len(octets) != size:
            raise ConnectionError("the browser is gone")
        return octets


class Failed(Exception):
    """The browser refused a command, or a script threw."""


class Browser:
    """One tab, and all that it complained about."""

    def __init__(self, program=None):
        found = program or next(filter(None, map(shutil.which, NAMES)), None)
        if not found:
            raise SystemExit("no Chromium is found: name it with --browser")
        self.profile = tempfile.mkdtemp(prefix="exorelay-browser-")
        self.process = subprocess.Popen(
            [found, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
             "--disable-background-networking", "--remote-debugging-port=0", f"--user-data-dir={self.profile}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        atexit.register(self.close)
        self.socket = WebSocket(self.address())
        self.number, self.session = 0, None
        self.complaints, self.requests = [], []
        target = next(one for one in self.call("Target.getTargets")["targetInfos"] if one["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def address(self):
        """The browser writes its port, chosen by the system, into its profile."""
        path, end = pathlib.Path(self.profile, "DevToolsActivePort"), time.monotonic() + 60
        while time.monotonic() < end:
            lines = path.read_text().split() if path.exists() else []
            if len(lines) == 2:
                return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise SystemExit("the browser did not start")

    def call(self, method, **parameters):
        self.number += 1
        number = self.number
        message = {"id": number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.socket.send(json.dumps(message))
        while True:
            answer = json.loads(self.socket.receive())
            if answer.get("id") == number:
                if "error" in answer:
                    raise Failed(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.note(answer.get("method"), answer.get("params", {}))

    def note(self, method, event):
        if method == "Runtime.exceptionThrown":
            detail = event["exceptionDetails"]
            self.complaints.append(detail.get("exception", {}).get("description") or detail["text"])
        elif method == "Runtime.consoleAPICalled" and event["type"] in ("error", "warning", "assert"):
            self.complaints.append(" ".join(str(one.get("value", one.get("description"))) for one in event["args"]))
        elif method == "Log.entryAdded" and event["entry"]["level"] in ("error", "warning"):
            # Violations of the Content-Security-Policy come here, too.
            self.complaints.append(f"{event['entry']['source']}: {event['entry']['text']} {event['entry'].get('url', '')}")
        elif method == "Network.requestWillBeSent":
            self.requests.append(event["request"]["url"])
        elif method == "Page.javascriptDialogOpening":
            self.complaints.append(f"a dialog: {event['message']}")
            self.socket.send(json.dumps({"id": 0, "method": "Page.handleJavaScriptDialog", "params": {"accept": False}, "sessionId": self.session}))

    def open(self, url):
        self.call("Page.navigate", url=url)

    def run(self, script):
        """The value of an expression, or of a promise."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            detail = answer["exceptionDetails"]
            raise Failed(f"{script}: {detail.get('exception', {}).get('description', detail['text'])}")
        return answer["result"].get("value")

    def until(self, script, what, seconds=30):
        """Waits for a script to become true."""
        end = time.monotonic() + seconds
        while not self.run(script):
            if time.monotonic() > end:
                raise Failed(f"waited {seconds} s in vain for {what}: {script}")
            time.sleep(0.05)

    def press(self, key, code=0):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def click(self, selector):
        """With the mouse, where the middle of the element is."""
        place = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: 'center'}});"
            " const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    def window(self, width, height, mobile=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2 if mobile else 1, mobile=mobile)

    def scheme(self, name):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def picture(self, path):
        """The whole page, however long."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 6000), "scale": 1}
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)["data"]
        pathlib.Path(path).write_bytes(base64.b64decode(data))

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.profile, ignore_errors=True)
