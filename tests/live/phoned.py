#!/usr/bin/env python3
"""A SIP phone for the live tests, driven by JSON lines.

One process is one phone with one account: PJSIP holds at most four calls in a process, and a crash stays small.
It has no sound card. It speaks PCMU and plays one tone for as long as a call has media, so that whoever listens to the
RTP knows by the frequency who is heard.

stdin   {"id": 1, "op": "dial", "number": "1000"}       one command a line, see the functions named op_*
stdout  {"id": 1, "ok": true, "call": 1, "t": 17.25}    its answer; "ok": false has "error"
        {"ev": "state", "call": 1, "state": "CONFIRMED", "code": 200, "t": 17.5}
                                                        what happened, see the calls of emit(); "t" is Unix time
"""
import argparse
import json
import os
import re
import select
import time

import pjsua2 as pj

PJSIP_EBUSY = 171001  # pjsip/include/pjsip/sip_errno.h

# ~Call() hangs up whatever call uses the same slot by then: no object that was a call may ever be collected.
KEPT = []
CALLS = {}
TIMERS = []
RECENT = []  # when this phone dialled


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--user", required=True)
    parser.add_argument("--domain", required=True, help="what follows the @ of its own address")
    parser.add_argument("--password", default="", help="without one it never registers")
    parser.add_argument("--proxy", required=True, help="host:port that everything is sent to")
    parser.add_argument("--register", action="store_true", help="at once, not only when told to")
    parser.add_argument("--sip-port", type=int, required=True)
    parser.add_argument("--rtp-port", type=int, required=True, help="the first of 90")
    parser.add_argument("--tone", type=int, required=True, help="Hz")
    parser.add_argument("--agent", default="Callhop test phone", help="User-Agent")
    parser.add_argument("--log", default="", help="file for PJSIP's own log, with every message")
    return parser.parse_args()


ARGS = arguments()
# PJSIP writes to stdout as it pleases: the JSON goes to a copy, and what PJSIP has becomes /dev/null.
OUT = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def emit(**fields):
    fields["t"] = time.time()
    try:
        OUT.write(json.dumps(fields) + "\n")
    except (BrokenPipeError, ValueError):
        os._exit(1)  # the test went away


def headers(message, *wanted):
    """The values of the named headers of a SIP message, by lower-case name."""
    found = {}
    for line in message.split("\r\n\r\n", 1)[0].split("\r\n")[1:]:
        name, _, value = line.partition(":")
        if name.strip().lower() in wanted:
            found.setdefault(name.strip().lower(), value.strip())
    return found


def identity(value):
    """'"Ann" <sip:2001@host>;x' -> ("Ann", "2001")"""
    match = re.match(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^<"]*?))\s*<?sips?:([^@>;]*)', value)
    return ((match[1] or match[2] or "").strip(), match[3]) if match else ("", value)


def received(event):
    """The text of the SIP message that an event of PJSIP is about, or None."""
    try:
        if event.type != pj.PJSIP_EVENT_TSX_STATE or event.body.tsxState.type != pj.PJSIP_EVENT_RX_MSG:
            return None
        return event.body.tsxState.src.rdata.wholeMsg or None
    except Exception:
        return None


class Call(pj.Call):
    def __init__(self, account, slot=pj.PJSUA_INVALID_ID):
        super().__init__(account, slot)
        KEPT.append(self)
        self.key = len(KEPT)
        self.sip_id = ""
        self.display = None
        CALLS[self.key] = self

    def onCallState(self, prm):
        self.read(received(prm.e))
        try:
            info = self.getInfo()
        except pj.Error:
            emit(ev="state", call=self.key, state="DISCONNECTED", code=0, reason="the call is gone", sip_id=self.sip_id)
            CALLS.pop(self.key, None)
            return
        self.sip_id = info.callIdString or self.sip_id
        emit(ev="state", call=self.key, state=info.stateText, code=info.lastStatusCode, reason=info.lastReason, sip_id=self.sip_id)
        if info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            CALLS.pop(self.key, None)

    def onCallTsxState(self, prm):
        self.read(received(prm.e))

    def onCallMediaState(self, prm):
        info = self.getInfo()  # must outlive the loop: its list is a view into it
        for media in info.media:
            if media.type != pj.PJMEDIA_TYPE_AUDIO:
                continue
            if media.status in (pj.PJSUA_CALL_MEDIA_ACTIVE, pj.PJSUA_CALL_MEDIA_REMOTE_HOLD):
                TONE.startTransmit(self.getAudioMedia(media.index))
            emit(ev="media", call=self.key, status=int(media.status))

    def onDtmfDigit(self, prm):
        emit(ev="dtmf", call=self.key, digit=prm.digit)

    def onCallTransferStatus(self, prm):
        emit(ev="transfer", call=self.key, code=prm.statusCode, final=bool(prm.finalNotify))
        if prm.finalNotify and 200 <= prm.statusCode < 300:
            # Who transfers ends the call when the transfer went well (RFC 5589 section 6.1). FreeSWITCH does it itself.
            try:
                self.hangup(pj.CallOpParam())
            except pj.Error:
                pass

    def read(self, message):
        """What a message of this call says beyond PJSIP's own states: Reason, and who the other side is."""
        if message is None:
            return
        first = message.split("\r\n", 1)[0]
        found = headers(message, "reason", "p-asserted-identity", "remote-party-id")
        if "reason" in found:
            emit(ev="reason", call=self.key, of=first.split(" ")[0], reason=found["reason"])
        shown = found.get("p-asserted-identity") or found.get("remote-party-id")
        if shown and identity(shown) != self.display:
            self.display = identity(shown)
            emit(ev="display", call=self.key, of=first, name=self.display[0], number=self.display[1])


class Account(pj.Account):
    def onRegState(self, prm):
        emit(ev="registered", code=prm.code, active=self.getInfo().regIsActive)

    def onIncomingCall(self, prm):
        call = Call(self, prm.callId)
        message = prm.rdata.wholeMsg
        found = headers(message, "p-asserted-identity", "remote-party-id", "from", "to", "alert-info", "call-id")
        call.sip_id = found.get("call-id", "")
        shown = found.get("p-asserted-identity") or found.get("remote-party-id") or found.get("from", "")
        call.display = identity(shown)
        emit(ev="incoming", call=call.key, name=call.display[0], number=call.display[1], sip_id=call.sip_id, headers=found)
        for step in ON_RING:
            if step.get("after_ms"):
                TIMERS.append((time.monotonic() + step["after_ms"] / 1000, call, step["code"]))
            else:
                answer(call, step["code"])


# What an incoming call gets: SIP answers in order, each at once or after some milliseconds.
ON_RING = [{"code": 200}]


def answer(call, code):
    prm = pj.CallOpParam()
    prm.statusCode = code
    call.answer(prm)


def chosen(command):
    """The call a command names, or the newest one that lives."""
    key = command.get("call") or max(CALLS, default=None)
    if key not in CALLS:
        raise KeyError("no such call")
    return CALLS[key]


def wait_for_sockets():
    """PJSIP has room for 64 sockets, two a call, and gives those of a call that has ended back some time later
    (ioqueue_select.c); a phone that dials faster than any finger could would end with a failed assertion."""
    while len(RECENT) >= 16 and RECENT[-16] > time.monotonic() - 1.5:
        EP.libHandleEvents(5)
    RECENT.append(time.monotonic())


def op_dial(command):
    wait_for_sockets()
    call = Call(ACCOUNT)
    prm = pj.CallOpParam(True)
    for name, value in command.get("headers", {}).items():
        if name.lower() == "from":
            prm.txOption.localUri = value
            continue
        header = pj.SipHeader()
        header.hName, header.hValue = name, value
        prm.txOption.headers.append(header)
    # A user part of a SIP URI escapes what is not allowed in it (RFC 3261 section 25.1).
    number = re.sub(r"[^A-Za-z0-9\-_.!~*'()&=+$,;?/]", lambda m: "".join(f"%{b:02X}" for b in m[0].encode()), command["number"])
    try:
        # In angle brackets, because a semicolon would begin a parameter of the header To else.
        call.makeCall(f"<sip:{number}@{ARGS.domain}>", prm)
    except pj.Error:
        CALLS.pop(call.key, None)
        raise
    return {"call": call.key}


def op_on_ring(command):
    ON_RING[:] = command["steps"]


def op_answer(command):
    answer(chosen(command), command.get("code", 200))


def op_hangup(command):
    prm = pj.CallOpParam()
    prm.statusCode = command.get("code", 0)
    chosen(command).hangup(prm)


def op_hangup_all(_command):
    TIMERS.clear()
    EP.hangupAllCalls()


def op_hold(command):
    chosen(command).setHold(pj.CallOpParam(True))


def op_unhold(command):
    """A re-INVITE of the switch may be under way: then this one has to wait (RFC 3261 section 14.1)."""
    call = chosen(command)
    until = time.monotonic() + 3
    while True:
        prm = pj.CallOpParam(True)
        prm.opt.flag = pj.PJSUA_CALL_UNHOLD
        try:
            return call.reinvite(prm)
        except pj.Error:
            if time.monotonic() > until:
                raise
            EP.libHandleEvents(10)


def op_dtmf(command):
    """RFC 4733."""
    chosen(command).dialDtmf(command["digits"])


def op_dtmf_info(command):
    """SIP INFO."""
    prm = pj.CallSendDtmfParam()
    prm.method = pj.PJSUA_DTMF_METHOD_SIP_INFO
    prm.digits = command["digits"]
    prm.duration = 160
    chosen(command).sendDtmf(prm)


def op_transfer(command):
    """Blind transfer: REFER (RFC 5589 section 6)."""
    chosen(command).xfer(f"sip:{command['number']}@{ARGS.domain}", pj.CallOpParam(True))


def op_join(command):
    """Attended transfer: REFER with Replaces (RFC 5589 section 7): the peers of both calls get each other."""
    chosen(command).xferReplaces(CALLS[command["other"]], pj.CallOpParam(True))


def op_calls(_command):
    return {"calls": sorted(CALLS)}


def start():
    """The library, the tone, the account, in the order that PJSIP needs."""
    config = pj.EpConfig()
    config.uaConfig.threadCnt = 0
    config.uaConfig.mainThreadOnly = True
    config.uaConfig.maxCalls = 4
    config.uaConfig.userAgent = ARGS.agent
    config.logConfig.level = 4
    config.logConfig.consoleLevel = 0
    config.logConfig.msgLogging = 1
    config.logConfig.filename = ARGS.log
    config.medConfig.clockRate = config.medConfig.sndClockRate = 8000
    config.medConfig.ptime = config.medConfig.audioFramePtime = 20
    config.medConfig.noVad = True
    config.medConfig.ecTailLen = 0
    config.medConfig.sndAutoCloseTime = -1  # the clock goes on between calls
    config.medConfig.threadCnt = 1
    EP.libInit(config)
    EP.audDevManager().setNullDev()

    EP.libStart()
    for codec in EP.codecEnum2():
        EP.codecSetPriority(codec.codecId, 255 if codec.codecId.startswith("PCMU/8000") else 0)

    tone = pj.ToneGenerator()
    tone.createToneGenerator(8000, 1)
    desc = pj.ToneDesc()
    desc.freq1, desc.freq2, desc.on_msec, desc.off_msec, desc.volume = ARGS.tone, 0, 1000, 0, 10000
    tones = pj.ToneDescVector()
    tones.append(desc)
    tone.play(tones, True)

    transport = pj.TransportConfig()
    transport.port, transport.boundAddress, transport.publicAddress = ARGS.sip_port, "127.0.0.1", "127.0.0.1"
    account_config = pj.AccountConfig()
    account_config.idUri = f"sip:{ARGS.user}@{ARGS.domain}"
    sip = account_config.sipConfig
    sip.transportId = EP.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
    sip.proxies.append(f"sip:{ARGS.proxy};lr")
    sip.authCreds.append(pj.AuthCredInfo("digest", "*", ARGS.user, 0, ARGS.password))
    if ARGS.password:
        account_config.regConfig.registrarUri = f"sip:{ARGS.domain}"
        account_config.regConfig.registerOnAdd = ARGS.register
        account_config.regConfig.timeoutSec = 3600
        account_config.regConfig.retryIntervalSec = account_config.regConfig.firstRetryIntervalSec = 2
    nat = account_config.natConfig
    nat.contactRewriteUse, nat.viaRewriteUse, nat.iceEnabled, nat.sdpNatRewriteUse = 0, False, False, False
    media = account_config.mediaConfig.transportConfig
    media.port, media.portRange, media.boundAddress, media.publicAddress = ARGS.rtp_port, 90, "127.0.0.1", "127.0.0.1"
    account_config.callConfig.timerUse = pj.PJSUA_SIP_TIMER_INACTIVE
    account = Account()
    account.create(account_config)
    return tone, account


def op_register(_command):
    """Registers anew, for instance after the switch was restarted and has forgotten everybody."""
    try:
        ACCOUNT.setRegistration(True)
    except pj.Error as error:
        # A REGISTER is under way already, as when the switch comes up; its answer is told like any other.
        if error.status != PJSIP_EBUSY:
            raise


def op_unregister(_command):
    ACCOUNT.setRegistration(False)


def serve(line):
    """One command; False ends the phone."""
    command = json.loads(line)
    if command["op"] == "quit":
        emit(id=command["id"], ok=True)
        return False
    try:
        result = globals()["op_" + command["op"]](command) or {}
        emit(id=command["id"], ok=True, **result)
    except pj.Error as error:
        emit(id=command["id"], ok=False, error=error.info())
    except Exception as error:  # whatever it is, the test must hear of it and the phone go on
        emit(id=command["id"], ok=False, error=f"{type(error).__name__}: {error}")
    return True


EP = pj.Endpoint()
EP.libCreate()
TONE, ACCOUNT = start()
emit(ev="up")
pending, running = b"", True
while running:
    EP.libHandleEvents(5)
    for timer in [t for t in TIMERS if t[0] <= time.monotonic()]:
        TIMERS.remove(timer)
        if timer[1].key in CALLS:
            answer(timer[1], timer[2])
    if select.select([0], [], [], 0)[0]:
        data = os.read(0, 65536)
        if not data:
            break
        pending += data
        while running and b"\n" in pending:
            line, pending = pending.split(b"\n", 1)
            running = serve(line)
EP.hangupAllCalls()
for _ in range(40):
    EP.libHandleEvents(5)
os._exit(0)
