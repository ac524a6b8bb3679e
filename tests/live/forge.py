#!/usr/bin/env python3
"""A client that says what it is told to: one INVITE, or one REGISTER for somebody else's address.

Prints one JSON line with the challenge's realm and the answers that came. Real phones take the realm of the challenge
and their own address; the switch believes whatever realm the client names, so the tests need a client that lies.
"""
import argparse
import hashlib
import json
import re
import secrets
import socket
import time


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


parser = argparse.ArgumentParser()
for name in ("server", "user", "password", "realm", "sender", "number"):
    parser.add_argument("--" + name, required=True)
parser.add_argument("--header", action="append", default=[])
parser.add_argument("--register", metavar="CONTACT", help="REGISTER this address instead of an INVITE")
parser.add_argument("--seconds", type=float, default=3.0, help="how long answers are waited for")
args = parser.parse_args()

host, port = args.server.split(":")
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("127.0.0.1", 0))
own = sock.getsockname()[1]
call_id = secrets.token_hex(8)
if args.register:
    method, uri, to, body = "REGISTER", f"sip:{args.realm}", args.sender, ""
    contact = f"<{args.register}>;expires=3600"
else:
    method, uri = "INVITE", f"sip:{args.number}@{args.server}"
    to, contact = f"<{uri}>", f"<sip:forged@127.0.0.1:{own}>"
    body = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"


def request(method, sequence, extra=(), to_tag="", body=""):
    lines = [
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/UDP 127.0.0.1:{own};branch=z9hG4bK{secrets.token_hex(6)}",
        "Max-Forwards: 70",
        f"From: {args.sender};tag=forged",
        f"To: {to}{to_tag}",
        f"Call-ID: {call_id}",
        f"CSeq: {sequence} {method}",
        f"Contact: {contact}",
        *extra,
        *(["Content-Type: application/sdp"] if body else []),
        f"Content-Length: {len(body)}",
    ]
    sock.sendto(("\r\n".join(lines) + "\r\n\r\n" + body).encode(), (host, int(port)))


def answers(until):
    while (left := until - time.monotonic()) > 0:
        sock.settimeout(left)
        try:
            yield sock.recv(65536).decode(errors="replace")
        except (TimeoutError, socket.timeout):
            return


request(method, 1, body=body)
until = time.monotonic() + args.seconds
challenge = next((m for m in answers(until) if "nonce=" in m), "")
nonce = re.search(r'nonce="([^"]+)"', challenge)[1]
own_realm = re.search(r'realm="([^"]+)"', challenge)[1]
response = md5(":".join([
    md5(f"{args.user}:{args.realm}:{args.password}"), nonce, "00000001", "abc", "auth", md5(f"{method}:{uri}"),
]))
# FreeSWITCH asks for a call as a proxy (407), Asterisk as the one who is called (401); RFC 3261 section 22.
answer_in = "Proxy-Authorization" if challenge.startswith("SIP/2.0 407") else "Authorization"
credentials = (
    f'{answer_in}: Digest username="{args.user}", realm="{args.realm}", nonce="{nonce}", uri="{uri}", '
    f'response="{response}", cnonce="abc", nc=00000001, qop=auth, algorithm=MD5'
)
request(method, 2, [credentials, *args.header], body=body)
codes = []
for message in answers(until):
    first = message.split("\r\n", 1)[0]
    if f"CSeq: 2 {method}" in message and first.startswith("SIP/2.0"):
        codes.append(int(first.split(" ")[1]))
        if codes[-1] >= 200 and args.register:
            break
        if codes[-1] >= 200:
            tag = re.search(r"\nTo:[^\r\n]*(;tag=[^\r\n;]+)", message)
            request("ACK", 2, to_tag=tag[1] if tag else "")
            if codes[-1] < 300:
                request("BYE", 3, to_tag=tag[1] if tag else "")
            break
print(json.dumps({"challenge": own_realm, "codes": codes}))
