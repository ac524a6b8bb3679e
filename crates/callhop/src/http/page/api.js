// Asking Callhop: who asks (the token), single requests, and the stream of events, which goes on for as long as the page is open.
//
// The stream is read by fetch and not by EventSource, which cannot bring a token along: one is needed for reading as well where
// Callhop listens beyond its own machine.
"use strict";

const PLACE = "callhop-token";

/** Events come at least as comments, every 15 s: after this long without any the connection is dead, whatever the browser thinks. */
const SILENCE_MS = 40000;

/** How long to wait before the next try, at least and at most. */
const FIRST_WAIT_MS = 500, LAST_WAIT_MS = 10000;

let token = sessionStorage.getItem(PLACE);
/** Who the token belongs to and what it may, once Callhop has said so. */
let holder = null;

// ---- the token

/** A token that came with the address (`#token=...`) is taken out of it, so that it stands in no history and no bookmark. */
function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given === null) return false;
  history.replaceState(null, "", location.pathname + location.search);
  token = given;
  sessionStorage.setItem(PLACE, given);
  return true;
}

const may = (scope) => holder?.may.includes(scope) ?? false;

function showToken() {
  const rights = [["route", "change routes"], ["move", "move calls"]].filter(([scope]) => may(scope)).map(([, text]) => text);
  $("token-text").textContent = !holder ? (stream.needsToken ? "No token: one is needed to look." : "No token: you can look, not change.")
    : `Token ${holder.name}: you can ${rights.join(" and ") || "look, not change"}.`;
  $("token-button").textContent = holder ? "Forget the token" : "Enter a token";
}

function forget() {
  token = holder = null;
  sessionStorage.removeItem(PLACE);
  showToken();
  stream.again();
}

/** Makes `text` the token, if Callhop knows it. */
async function use(text) {
  const answer = await send("GET", "/v1/token", { headers: { Authorization: `Bearer ${text}` } });
  token = text;
  holder = answer;
  sessionStorage.setItem(PLACE, text);
  showToken();
  stream.again();
}

/** Asks whose the token is that was here before. */
async function recognise() {
  if (!token || holder) return;
  const asked = token;
  try {
    const answer = await send("GET", "/v1/token", { headers: authorization() });
    if (token === asked) holder = answer;
    showToken();
  } catch (problem) {
    // A Callhop that is away for a moment says nothing about the token.
    if (problem.status === 401 && token === asked) {
      forget();
      say("Callhop does not know the token any more.");
    }
  }
}

// ---- single requests

const authorization = () => (token ? { Authorization: `Bearer ${token}` } : {});

async function send(method, path, { headers = {}, body } = {}) {
  const all = body ? { ...headers, "Content-Type": "application/json" } : headers;
  let answer;
  try {
    answer = await fetch(path, { method, headers: all, body: body ? JSON.stringify(body) : undefined });
  } catch {
    throw { status: 0, detail: "Callhop does not answer." };
  }
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) throw { status: answer.status, detail: found.detail ?? answer.statusText };
  return found;
}

/** The answer as JSON; throws `{ status, detail }`. */
async function ask(method, path, { headers, body } = {}) {
  try {
    return await send(method, path, { headers: { ...headers, ...authorization() }, body });
  } catch (problem) {
    if (problem.status === 401 && token) {
      forget();
      // What needs none is still told.
      if (method === "GET") return send(method, path, { headers, body });
    }
    throw problem;
  }
}

// A link brings no token along: what it leads to is asked for with the token, and shown as the text that it is.
for (const link of document.querySelectorAll("a.text")) {
  link.addEventListener("click", async (event) => {
    if (!token) return;
    event.preventDefault();
    try {
      const answer = await fetch(link.href, { headers: authorization() });
      const text = new Blob([await answer.text()], { type: "text/plain; charset=utf-8" });
      location.assign(URL.createObjectURL(text));
    } catch {
      say("Callhop does not answer.");
    }
  });
}

const extensionPath = (id) => `/v1/extensions/${encodeURIComponent(id)}`;

// ---- the stream of events

/** Hands on each event (HTML, 9.2.6, as far as this server writes it) until the body ends. */
async function readEvents(body, heard, take) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    heard();
    text += value;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const event = { name: "message", data: "" };
      for (const line of text.slice(0, end).split("\n")) {
        if (line.startsWith("event: ")) event.name = line.slice(7);
        if (line.startsWith("data: ")) event.data += line.slice(6);
      }
      text = text.slice(end + 2);
      if (event.data) take(event.name, event.data);
    }
  }
}

const stream = {
  /** Ends what the stream is at; set while it runs. */
  stop: null,
  /** Ends the wait before the next try; set while it waits. */
  wake: null,
  /** It waits for a token, and for nothing else. */
  needsToken: false,
  usedToken: null,

  /** Whoever asks has changed: the stream is asked for anew, unless it is as it would be then. */
  again() {
    if (this.usedToken === token) return;
    if (this.wake) this.wake();
    else this.stop?.();
  },

  /** Whoever looks again does not wait. */
  hurry() {
    if (!this.needsToken) this.wake?.();
  },

  /**
   * Runs for as long as the page does. `take` gets each event, `tell` whether it is live, what is wrong if it is not, and why
   * nothing may be shown any more if that is so.
   */
  async run(take, tell) {
    let wait = FIRST_WAIT_MS;
    for (;;) {
      const trying = new AbortController();
      let silence = null, wrong = "Callhop does not answer", restarted = false;
      const heard = () => {
        clearTimeout(silence);
        silence = setTimeout(() => trying.abort(), SILENCE_MS);
      };
      this.stop = () => {
        restarted = true;
        trying.abort();
      };
      this.usedToken = token;
      heard();
      try {
        const answer = await fetch("/v1/events", { headers: authorization(), signal: trying.signal });
        if (answer.ok) {
          recognise();
          await readEvents(answer.body, heard, (name, data) => {
            wait = FIRST_WAIT_MS;
            tell(true);
            take(name, JSON.parse(data));
          });
        } else if (answer.status === 401 && this.usedToken) {
          // Perhaps none is needed.
          restarted = true;
          if (token === this.usedToken) forget();
        } else if (answer.status === 401) {
          this.needsToken = restarted = true;
          tell(false, "A token is needed to look", "Nothing is shown without a token.");
          showToken();
          openToken("read");
          await new Promise((wake) => { this.wake = wake; });
          this.needsToken = false;
        } else {
          const problem = await answer.json().catch(() => ({}));
          wrong = problem.detail ?? answer.statusText;
        }
      } catch {
        // The connection is lost, was silent for too long, or was ended here.
      }
      clearTimeout(silence);
      this.stop = this.wake = null;
      if (restarted) continue;
      tell(false, `${wrong}; trying again …`);
      await new Promise((wake) => {
        this.wake = wake;
        // Not all pages in the same moment.
        setTimeout(wake, wait * (0.5 + Math.random()));
      });
      this.wake = null;
      wait = Math.min(wait * 2, LAST_WAIT_MS);
    }
  },
};

addEventListener("online", () => stream.hurry());
document.addEventListener("visibilitychange", () => { if (!document.hidden) stream.hurry(); });
addEventListener("hashchange", () => {
  if (!takeToken()) return;
  holder = null;
  recognise();
  stream.again();
});
