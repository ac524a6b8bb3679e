// The page: shows what the stream of events tells. elements.js makes elements, api.js asks, dialogs.js has the dialogs.
"use strict";

const NOTHING = { status: {}, switches: [], calls: [], moves: [] };
const state = { ...NOTHING, extensions: new Map() };

// ---- what is shown

const time = (text) => new Date(text);
const sameDay = (date) => date.toDateString() === new Date().toDateString();
const shownTime = (date, timeStyle = "short") =>
  sameDay(date) ? date.toLocaleTimeString([], { timeStyle }) : date.toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
const number = (id) => id.split("@")[0];

function routeText(route) {
  if (route.rings === "all_devices" || !route.in_force) return "all devices";
  let text = route.rings === "device" ? `only ${number(route.to)}` : `where ${number(route.to)} rings`;
  if (route.until) text += ` until ${shownTime(time(route.until))}`;
  if (route.next_call) text += " for the next call";
  return text;
}

const STATES = { idle: "", alone: "warn", calling: "ring", ringing: "ring", held: "warn", talking: "good" };
const ORDER = Object.keys(STATES);

function deviceItem(device) {
  let best = "idle", registered = 0;
  for (const on of device.switches) {
    registered += on.registered;
    if (ORDER.indexOf(on.state) > ORDER.indexOf(best)) best = on.state;
  }
  const item = element("li", { class: "device" }, `${number(device.device)} `);
  if (best !== "idle") item.append(badge(best === "alone" ? "busy" : best, STATES[best]));
  else if (registered) item.append(badge("registered", "idle"));
  else item.append(element("span", { class: "dim" }, "not registered"));
  if (registered > 1) item.append(element("span", { class: "dim" }, ` ${registered} times`));
  return item;
}

function extensionRow(extension) {
  const devices = element("ul", {}, ...extension.devices.map(deviceItem));
  const stale = new Set(extension.devices.flatMap((device) => device.switches).filter((on) => !on.fresh).map((on) => on.switch));
  if (stale.size) devices.append(element("li", { class: "dim" }, `as known last on ${[...stale].join(", ")}`));
  const act = (what, label, text, run) => {
    const button = element("button", { type: "button", "data-do": what, "aria-label": label }, text);
    button.addEventListener("click", () => run(extension.id));
    return button;
  };
  const change = act("route", `Change the route of ${extension.id}`, "Route …", (id) => withScope("route", () => openRoute(id)));
  const why = act("why", `Why ${extension.id} rings where it does`, "Why?", openWhy);
  // What has been answered can be moved.
  const talks = extension.devices.some((device) => device.switches.some((on) => ["talking", "held"].includes(on.state)));
  const move = talks ? act("move", `Move the call of ${extension.id}`, "Move …", (id) => withScope("move", () => openMove(id))) : null;
  return row(
    head(extension.id),
    cell("Devices", devices),
    cell("Calls ring", routeText(extension.route)),
    actions(...[move, change, why].filter(Boolean)));
}

const CALLS = { talking: "good", held: "warn", ringing: "ring", "on its own": "" };

/** What a call as a whole is, of its legs. */
function callState(legs) {
  const is = (...states) => legs.some((leg) => states.includes(leg.state));
  if (is("holding")) return "held";
  if (is("ringing", "early")) return "ringing";
  return is("talking") ? "talking" : "on its own";
}

function party(leg) {
  const who = leg.device ?? (leg.party.number || leg.channel);
  const { name, number: shown } = leg.party;
  return element("span", { class: "party" }, !leg.device && name && name !== shown ? `${who} (${name})` : who);
}

function callRow(call) {
  const [caller, ...others] = call.legs;
  const parties = [party(caller)];
  for (const [at, leg] of others.entries()) parties.push(at ? ", " : " → ", party(leg));
  const state = callState(call.legs);
  const moving = call.moving;
  const to = moving?.to ? ` to ${number(moving.to)}` : "";
  const text = moving && `${words(moving.kind)} by ${moving.extension}${to}, ${words(moving.stage)}`;
  return row(
    head(...parties),
    cell("State", badge(state, CALLS[state])),
    moving ? cell("Move", badge(text, "ring")) : unnamed(),
    cell("Switch", element("span", { class: "dim" }, call.switch)));
}

const OUTCOMES = { moved: "good", not_moved: "bad", recalled: "warn", far_end_gone: "" };

const span = (ms) => (ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`);

function moveRow(move) {
  const result = move.outcome ? badge(words(move.outcome), OUTCOMES[move.outcome]) : badge(words(move.stage), "ring");
  let more = move.cause ? ` ${words(move.cause)}` : "";
  if (!move.outcome && move.stage === "offered") {
    more = element("button", { type: "button", "data-do": "stop", "aria-label": `Stop the move to ${move.to}` }, "Stop");
    more.addEventListener("click", () => withScope("move", () => stopMove(move.id)));
  }
  const timed = (label, ms) => (ms === null || ms === undefined ? unnamed() : cell(label, span(ms)));
  return row(
    head(shownTime(time(move.started), "medium")),
    cell("Move", words(move.kind)),
    cell("By", move.extension),
    cell("From", number(move.from)),
    cell("To", move.to ? number(move.to) : "–"),
    cell("Result", result, " ", more),
    timed("Took", move.took_ms),
    timed("Far end's gap", move.gap_ms));
}

/** The latest moves; of those under way what stands with their calls, which is newer. */
function allMoves() {
  const under = state.calls.filter((call) => call.moving).map(({ moving }) => ({
    id: moving.id, kind: moving.kind, extension: moving.extension, from: moving.from, to: moving.to, stage: moving.stage,
    started: new Date(moving.started * 1000).toISOString(), outcome: null,
  }));
  const over = new Set(state.moves.filter((move) => move.outcome).map((move) => move.id));
  const open = under.filter((move, at) => !over.has(move.id) && under.findIndex((one) => one.id === move.id) === at);
  return [...open, ...state.moves.filter((move) => !open.some((one) => one.id === move.id))];
}

function switchCard(one) {
  const few = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
  const facts = [few(one.legs, "leg")];
  if (one.moves) facts.push(`${few(one.moves, "move")} under way`);
  if (typeof one.lag_ms === "number") facts.push(`events ${span(one.lag_ms)} late`);
  const since = one.since ? ` since ${shownTime(time(one.since), "medium")}` : "";
  return element("li", {},
    element("strong", {}, one.name),
    one.fresh ? badge("fresh", "good") : badge("stale", "bad"),
    element("p", { class: "quiet" }, one.fresh ? facts.join(", ") : `not connected${since}; what is shown of it was known last`));
}

function show() {
  $("version").textContent = state.status.version ?? "";
  $("notice").hidden = state.status.database !== false;
  $("notice").textContent = "The database does not answer: routes cannot be changed, and may be shown as they were.";
  fill($("switches"), state.switches, (s) => s.name, switchCard);
  $("calls-count").textContent = state.calls.length ? `(${state.calls.length})` : "";
  const callKey = (call) => `${call.switch} ${call.legs[0]?.channel}`;
  table("calls", state.calls, callKey, callRow);
  table("moves", allMoves(), (move) => move.id, moveRow);
  showExtensions();
  showGuides();
}

/** A link to the guide of each domain. */
function showGuides() {
  const domains = [...new Set([...state.extensions.keys()].map((id) => id.split("@")[1]))].sort();
  const items = domains.map((domain) => ({ domain, text: domains.length > 1 ? `Guide for ${domain}` : "Guide for those who dial" }));
  fill($("guides"), items, (item) => item.domain, ({ domain, text }) =>
    element("span", {}, element("a", { href: `/guide?domain=${encodeURIComponent(domain)}` }, text), " · "));
}

function showExtensions() {
  const wanted = $("filter").value.trim().toLowerCase();
  const all = [...state.extensions.values()];
  if (looked && looked.id === wanted && !state.extensions.has(looked.id)) all.push(looked);
  const names = (e) => [e.id, ...e.devices.map((d) => d.device)];
  const shown = all.filter((e) => !wanted || names(e).some((name) => name.toLowerCase().includes(wanted)));
  shown.sort((a, b) => {
    const [x, y] = [a.id.split("@"), b.id.split("@")];
    return x[1].localeCompare(y[1]) || x[0].localeCompare(y[0], undefined, { numeric: true });
  });
  const more = state.status.more ? ", the first ones of more" : "";
  $("extensions-count").textContent = all.length ? `(${wanted ? `${shown.length} of ` : ""}${all.length}${more})` : "";
  const whole = state.status.more ? " For one that is not among them, write all of it: 1000@example.com." : "";
  $("extensions-none").textContent = !all.length ? "None yet: callhop extension add 1000@example.com --device 1001"
    : `None of those shown has that.${whole}`;
  table("extensions", shown, (e) => e.id, extensionRow);
}

// ---- an extension that is not among the first ones, which are all that the stream tells of

let looked = null, looking = null;

const known = (id) => state.extensions.get(id) ?? (looked?.id === id ? looked : undefined);

/** Looks the wanted extension up, and again while it is wanted. */
async function lookUp() {
  clearTimeout(looking);
  const id = $("filter").value.trim().toLowerCase();
  if (!state.status.more || !/^[^@]+@[^@]+$/.test(id) || state.extensions.has(id)) return;
  try {
    const [found, live] = await Promise.all([
      ask("GET", extensionPath(id)),
      ask("GET", `${extensionPath(id)}/devices`),
    ]);
    looked = { ...found, devices: live.devices };
  } catch {
    looked = null;
  }
  showExtensions();
  if (looked) looking = setTimeout(lookUp, 2000);
}

// ---- news for who does not see the page

function tell(before, change) {
  const news = [];
  for (const one of change.switches ?? []) {
    const old = before.switches.find((s) => s.name === one.name);
    if (old && old.fresh !== one.fresh) news.push(`Switch ${one.name} is ${one.fresh ? "fresh" : "stale"}.`);
  }
  for (const move of change.moves ?? []) {
    const known = before.moves.find((m) => m.id === move.id);
    if (move.outcome && !known?.outcome) {
      news.push(`${words(move.kind)} by ${move.extension} to ${move.to ?? "nowhere"}: ${words(move.outcome)}.`);
    }
  }
  for (const one of change.extensions ?? []) {
    const old = before.extensions.get(one.id);
    if (old && routeText(old.route) !== routeText(one.route)) news.push(`Calls to ${one.id} ring: ${routeText(one.route)}.`);
  }
  if (news.length) say(news.join(" "));
}

// ---- the stream

function take(data) {
  for (const part of ["status", "switches", "calls", "moves"]) if (data[part]) state[part] = data[part];
  for (const one of data.extensions ?? []) state.extensions.set(one.id, one);
  for (const id of data.removed ?? []) state.extensions.delete(id);
  show();
}

// ---- start

$("filter").addEventListener("input", () => {
  showExtensions();
  clearTimeout(looking);
  looking = setTimeout(lookUp, 300);
});
// Times are shown by the day, and routes end.
setInterval(() => { if (state.extensions.size) show(); }, 30000);
takeToken();
recognise();
stream.run((name, data) => {
  if (name === "snapshot") state.extensions.clear();
  if (name === "change") tell({ ...state, extensions: new Map(state.extensions) }, data);
  take(data);
}, (live, wrong, hidden) => {
  $("link").textContent = live ? "live" : wrong;
  $("link").classList.toggle("live", live);
  $("away").hidden = live;
  $("away").textContent = hidden ?? "Not connected: what stands here was known last.";
  if (!hidden) return;
  // Whoever forgets a token leaves the screen to others.
  state.extensions.clear();
  looked = null;
  take(NOTHING);
});
