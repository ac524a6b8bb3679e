#!/usr/bin/env python3
"""A phone's BLF keys: subscribes to names and prints what each NOTIFY says (RFC 6665, RFC 4235).

PJSIP's Python package subscribes to presence only, and the keys of desk phones subscribe to dialogs. Each argument is a
name in the domain of the target. One JSON line for each answer and each NOTIFY; a name on standard input is subscribed to
as well, and `refresh` has every subscription renewed.
"""
import argparse
import hashlib
import json
import re
import secrets
import select
import socket
import sys
import time


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


parser = argparse.ArgumentParser()
for name in ("server", "user", "domain", "target"):
    parser.add_argument("--" + name, required=True)
parser.add_argument("--password", help="without one a challenge is not answered")
parser.add_argument("--realm", help="the realm to name instead of the challenge's")
parser.add_argument("--sender", help="the From to name instead of one's own")
parser.add_argument("--expires", type=int, default=600)
parser.add_argument("names", nargs="*")
args = parser.parse_args()

host, port = args.server.split(":")
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("127.0.0.1", 0))
own = sock.getsockname()[1]
sender = args.sender or f"<sip:{args.user}@{args.domain}>"
subscriptions = {}


def say(**what):
    print(json.dumps({"at": time.time(), **what}), flush=True)


def header(message, name):
    found = re.search(rf"^{name}:[ \t]*([^\r\n]*)", message, re.MULTILINE | re.IGNORECASE)
    return found[1] if found else ""


class Subscription:
    def __init__(self, name):
        self.name, self.call_id, self.tag = name, secrets.token_hex(8), secrets.token_hex(4)
        self.to, self.sequence, self.version = "", 0, -1
        subscriptions[self.call_id] = self

    def subscribe(self, challenge=""):
        self.sequence += 1
        uri = f"sip:{self.name}@{args.target}"
        lines = [
            f"SUBSCRIBE {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{own};branch=z9hG4bK{secrets.token_hex(6)}",
            "Max-Forwards: 70",
            f"From: {sender};tag={self.tag}",
            f"To: {self.to or f'<{uri}>'}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {self.sequence} SUBSCRIBE",
            f"Contact: <sip:{args.user}@127.0.0.1:{own}>",
            "Event: dialog",
            "Accept: application/dialog-info+xml",
            f"Expires: {args.expires}",
        ]
        if challenge:
            nonce = re.search(r'nonce="([^"]+)"', challenge)[1]
            realm = args.realm or re.search(r'realm="([^"]+)"', challenge)[1]
            response = md5(":".join([
                md5(f"{args.user}:{realm}:{args.password}"), nonce, "00000001", "abc", "auth", md5(f"SUBSCRIBE:{uri}"),
            ]))
            answer_in = "Proxy-Authorization" if challenge.startswith("SIP/2.0 407") else "Authorization"
            lines.append(
                f'{answer_in}: Digest username="{args.user}", realm="{realm}", nonce="{nonce}", uri="{uri}", '
                f'response="{response}", cnonce="abc", nc=00000001, qop=auth, algorithm=MD5'
            )
        lines.append("Content-Length: 0")
        sock.sendto(("\r\n".join(lines) + "\r\n\r\n").encode(), (host, int(port)))

    def answered(self, message):
        code = int(message.split(" ")[1])
        if code in (401, 407) and args.password and f"CSeq: {self.sequence} " in message and self.challenges:
            self.challenges -= 1
            return self.subscribe(message)
        if code < 200:
            return
        if code < 300:
            self.to = header(message, "To")
        say(watch=self.name, code=code)

    def renew(self):
        self.challenges = 1
        self.subscribe()

    def notified(self, message, source):
        answer = ["SIP/2.0 200 OK"]
        answer += re.findall(r"^Via:[^\r\n]*", message, re.MULTILINE | re.IGNORECASE)
        answer += [f"{name}: {header(message, name)}" for name in ("From", "To", "Call-ID", "CSeq")]
        sock.sendto(("\r\n".join([*answer, "Content-Length: 0"]) + "\r\n\r\n").encode(), source)
        body = message.split("\r\n\r\n", 1)[1]
        states = re.findall(r"<state>([^<]*)</state>", body)
        version = re.search(r'version="(\d+)"', body)
        # A phone drops what is older than what it has (RFC 4235, 4.1).
        say(
            watch=self.name,
            entity=(re.search(r'entity="([^"]*)"', body) or [None, None])[1],
            state=states[-1] if states else ("none" if "<dialog-info" in body else None),
            version=int(version[1]) if version else None,
            subscription=header(message, "Subscription-State").split(";")[0],
        )


for name in args.names:
    Subscription(name).renew()
while True:
    ready, _, _ = select.select([sock, sys.stdin], [], [])
    if sys.stdin in ready:
        line = sys.stdin.readline()
        if not line:
            break
        if line.strip() == "refresh":
            for subscription in list(subscriptions.values()):
                subscription.renew()
        elif line.strip():
            Subscription(line.strip()).renew()
    if sock in ready:
        data, source = sock.recvfrom(65536)
        message = data.decode(errors="replace")
        subscription = subscriptions.get(header(message, "Call-ID"))
        if subscription is None:
            continue
        if message.startswith("SIP/2.0"):
            subscription.answered(message)
        elif message.startswith("NOTIFY"):
            subscription.notified(message, source)
