// The dialogs: a token, a route, a move, and why an extension rings where it does.
"use strict";

/** Opens a dialog. When it is closed the focus goes back to where it was, also if that row has been made anew meanwhile. */
function openDialog(id) {
  const dialog = $(id);
  if (dialog.open) return;
  const before = document.activeElement;
  const row = before.closest("[data-key]");
  const list = row?.parentElement;
  const again = () => {
    const now = [...(list?.children ?? [])].find((one) => one.dataset.key === row.dataset.key);
    return now?.querySelector(`[data-do="${before.dataset.do}"]`) ?? now?.querySelector("button");
  };
  dialog.addEventListener("close", () => { if (!before.isConnected) again()?.focus(); }, { once: true });
  dialog.showModal();
}

for (const button of document.querySelectorAll("[data-close]")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}

/** Has a form do its work: its button counts once, and what is refused is told in the dialog. */
function onSubmit(name, work) {
  const error = $(`${name}-error`);
  $(`${name}-form`).addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = event.submitter;
    if (button) button.disabled = true;
    error.textContent = "";
    try {
      await work();
      $(`${name}-dialog`).close();
    } catch (problem) {
      error.textContent = problem.status === 412
        ? "Somebody else has changed it meanwhile. Close this, look, and try again."
        : problem.detail ?? String(problem);
    } finally {
      if (button) button.disabled = false;
    }
  });
}

const chosen = (name) => document.querySelector(`input[name="${name}"]:checked`)?.value;

/** Puts one choice for each of `[value, text, disabled]` behind the legend of a fieldset. */
function choices(fieldset, name, all) {
  while (fieldset.children.length > 1) fieldset.lastElementChild.remove();
  for (const [value, text, disabled] of all) {
    const input = element("input", { type: "radio", name, value });
    input.disabled = Boolean(disabled);
    fieldset.append(element("label", {}, input, text));
  }
}

function choose(name, value) {
  for (const input of document.getElementsByName(name)) input.checked = input.value === value;
}

// ---- the token

const FOR = { read: "To look", route: "To change routes", move: "To move calls" };
let afterToken = null;

function openToken(scope, then = null) {
  afterToken = then;
  $("token-why").textContent = `${FOR[scope]} a token with the scope ${scope} is needed`
    + (holder ? `, which ${holder.name} has not. On the machine of Callhop:` : ". On the machine of Callhop:");
  $("token-command").textContent = `callhop token add NAME --scope ${scope}`;
  $("token-error").textContent = "";
  $("token-input").value = "";
  openDialog("token-dialog");
}

$("token-button").addEventListener("click", () => {
  if (!holder) return openToken("route");
  forget();
  say("The token is forgotten.");
});

onSubmit("token", async () => {
  const next = afterToken;
  await use($("token-input").value.trim());
  say($("token-text").textContent);
  // Once this dialog is closed, and the focus is back.
  if (next) $("token-dialog").addEventListener("close", () => next(), { once: true });
});

/** What needs a scope is done with it, or after a token that has it was given. */
function withScope(scope, then) {
  if (may(scope)) then();
  else openToken(scope, () => { if (may(scope)) then(); });
}

// ---- the route

let routed = null;

function openRoute(id) {
  const extension = known(id);
  if (!extension) return;
  // What the person sees now: whoever changes it meanwhile is not overwritten.
  routed = { id, version: extension.version };
  const route = extension.route.in_force ? extension.route : { rings: "all_devices" };
  $("route-extension").textContent = id;
  choices($("route-targets"), "to", [
    ["all", "all devices"],
    ...extension.devices.map(({ device }) => [`device ${number(device)}`, `only ${number(device)}`]),
    ["colleague", "where a colleague's calls ring"],
  ]);
  choose("to", { device: `device ${number(route.to ?? "")}`, colleague: "colleague" }[route.rings] ?? "all");
  $("route-colleague").value = route.rings === "colleague" ? number(route.to) : "";
  choose("end", route.next_call ? "next_call" : route.until ? "until" : "never");
  $("route-until").value = route.until ? local(time(route.until)) : "";
  $("route-until").min = local(new Date());
  $("route-error").textContent = "";
  enableRoute();
  openDialog("route-dialog");
}

/** A time as the field wants it: in the clock of the person. */
function local(date) {
  const shifted = new Date(date.getTime() - date.getTimezoneOffset() * 60000);
  return shifted.toISOString().slice(0, 16);
}

/** Shows only what belongs to what is chosen. */
function enableRoute() {
  const to = chosen("to");
  $("route-colleague-row").hidden = to !== "colleague";
  $("route-colleague").required = to === "colleague";
  $("route-end").hidden = to === "all";
  const timed = to !== "all" && chosen("end") === "until";
  $("route-until-row").hidden = !timed;
  $("route-until").required = timed;
}

$("route-form").addEventListener("change", enableRoute);

onSubmit("route", async () => {
  const { id, version } = routed;
  const headers = { "If-Match": `"${version}"` };
  const to = chosen("to");
  if (to === "all") {
    await ask("DELETE", `${extensionPath(id)}/route`, { headers });
  } else {
    const body = { to: to === "colleague" ? $("route-colleague").value.trim() : to.slice("device ".length) };
    if (chosen("end") === "next_call") body.next_call = true;
    if (chosen("end") === "until") body.until = new Date($("route-until").value).toISOString();
    await ask("PUT", `${extensionPath(id)}/route`, { headers, body });
  }
  lookUp();
});

// ---- a move

let moved = null;

function openMove(id) {
  const extension = known(id);
  if (!extension) return;
  moved = id;
  $("move-extension").textContent = id;
  const devices = extension.devices.map(({ device, switches }) => {
    const state = switches.find((on) => ["talking", "held"].includes(on.state))?.state;
    const away = !switches.some((on) => on.registered);
    return [`device ${number(device)}`, `${number(device)}${state ? `, ${state}` : away ? ", not registered" : ""}`, away];
  });
  choices($("move-targets"), "where", [...devices, ["number", "a colleague or another number"]]);
  choose("where", "number");
  // The first one that could take it.
  const free = extension.devices.find(({ switches }) =>
    switches.some((on) => on.registered) && switches.every((on) => on.state === "idle"));
  if (free) choose("where", `device ${number(free.device)}`);
  $("move-number").value = "";
  $("move-error").textContent = "";
  enableMove();
  openDialog("move-dialog");
}

function enableMove() {
  $("move-number-row").hidden = chosen("where") !== "number";
  $("move-number").required = chosen("where") === "number";
}

$("move-form").addEventListener("change", enableMove);

onSubmit("move", async () => {
  const where = chosen("where");
  const [what, to] = where === "number" ? ["push", $("move-number").value.trim()] : ["pull", where.slice("device ".length)];
  await ask("POST", `${extensionPath(moved)}/${what}`, { body: { to } });
  say(`${to} rings for the call of ${moved}.`);
});

/** Withdraws a move that nobody has answered. */
function stopMove(id) {
  $("moves-title").focus();
  ask("DELETE", `/v1/moves/${encodeURIComponent(id)}`).catch((problem) => say(problem.detail));
}

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
  openDialog("why-dialog");
  let found;
  try {
    found = await ask("GET", `/v1/why/${encodeURIComponent(id)}`);
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
