#!/usr/bin/env python3
"""The status page in a real browser: what it shows of a daemon that is idle, busy, blocked, silent and back, on a
large screen, a phone and in the dark. Two minutes, and mostly waiting for a limit or a time-out."""

import json
import pathlib
import re
import signal
import smtplib
import time

import trial
from browser import Browser, Failed

NARROW, WIDE = 360, 1280

WATCHED = """
[client.lobby]
network = "127.0.0.1"
silent_after = "3d"
"""

# What a browser says of a daemon that is not there.
GONE = ("ERR_CONNECTION", "ERR_EMPTY_RESPONSE")

# WCAG 2.1, 1.4.3: each piece of text against what is behind it.
CONTRAST = """
(() => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, index) => sum + c * [0.2126, 0.7152, 0.0722][index], 0);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgba(getComputedStyle(at).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return rgba(getComputedStyle(document.documentElement).colorScheme === "dark" ? "#000" : "#fff");
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const poor = new Set();
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element.checkVisibility() || element.closest("script, noscript")) continue;
    const style = getComputedStyle(element);
    const ink = light(rgba(element.closest("svg") ? style.fill : style.color));
    const paper = light(behind(element));
    const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    const isLarge = parseFloat(style.fontSize) >= 24;
    if (ratio < (isLarge ? 3 : 4.5)) {
      poor.add(`${ratio.toFixed(2)} ${element.tagName} ${element.className}: ${texts.currentNode.data.trim()}`);
    }
  }
  return [...poor];
})()
"""

# Roles that say nothing without a name.
NAMED = {"button", "link", "searchbox", "combobox", "slider", "meter", "table", "radio", "region"}


class Visit:
    """The page, with what was checked and what was wrong."""

    def __init__(self, browser, pictures):
        self.browser, self.pictures = browser, pictures and pathlib.Path(pictures)
        self.checks, self.problems = 0, []
        if self.pictures:
            self.pictures.mkdir(parents=True, exist_ok=True)

    def check(self, is_so, what):
        self.checks += 1
        if not is_so:
            self.problems.append(what)
            print(f"  PROBLEM {what}", flush=True)

    def becomes(self, script, what, seconds=30):
        self.checks += 1
        try:
            self.browser.until(script, what, seconds)
        except Failed as failed:
            self.problems.append(what)
            print(f"  PROBLEM {failed}; the page says: {self.text('#band')}", flush=True)

    def text(self, selector):
        return self.browser.run(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def says(self, selector, text, seconds=30):
        """Waits for a text; spaces of all kinds are the same."""
        found = f"(document.querySelector({json.dumps(selector)})?.innerText ?? '').replace(/\\s+/g, ' ')"
        self.becomes(f"{found}.includes({json.dumps(text)})", f"{selector} says {text!r}", seconds)

    def attribute(self, selector, name):
        return self.browser.run(f"document.querySelector({json.dumps(selector)}).getAttribute('{name}')")

    def toggle(self, subject):
        """Opens or closes the details of the first message whose row has this text."""
        self.browser.run(
            f"[...document.querySelectorAll('tr.message')].find((row) => row.innerText.includes({json.dumps(subject)}))"
            ".querySelector('.disclose').click()"
        )

    def count(self, selector):
        return self.browser.run(f"document.querySelectorAll({json.dumps(selector)}).length")

    def no_complaints(self, when, but=()):
        found, self.browser.complaints = self.browser.complaints, []
        found = [one for one in found if not any(word in one for word in but)]
        self.check(not found, f"the browser complains {when}: {found[:3]}")

    def asked(self, path):
        return sum(re.sub(r"\?.*", "", url).endswith(path) for url in self.browser.requests)

    def harmless(self):
        made = self.count("#main :is(img, script, iframe), [onload], [onclick], [onerror]")
        self.check(made == 0, f"{made} elements came out of text")

    def picture(self, name):
        if self.pictures:
            self.browser.run("scrollTo(0, 0)")
            self.browser.picture(self.pictures / f"{name}.png")

    def fits(self, when):
        """Nothing reaches out of the window to the side."""
        over = self.browser.run("document.documentElement.scrollWidth - innerWidth")
        self.check(over <= 0, f"{when} it is {over} px too wide")

    def readable(self, when):
        poor = self.browser.run(CONTRAST)
        self.check(not poor, f"poor contrast {when}: {poor[:5]}")

    def named(self, when):
        nodes = self.browser.call("Accessibility.getFullAXTree")["nodes"]
        nodes = [node for node in nodes if not node["ignored"]]
        roles = [node["role"]["value"] for node in nodes]
        nameless = [node["role"]["value"] for node in nodes if not node.get("name", {}).get("value")]
        self.check(not NAMED & set(nameless), f"{when} without a name: {NAMED & set(nameless)}")
        for role in ("banner", "main", "search", "heading", "table", "columnheader", "rowheader", "row", "meter"):
            self.check(role in roles, f"{when} there is no {role}")


def send(port, sender, recipients, subject, name="scanner-3"):
    with smtplib.SMTP("127.0.0.1", port, local_hostname=name) as session:
        content = f"From: {sender}\r\nTo: {recipients[0]}\r\nSubject: {subject}\r\n\r\nText.\r\n"
        session.sendmail(sender, recipients, content)


def begin(scene, http):
    """A daemon whose page is at that address."""
    text = re.sub(r'(\[admin\]\n)(http = .*\n)?', rf'\1http = "{http}"\n', scene.config.read_text())
    scene.config.write_text(text)
    daemon = scene.start()
    log = daemon.log()
    # The ports in the order of the log: those of listeners, and that of the page.
    daemon.http = re.search(r"listening.*admin=\"?http\"?.*address=(\S+)|admin.http.*?(127\.0\.0\.1:\d+)", log)
    daemon.http = next(filter(None, daemon.http.groups()))
    daemon.port = int(re.search(r"listening .*listener=\"?local\"?.*address=[\d.]+:(\d+)", log).group(1))
    return daemon


def empty(visit):
    visit.says("#verdict", "Mail flows")
    visit.says("#summary", "Nothing waits.")
    visit.says("#search-result", "None has come in yet.")
    visit.check("None has connected yet" in visit.text("#main"), "no device is told of")
    visit.says("#accounts", "ready")
    visit.says("#accounts", "0 of 30")
    visit.says("#watched", "awaited lobby 127.0.0.1")
    visit.says("#watched", "no message yet, expected every 3 d")
    visit.says("#accounts", "token good for")
    visit.check(visit.count("svg.chart") == 3, "three charts")
    visit.becomes("document.querySelectorAll('svg.chart path.line').length === 3", "a first sample is drawn")
    visit.check("Incidents Accounts Queue Messages Devices Daemon" == " ".join(
        visit.browser.run("[...document.querySelectorAll('h2')].map((h) => h.innerText.trim())")), "six headings")
    visit.check(visit.browser.run("document.title").startswith("Mail flows"), "the title says it too")
    visit.readable("of an idle daemon")
    visit.named("of an idle daemon")
    visit.picture("empty")


def busy(visit, port):
    """More than a minute's mail: 30 leave, and the rest waits. The page is not loaded again."""
    visit.browser.run("window.marker = 1")
    subjects = ["Scan from the lobby", "Nightly report", "UPS on battery", "Invoice 2026-4711", "Door 4 left open"]
    people = ["alice", "bob", "accounts", "facility"]
    for number in range(44):
        recipients = [f"{name}@contoso.com" for name in people[: 1 + (number % 4) * (number % 3)]]
        sender = f"{['scan', 'erp', 'ups'][number % 3]}@contoso.com"
        send(port, sender, recipients, subjects[number % len(subjects)], ["scanner-3", "erp01", "ups"][number % 3])
    send(port, "scan@contoso.com", ["fault+user-unknown@fabrikam.com"], "To nobody")
    visit.says("#search-result", "The last 30.")
    visit.says("#summary", "wait, the oldest since")
    visit.says("#summary", "At the limit of messages a minute")
    visit.says("#accounts", "30 of 30")
    visit.says("#messages", "delivered")
    visit.says("#devices", "scanner-3")
    visit.says("#watched", "last message just now")
    visit.check(visit.count("#messages tr.message") == 30, "thirty messages at first")
    visit.browser.click("#messages-more")
    visit.becomes("document.querySelectorAll('#messages tr.message').length === 45", "all of them on request")
    visit.check(visit.browser.run("window.marker") == 1, "the page was loaded again")


def search(visit):
    field = "document.getElementById('search')"
    rows = "document.querySelectorAll('#messages tr.message').length"

    def look_for(text, expected):
        visit.browser.run(f"{field}.focus(); {field}.select()")
        if text:
            visit.browser.type(text)
        else:
            visit.browser.press("Delete", 46)
        visit.becomes(f"{rows} === {expected}", f"{expected} messages for {text!r}")

    look_for("invoice 2026", 9)
    look_for("TO NOBODY", 1)
    identity = visit.browser.run("document.querySelector('.disclose').getAttribute('aria-label').split(' ').pop()")
    look_for("nothing like it", 0)
    visit.says("#search-result", "No message matches.")
    look_for(identity, 1)
    look_for("<img", 0)
    look_for("", 30)
    state = "document.getElementById('search-state')"
    visit.browser.run(f"{state}.value = 'held'; {state}.dispatchEvent(new Event('change'))")
    visit.becomes(f"{rows} === 0", "no message is held")
    visit.browser.run(f"{state}.value = ''; {state}.dispatchEvent(new Event('change'))")
    visit.becomes(f"{rows} === 30", "all are back")


def details(visit):
    delivered = "[...document.querySelectorAll('tr.message')].find((row) => row.innerText.includes('delivered'))"
    visit.becomes(f"Boolean({delivered})", "something is delivered")
    visit.browser.run(f"{delivered}.querySelector('.disclose').focus()")
    visit.browser.press("Enter", 13, "\r")
    visit.says("tr.message + tr.more", "Attempts")
    visit.says("tr.message + tr.more", "recipient")
    visit.says("tr.message + tr.more", "250 2.0.0 OK")
    visit.check(visit.attribute(":focus", "aria-expanded") == "true", "the button says that it is open")
    visit.browser.press("Enter", 13, "\r")
    visit.becomes("!document.querySelector('tr.message + tr.more')", "it is closed again")


def charts(visit):
    """The readout follows the keys and the mouse."""
    visit.becomes("document.querySelector('svg.chart').getAttribute('aria-valuemax') > 0", "two samples", 40)
    visit.browser.run("document.querySelector('svg.chart').focus()")
    visit.browser.press("Home", 36)
    said = visit.attribute("svg.chart", "aria-valuetext")
    visit.check(re.fullmatch(r"\d\d:\d\d: \d+ messages?", said), f"the readout of the first sample: {said}")
    visit.check(visit.attribute("svg.chart", "aria-valuenow") == "0", "the first sample")
    visit.browser.press("End", 35)
    last = visit.attribute("svg.chart", "aria-valuemax")
    visit.check(visit.attribute("svg.chart", "aria-valuenow") == last, "the last sample")
    visit.browser.press("Escape", 27)
    visit.check(visit.attribute("svg.chart", "aria-valuetext").startswith("now "), "what is now, without a cursor")
    visit.browser.run("document.activeElement.blur()")
    visit.browser.click("#range-day")
    asked = "performance.getEntriesByType('resource').some((one) => one.name.endsWith('span=day'))"
    visit.becomes(asked, "the day is asked for")
    visit.browser.click("#range input")


def hostile(visit, port):
    """Whatever a stranger writes is text."""
    name, subject = "<b/onclick=alert(4)>", "<img src=x onerror=alert(1)><script>alert(2)</script>"
    send(port, "evil@contoso.com", ["alice@contoso.com"], subject, name=name)
    send(port, "evil@contoso.com", ["alice@contoso.com"], "=?utf-8?q?=E2=80=AE=3Csvg/onload=3Dalert(3)=3E?=", name)
    send(port, "evil@contoso.com", ["alice@contoso.com"], "W" * 900, name)
    visit.says("#messages", subject)
    visit.says("#messages", "<svg/onload=alert(3)>")
    # The daemon has taken the sting out of this one itself.
    visit.says("#devices", "?b?onclick?alert?4??")
    for row in ("onerror", "onload", "WWWW"):
        visit.toggle(row)
    visit.says("tr.message + tr.more", "From client")
    visit.harmless()
    visit.browser.window(NARROW, 740, mobile=True)
    visit.fits("with hostile mail on a phone")
    visit.browser.window(WIDE, 900)
    visit.fits("with hostile mail")
    visit.browser.run("document.querySelectorAll('.disclose[aria-expanded=true]').forEach((one) => one.click())")


def strange_reply(visit, scene, port):
    """The service's words are a stranger's, too."""
    visit.says("#summary", "Nothing waits.", 90)
    words = "550 5.7.1 <img src=x onerror=alert(5)> is refused"
    scene.sandbox.ask("control/smtp", "POST", {"step": "mail", "reply": words, "count": 1})
    send(port, "scan@contoso.com", ["alice@contoso.com"], "Strangely refused")
    visit.says("#messages", "Strangely refused failed", 90)
    visit.toggle("failed")
    visit.says("tr.message + tr.more", words)
    visit.harmless()
    visit.toggle("failed")


def looks(visit, name):
    """On a phone and in the dark."""
    visit.browser.window(NARROW, 740, mobile=True)
    visit.fits(f"{name} on a phone")
    visit.readable(f"{name} on a phone")
    visit.named(f"{name} on a phone")
    visit.picture(f"{name}-phone")
    visit.browser.window(WIDE, 900)
    visit.fits(name)
    visit.picture(name)
    visit.browser.scheme("dark")
    visit.becomes("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every((c) => c < 60)", "dark paper")
    levels = "['unknown', 'ok', 'warn', 'bad', 'silent']"
    present = visit.browser.run("document.getElementById('band').dataset.level")
    for scheme in ("dark", "light"):
        visit.browser.scheme(scheme)
        for level in visit.browser.run(levels):
            visit.browser.run(f"document.getElementById('band').dataset.level = '{level}'")
            visit.readable(f"{name}, {scheme}, {level}")
        visit.browser.run(f"document.getElementById('band').dataset.level = '{present}'")
        if scheme == "dark":
            visit.picture(f"{name}-dark")


def blocked(visit, scene, daemon):
    """A secret that has expired: the sentence, the remedy and Microsoft's words; then it is mended."""
    daemon.terminate()
    scene.sandbox.ask("faults/token?aadsts=7000222", "POST")
    daemon = begin(scene, daemon.http)
    send(daemon.port, "scan@contoso.com", ["alice@contoso.com"], "While blocked")
    visit.says("#verdict", "No mail leaves: account default is blocked", 90)
    visit.check(visit.browser.run("document.getElementById('band').dataset.level") == "bad", "the band is red")
    visit.says("#incidents .why", "secret")
    visit.says("#incidents .remedy", "Certificates & secrets")
    visit.says("#accounts .words", "AADSTS7000222")
    visit.says("#accounts .remedy", "Certificates & secrets")
    link = visit.attribute("#incidents a", "href")
    visit.check(link == "https://login.microsoftonline.com/error?code=7000222", f"the link: {link}")
    visit.check(visit.browser.run("document.title").startswith("No mail leaves"), "the title says it too")
    visit.browser.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    visit.browser.click("#incidents .copy")
    visit.says("#incidents .copy", "Copied")
    copied = visit.browser.run("navigator.clipboard.readText()")
    visit.check(copied and copied in visit.text("#incidents .remedy"), "the remedy can be copied")
    looks(visit, "blocked")
    scene.sandbox.heal()
    daemon.signal(signal.SIGHUP)
    visit.says("#verdict", "Mail flows", 60)
    visit.says("#main", "None is open.")
    return daemon


def hidden(visit):
    """Nobody looks: nothing is asked."""
    visit.browser.run(
        "Object.defineProperty(document, 'hidden', { get: () => window.away, configurable: true });"
        " window.away = true; document.dispatchEvent(new Event('visibilitychange'))"
    )
    # What is under way ends.
    visit.becomes("new Promise((done) => setTimeout(() => done(true), 4000))", "some seconds")
    before = len(visit.browser.requests)
    visit.becomes("new Promise((done) => setTimeout(() => done(true), 7000))", "some seconds")
    visit.check(len(visit.browser.requests) == before, f"asked while hidden: {visit.browser.requests[before:]}")
    visit.browser.run("window.away = false; document.dispatchEvent(new Event('visibilitychange'))")
    visit.becomes("document.getElementById('freshness').dataset.live === 'true'", "it goes on")


def silent(visit, scene, daemon):
    """A daemon that hangs, then one that is gone, then one that is back; one question at a time throughout."""
    before = visit.asked("/v1/status")
    daemon.signal(signal.SIGSTOP)
    visit.says("#verdict", "The daemon does not answer since", 40)
    daemon.signal(signal.SIGCONT)
    asked = visit.asked("/v1/status") - before
    visit.check(asked <= 4, f"{asked} questions to a daemon that hangs")
    visit.says("#verdict", "Mail flows", 40)
    daemon.terminate()
    visit.says("#verdict", "The daemon does not answer since", 40)
    visit.check(visit.browser.run("document.getElementById('band').dataset.level") == "silent", "the band is dark")
    visit.says("#findings", "No connection")
    visit.says("#findings", "What stands below is of")
    visit.says("#freshness", "last answer")
    visit.check(visit.count("#messages tr.message") > 0, "what was known stays")
    visit.picture("silent")
    visit.no_complaints("of a daemon that is gone", but=GONE)
    daemon = begin(scene, daemon.http)
    visit.says("#verdict", "Mail flows", 60)
    visit.check(visit.browser.run("window.marker") == 1, "the page was loaded again")
    return daemon


args = trial.arguments(__doc__, pictures="", browser="")
scene = trial.Scene(args, WATCHED, limits=True)
daemon = begin(scene, "127.0.0.1:0")
visit = Visit(Browser(args.browser or None), args.pictures)
visit.browser.window(WIDE, 900)
visit.browser.scheme("light")
began = time.monotonic()
visit.browser.open(f"http://{daemon.http}/")
empty(visit)
busy(visit, daemon.port)
search(visit)
details(visit)
hostile(visit, daemon.port)
charts(visit)
looks(visit, "busy")
visit.no_complaints("of a busy daemon")
daemon = blocked(visit, scene, daemon)
strange_reply(visit, scene, daemon.port)
hidden(visit)
visit.no_complaints("of a blocked account", but=GONE)
daemon = silent(visit, scene, daemon)
elsewhere = [url for url in visit.browser.requests if not url.startswith(f"http://{daemon.http}/")]
visit.check(not elsewhere, f"asked elsewhere: {elsewhere[:3]}")
visit.no_complaints("at the end", but=GONE)
visit.browser.close()
daemon.terminate()
scene.sandbox.close()
figures = {"checks": visit.checks, "requests": len(visit.browser.requests), "seconds": round(time.monotonic() - began)}
figures["problems"] = len(visit.problems)
print("page: " + " ".join(f"{key}={value}" for key, value in figures.items()), flush=True)
raise SystemExit(1 if visit.problems else 0)
