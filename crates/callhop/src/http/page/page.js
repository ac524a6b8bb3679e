// The page: shows what /v1/events tells, and sets routes by /v1. Whatever came from outside goes into the page as text only
// (textContent), never as HTML. Rows are kept and changed in place, so that the focus and a screen reader's place stay.
"use strict";

const $ = (id) => document.getElementById(id);
const state = { status: {}, switches: [], calls: [], moves: [], extensions: new Map() };
let token = sessionStorage.getItem("callhop-token");
let holder = null;

// ---- elements

/** An element with text and children; `attributes` are set as such. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

const badge = (text, kind = "") => element("span", { class: `badge ${kind}` }, text);
const words = (word) => String(word ?? "").replaceAll("_", " ");

/** Gives `parent` one child for each item, in order, and makes only those anew that are different. */
function fill(parent, items, key, make) {
  const before = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = key(item);
    const looks = JSON.stringify(item);
    let child = before.get(name);
    before.delete(name);
    if (!child || child.looks !== looks) {
      const fresh = make(item);
      fresh.dataset.key = name;
      fresh.looks = looks;
      if (child) {
        const focused = child.contains(document.activeElement) ? document.activeElement.dataset.do : null;
        if (child === place) place = fresh;
        child.replaceWith(fresh);
        if (focused) fresh.querySelector(`[data-do="${focused}"]`)?.focus();
      }
      child = fresh;
    }
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
  }
  for (const gone of before.values()) gone.remove();
}

function table(id, items, key, make) {
  const found = $(id);
  found.closest(".scroll").hidden = items.length === 0;
  $(`${id}-none`).hidden = items.length > 0;
  fill(found.tBodies[0], items, key, make);
}

// The roles stay when a small window shows a row as a block.
const row = (...children) => element("tr", { role: "row" }, ...children);
const head = (...children) => element("th", { scope: "row", role: "rowheader" }, ...children);
const cell = (label, ...children) => element("td", { "data-label": label, role: "cell" }, ...children);
const unnamed = (...children) => element("td", { role: "cell" }, ...children);

// ---- what is shown

const time = (text) => new Date(text);
const sameDay = (date) => date.toDateString() === new Date().toDateString();
const shownTime = (date) =>
  sameDay(date) ? date.toLocaleTimeString() : date.toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
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
  let best = "idle", registered = 0, stale = false;
  for (const on of device.switches) {
    registered += on.registered;
    stale ||= !on.fresh;
    if (ORDER.indexOf(on.state) > ORDER.indexOf(best)) best = on.state;
  }
  const item = element("li", { class: "device" }, `${number(device.device)} `);
  if (best !== "idle") item.append(badge(best === "alone" ? "busy" : best, STATES[best]));
  else if (registered) item.append(badge("registered", "idle"));
  else item.append(element("span", { class: "dim" }, "not registered"));
  if (registered > 1) item.append(element("span", { class: "dim" }, ` ${registered} times`));
  if (stale) item.append(element("span", { class: "dim" }, " (stale)"));
  return item;
}

function extensionRow(extension) {
  const devices = element("ul", {}, ...extension.devices.map(deviceItem));
  const change = element("button", { type: "button", "data-do": "route", "aria-label": `Change the route of ${extension.id}` }, "Route …");
  change.addEventListener("click", () => openRoute(extension.id));
  const why = element("button", { type: "button", "data-do": "why", "aria-label": `Why ${extension.id} rings where it does` }, "Why?");
  why.addEventListener("click", () => openWhy(extension.id));
  return row(
    head(extension.id),
    cell("Devices", devices),
    cell("Calls ring", routeText(extension.route)),
    unnamed(change, why));
}

const LEGS = { talking: "good", holding: "warn", ringing: "ring", early: "ring", alone: "" };

function legItem(leg) {
  const who = leg.device ?? (leg.party.number || leg.channel);
  const name = !leg.device && leg.party.name && leg.party.name !== leg.party.number ? ` (${leg.party.name})` : "";
  return element("li", { class: "device" }, `${who}${name} `, badge(leg.state, LEGS[leg.state] ?? ""));
}

function callRow(call) {
  const moving = call.moving;
  const text = moving ? `${words(moving.kind)} by ${moving.extension}, ${words(moving.stage)} ${moving.to ?? ""}` : "";
  return row(
    head(call.switch),
    cell("Legs", element("ul", {}, ...call.legs.map(legItem))),
    moving ? cell("Move", badge(text.trim(), "ring")) : unnamed());
}

const OUTCOMES = { moved: "good", not_moved: "bad", recalled: "warn", far_end_gone: "" };

function moveRow(move) {
  const result = move.outcome ? badge(words(move.outcome), OUTCOMES[move.outcome]) : badge(words(move.stage), "ring");
  const cause = move.cause ? ` ${words(move.cause)}` : "";
  const took = move.took_ms === null ? "" : move.took_ms < 1000 ? `${move.took_ms} ms` : `${(move.took_ms / 1000).toFixed(1)} s`;
  return row(
    head(shownTime(time(move.started))),
    cell("Move", words(move.kind)),
    cell("By", move.extension),
    cell("From", number(move.from)),
    cell("To", move.to ? number(move.to) : "–"),
    cell("Result", result, cause),
    took ? cell("Took", took) : unnamed());
}

function switchCard(one) {
  const few = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
  return element("li", {},
    element("strong", {}, one.name),
    one.fresh ? badge("fresh", "good") : badge("stale", "bad"),
    element("p", { class: "quiet" },
      one.fresh ? few(one.legs, "leg") + (one.moves ? `, ${few(one.moves, "move")} under way` : "")
        : "not connected; what is shown of it was known last"));
}

function show() {
  $("version").textContent = state.status.version ?? "";
  $("notice").hidden = state.status.database !== false;
  $("notice").textContent = "The database does not answer: routes cannot be changed, and may be shown as they were.";
  fill($("switches"), state.switches, (s) => s.name, switchCard);
  $("calls-count").textContent = state.calls.length ? `(${state.calls.length})` : "";
  const callKey = (call) => `${call.switch} ${call.legs[0]?.channel}`;
  table("calls", state.calls, callKey, callRow);
  table("moves", state.moves, (move) => move.id, moveRow);
  showExtensions();
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
      ask("GET", extensionPath(id), { token: false }),
      ask("GET", `${extensionPath(id)}/devices`, { token: false }),
    ]);
    looked = { ...found, devices: live.devices };
  } catch {
    looked = null;
  }
  showExtensions();
  if (looked) looking = setTimeout(lookUp, 2000);
}

// ---- news for who does not see the page

function say(text) { $("news").textContent = text; }

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

let stream = null, again = null;

function listen() {
  stream?.close();
  stream = new EventSource("/v1/events");
  stream.addEventListener("snapshot", (event) => {
    $("link").textContent = "live";
    $("link").classList.add("live");
    state.extensions.clear();
    take(JSON.parse(event.data));
  });
  stream.addEventListener("change", (event) => {
    const data = JSON.parse(event.data);
    tell({ ...state, extensions: new Map(state.extensions) }, data);
    take(data);
  });
  stream.addEventListener("error", () => {
    $("link").textContent = "Callhop does not answer; trying again …";
    $("link").classList.remove("live");
    // A browser tries again by itself after a lost connection, but not after a refusal.
    clearTimeout(again);
    if (stream.readyState === EventSource.CLOSED) again = setTimeout(listen, 2000 + Math.random() * 2000);
  });
}

// ---- asking

async function ask(method, path, options = {}) {
  const headers = { ...options.headers };
  if (options.body) headers["Content-Type"] = "application/json";
  if (token && options.token !== false) headers.Authorization = `Bearer ${token}`;
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: options.body ? JSON.stringify(options.body) : undefined });
  } catch {
    throw { status: 0, detail: "Callhop does not answer." };
  }
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw { status: answer.status, detail: body.detail ?? answer.statusText };
  return body;
}

const extensionPath = (id) => `/v1/extensions/${encodeURIComponent(id)}`;

// ---- tokens

function showToken() {
  const text = $("token-text");
  if (!holder) text.textContent = "No token: you can look, not change.";
  else if (holder.may.includes("route")) text.textContent = `Token ${holder.name}: you can change routes.`;
  else text.textContent = `Token ${holder.name}: you can look, not change.`;
  $("token-button").textContent = holder ? "Forget the token" : "Enter a token";
}

function forget() {
  token = holder = null;
  sessionStorage.removeItem("callhop-token");
  showToken();
}

async function use(text) {
  token = text;
  try {
    holder = await ask("GET", "/v1/token");
    sessionStorage.setItem("callhop-token", text);
  } catch (problem) {
    // A Callhop that is away for a moment says nothing about the token.
    if (problem.status === 401) forget();
    throw problem;
  } finally {
    showToken();
  }
}

let afterToken = null;

function openToken(then = null) {
  afterToken = then;
  $("token-error").textContent = "";
  $("token-input").value = "";
  $("token-dialog").showModal();
}

$("token-button").addEventListener("click", () => {
  if (!holder) return openToken();
  forget();
  say("The token is forgotten.");
});

$("token-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await use($("token-input").value.trim());
  } catch (problem) {
    if (!holder) token = null;
    $("token-error").textContent = problem.detail;
    return;
  }
  $("token-dialog").close();
  say($("token-text").textContent);
  afterToken?.();
});

// ---- the route

let routed = null;

function openRoute(id) {
  if (!holder?.may.includes("route")) return openToken(() => openRoute(id));
  const extension = known(id);
  if (!extension) return;
  // What the person sees now: whoever changes it meanwhile is not overwritten.
  routed = { id, version: extension.version };
  const route = extension.route.in_force ? extension.route : { rings: "all_devices" };
  $("route-extension").textContent = id;
  const choice = (value, text) => {
    const input = element("input", { type: "radio", name: "to", value });
    return element("label", {}, input, ` ${text}`);
  };
  const targets = $("route-targets");
  while (targets.children.length > 1) targets.lastElementChild.remove();
  targets.append(choice("all", "all devices"));
  for (const device of extension.devices) targets.append(choice(`device ${number(device.device)}`, `only ${number(device.device)}`));
  targets.append(choice("colleague", "where a colleague's calls ring"));
  const now = route.rings === "device" ? `device ${number(route.to)}` : route.rings === "colleague" ? "colleague" : "all";
  for (const input of targets.querySelectorAll("input")) input.checked = input.value === now;
  $("route-colleague").value = route.rings === "colleague" ? number(route.to) : "";
  const end = route.next_call ? "next_call" : route.until ? "until" : "never";
  for (const input of document.getElementsByName("end")) input.checked = input.value === end;
  $("route-until").value = route.until ? local(time(route.until)) : "";
  $("route-error").textContent = "";
  enable();
  $("route-dialog").showModal();
}

/** A time as the field wants it: in the clock of the person. */
function local(date) {
  const shifted = new Date(date.getTime() - date.getTimezoneOffset() * 60000);
  return shifted.toISOString().slice(0, 16);
}

const chosen = (name) => document.querySelector(`input[name="${name}"]:checked`)?.value;

/** Shows only what belongs to what is chosen. */
function enable() {
  $("route-colleague-row").hidden = chosen("to") !== "colleague";
  $("route-colleague").required = chosen("to") === "colleague";
  $("route-end").hidden = chosen("to") === "all";
  const timed = chosen("to") !== "all" && chosen("end") === "until";
  $("route-until").closest("p").hidden = !timed;
  $("route-until").required = timed;
}

$("route-form").addEventListener("change", enable);

$("route-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const { id, version } = routed;
  const headers = { "If-Match": `"${version}"` };
  const to = chosen("to");
  const button = event.submitter;
  if (button) button.disabled = true;
  try {
    if (to === "all") {
      await ask("DELETE", `${extensionPath(id)}/route`, { headers });
    } else {
      const body = { to: to === "colleague" ? $("route-colleague").value.trim() : to.slice("device ".length) };
      if (chosen("end") === "next_call") body.next_call = true;
      if (chosen("end") === "until") body.until = new Date($("route-until").value).toISOString();
      await ask("PUT", `${extensionPath(id)}/route`, { headers, body });
    }
    $("route-dialog").close();
    lookUp();
  } catch (problem) {
    if (problem.status === 412) {
      $("route-error").textContent = "Somebody else has changed it meanwhile. Close this, look, and try again.";
    } else {
      $("route-error").textContent = problem.detail ?? String(problem);
      if (problem.status === 401) forget();
    }
  } finally {
    if (button) button.disabled = false;
  }
});

// ---- why

function stepText(step) {
  switch (step.step) {
    case "all_devices": return `${step.extension} has no route that counts: all its devices ring.`;
    case "one_device": return `${step.extension} has a route: only ${step.device}.`;
    case "colleague": return `${step.extension} has a route to the colleague's extension ${step.to}.`;
    case "expired": return `${step.extension} had a route, which is over.`;
    case "unregistered_rings_all": return `${step.extension} has a route to ${step.device}, which is not registered: all its devices ring.`;
    case "not_own_device": return `${step.extension} has a route to ${step.device}, which is not its device any more.`;
    case "cut": return `${step.extension} has a route to ${step.to}, which leads nowhere: it is cut here.`;
    default: return words(step.step);
  }
}

async function openWhy(id) {
  const body = $("why-body");
  body.replaceChildren();
  $("why-title").textContent = `Why ${id} rings where it does`;
  $("why-dialog").showModal();
  let found;
  try {
    found = await ask("GET", `/v1/why/${encodeURIComponent(id)}`, { token: false });
  } catch (problem) {
    body.append(element("p", { class: "error" }, problem.detail));
    return;
  }
  for (const one of found.switches) {
    body.append(element("h3", {}, `On ${one.switch}${one.fresh ? "" : " (not connected: as it was known last)"}`));
    const list = element("ul", {}, ...one.steps.map((step) => element("li", {}, stepText(step))));
    for (const device of one.devices) {
      const count = device.contacts.length;
      const registered = count === 0 ? "not registered" : count === 1 ? "registered" : `registered ${count} times`;
      const rings = !device.rings ? "is not asked to ring" : count ? "rings" : "would ring";
      list.append(element("li", {}, `${number(device.device)} ${rings}: ${registered}.`));
    }
    for (const [at, call] of one.pullable.entries()) {
      list.append(element("li", {}, `A pull would take, ${at ? "then" : "first"}, the call of ${number(call.device)} (${words(call.class)}).`));
    }
    if (one.not_pullable) list.append(element("li", {}, `Nothing could be pulled: ${one.not_pullable}.`));
    body.append(list);
  }
}

// ---- start

for (const button of document.querySelectorAll("[data-close]")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}
$("filter").addEventListener("input", () => {
  showExtensions();
  clearTimeout(looking);
  looking = setTimeout(lookUp, 300);
});
// Times are shown by the day, and routes end.
setInterval(() => { if (state.extensions.size) show(); }, 30000);
if (token) use(token).catch(() => {});
listen();
