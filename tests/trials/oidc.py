#!/usr/bin/env python3
"""An OAuth server that is not ours, and every grant that it knows.

node-oidc-provider is strict and certified. It has to be installed in a folder of one's own
(`npm install oidc-provider`), which --modules names. What is shown: client credentials with a secret and with
private_key_jwt (PS256 and RS256), authorization code with PKCE for a public and a confidential client, the device
code, and refresh tokens that rotate and die when they are used twice.
"""

import argparse
import html
import http.cookiejar
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
SECRET = "s3cret~with+odd/chars."


class Stop(urllib.request.HTTPRedirectHandler):
    """Redirects are followed by hand: one of them leads to exorelay."""

    def redirect_request(self, *_):
        return None


class Browser:
    def __init__(self):
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self.opener = urllib.request.build_opener(jar, Stop())

    def open(self, url, form=None):
        data = urllib.parse.urlencode(form).encode() if form else None
        while True:
            try:
                with self.opener.open(urllib.request.Request(url, data), timeout=20) as answer:
                    return url, answer.read().decode()
            except urllib.error.HTTPError as error:
                if error.code not in (302, 303):
                    raise SystemExit(f"{url}: {error.code} {error.read().decode()[:500]}")
                url, data = urllib.parse.urljoin(url, error.headers["Location"]), None

    def go(self, url, **values):
        """Fills in every form until there is none."""
        page = self.open(url)
        while True:
            url, text = page
            form = re.search(r"<form(.*?)>(.*?)</form>", text, re.S)
            if not form:
                return url, text
            action = re.search(r'action="([^"]*)"', form[1])
            target = urllib.parse.urljoin(url, html.unescape(action[1]) if action else url)
            fields = {}
            for tag in re.findall(r"<input(.*?)>", form[2], re.S):
                name = re.search(r'name="([^"]*)"', tag)
                value = re.search(r'value="([^"]*)"', tag)
                if name:
                    fields[name[1]] = html.unescape(value[1]) if value else values.get(name[1], "relay")
            page = self.open(target, fields or {"x": "y"})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--exorelay", default=HERE.parents[1] / "target/debug/exorelay")
    parser.add_argument("--modules", required=True, help="the folder where oidc-provider is installed")
    parser.add_argument("--rounds", type=int, default=20, help="renewals of a rotating token")
    options = parser.parse_args()
    exorelay = str(pathlib.Path(options.exorelay).resolve())
    folder = pathlib.Path(tempfile.mkdtemp(prefix="oidc-"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EXORELAY")}
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=trial",
         "-keyout", folder / "app.key", "-out", folder / "app.crt"],
        check=True, capture_output=True,
    )
    script = pathlib.Path(options.modules) / "exorelay-trial.mjs"
    shutil.copy(HERE / "oidc_server.mjs", script)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        ["node", script, str(port), folder / "app.crt"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    said = []
    for line in server.stdout:
        if line.startswith("READY"):
            break
    threading.Thread(target=lambda: said.extend(server.stdout), daemon=True).start()
    issuer = f"http://127.0.0.1:{port}"

    def settings(client, more, oauth=""):
        path = folder / f"{client}.toml"
        path.write_text(
            f"""
[queue]
directory = "{folder}/{client}"
[account.default]
mailbox = "relay@contoso.com"
tenant_id = "contoso.com"
client_id = "{client}"
{more}
[account.default.oauth]
token_url = "{issuer}/token"
authorize_url = "{issuer}/auth?prompt=consent"
device_code_url = "{issuer}/device/auth"
redirect_uri = "http://localhost/callback"
scope = "SMTP.Send offline_access openid"
{oauth}
"""
        )
        (folder / client).mkdir(exist_ok=True)
        return path

    def run(path, *arguments, **more):
        return subprocess.run(
            [exorelay, "--config", path, *arguments], capture_output=True, text=True, env=environment, **more
        )

    def works(name, path):
        shown = run(path, "token", "show")
        if shown.returncode != 0:
            raise SystemExit(f"{name}: {shown.stdout}{shown.stderr}\n{''.join(said)}")
        print(f"{name}: a token")

    secret = f'client_secret = "{SECRET}"'
    certificate = f'client_certificate = "{folder}/app.crt"\nclient_certificate_key = "{folder}/app.key"'
    application = lambda client, more, oauth="": settings(client, more, oauth).read_text().replace(
        " offline_access openid", "")
    for client, more, oauth in [
        ("secret", secret, ""),
        ("assertion", certificate, ""),
        ("assertion-rs256", certificate, 'assertion = "RS256"'),
    ]:
        path = settings(client, more, oauth)
        path.write_text(application(client, more, oauth))
        works(f"client credentials, {client}", path)

    delegated = 'access = "delegated"'
    for client, more in [("public", delegated), ("web", f"{delegated}\n{secret}")]:
        for way in ([], ["--device"]):
            path = settings(client, more)
            login = subprocess.Popen(
                [exorelay, "--config", path, "login", *way], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True, env=environment,
            )
            text = ""
            for line in login.stdout:
                text += line
                address = re.search(rf"{issuer}/(auth\?\S+|device\S*)", text)
                code = re.search(r"\b([A-Z0-9]{4}-[A-Z0-9]{4})\b", text)
                if address and (code or not way):
                    break
            visit = {"login": "relay", "password": "x"}
            if way:
                visit["user_code"] = code[1]
            Browser().go(address[0].rstrip("."), **visit)
            rest = login.stdout.read()
            if login.wait(60) != 0:
                raise SystemExit(f"{client} {way}: {text}{rest}\n{''.join(said)}")
            works(f"{client} {' '.join(way) or 'authorization code with PKCE'}", path)
            for _ in range(options.rounds):
                shown = run(path, "token", "show", "--json")
                if shown.returncode != 0:
                    raise SystemExit(f"{client}: a renewal failed: {shown.stderr}{''.join(said)}")
            print(f"{client}: {options.rounds} renewals, each with the token of the one before")
    time.sleep(0.2)
    server.kill()
    # That nobody has typed the code yet is no objection.
    objections = [line for line in said if "error" in line and "still pending" not in line]
    print("objections:", len(objections), *objections)
    shutil.rmtree(folder)
    sys.exit(1 if objections else 0)


if __name__ == "__main__":
    main()
