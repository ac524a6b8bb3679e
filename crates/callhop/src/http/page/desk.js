// The desk of `callhop demo`: phones that ring, answer, hold, hang up and dial. Loaded before the page's own script, and only in
// the demo. It shows what /demo/events tells and acts by POST /demo/phones. Text goes into the page as text only, and what is
// there is changed in place, so that the focus and a screen reader's place stay.
"use strict";

(() => {
  // The token comes behind the #, which no server is sent. It is taken out of the address before anything else is done.
  const KEY = "callhop-token";
  const brought = /^#token=(callhop_[0-9a-f]{64})$/.exec(location.hash);
  if (brought) {
    sessionStorage.setItem(KEY, brought[1]);
    history.replaceState(null, "", location.pathname + location.search);
  }

  // What each phone has buttons for: what is dialled, and what that does.
  const CUSTOMER = [["1000", "call Alex"], ["2000", "call Robin"]];
  const DEVICE = [
    ["*33", "pull"], ["*50", "only here"], ["*51", "all ring"], ["*492000", "at Robin's"], ["2000", "call Robin"],
  ];
  const DEVICE_TALKS = [["*9", "push"], ["2000#", "to Robin"], ["1000#", "my others"], ["*", "take back"]];
  const COLLEAGUE = [["1000", "call Alex"], ["*50", "only here"]];
  const COLLEAGUE_TALKS = [["*9", "push"], ["1000#", "to Alex"], ["*", "take back"]];
  const BADGES = { ringing: "ring", dialling: "ring", answered: "good", on_hold: "warn" };

  function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  let problem, news, grid;
  const cards = new Map();

  async function act(phone, what, body = {}) {
    const headers = { "Content-Type": "application/json" };
    const token = sessionStorage.getItem(KEY);
    if (token) headers.Authorization = `Bearer ${token}`;
    problem.textContent = "";
    try {
      const answer = await fetch(`/demo/phones/${phone.id}/${what}`, { method: "POST", headers, body: JSON.stringify(body) });
      if (answer.ok) return;
      const told = await answer.json().catch(() => ({}));
      problem.textContent = answer.status === 401
        ? "This needs the demo’s token: open the address that callhop demo has printed."
        : `${phone.name}: ${told.detail ?? answer.statusText}`;
    } catch {
      problem.textContent = "The demo does not answer.";
    }
  }

  /** A button whose name says on which phone it is. */
  function button(text, phone, press, attributes = {}) {
    const made = element("button", { type: "button", "aria-label": `${text} on ${phone.name}`, ...attributes }, text);
    made.addEventListener("click", press);
    return made;
  }

  function quick(phone, keys, press) {
    return element("p", { class: "keys" }, ...keys.map(([keyed, hint]) => {
      const made = button(`${keyed} ${hint}`, phone, () => press(keyed));
      made.replaceChildren(element("strong", {}, keyed), " ", element("small", {}, hint));
      return made;
    }));
  }

  /** An input with its button, and the buttons for what is dialled most. */
  function keypad(phone, label, go, keys, press) {
    const input = element("input", {
      "aria-label": `${label} on ${phone.name}`, placeholder: label, autocomplete: "off", inputmode: "tel", spellcheck: "false",
      maxlength: "24", pattern: "[0-9*#]+", title: "digits, * and #", required: "",
    });
    const form = element("form", { class: "keypad" },
      element("p", {}, input, element("button", { type: "submit", "aria-label": `${go} on ${phone.name}` }, go)),
      quick(phone, keys, press));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      press(input.value);
      input.value = "";
    });
    return form;
  }

  function makeCall(phone) {
    const state = element("span", { class: "badge" });
    const display = element("span", { class: "display" });
    const part = { root: element("li"), state, display, buttons: {}, call: null };
    const made = (key, text, attributes) => {
      part.buttons[key] = button(text, phone, () => act(phone, key, { call: part.call }), attributes);
      return part.buttons[key];
    };
    part.root.append(
      element("p", {}, state), element("p", { class: "screen" }, element("span", { class: "dim" }, "Display: "), display),
      element("p", { class: "keys" }, made("answer", "Answer", { class: "main" }), made("hold", "Hold"), made("resume", "Resume"),
        made("hang-up", "Hang up")));
    return part;
  }

  function showCall(part, call, phone) {
    part.call = call.call;
    // Two calls have the same buttons: their names then say whose call it is.
    const whose = phone.calls.length > 1 ? `, ${call.display}` : "";
    for (const one of Object.values(part.buttons)) one.setAttribute("aria-label", `${one.textContent} on ${phone.name}${whose}`);
    part.state.textContent = call.words;
    part.state.className = `badge ${BADGES[call.state] ?? ""}`;
    part.display.textContent = call.display;
    part.buttons.answer.hidden = call.state !== "ringing";
    part.buttons.hold.hidden = call.state !== "answered";
    part.buttons.resume.hidden = call.state !== "on_hold";
  }

  function makeCard(phone) {
    const title = element("h3", { id: `phone-${phone.id}` }, `${phone.name} `, element("span", { class: "quiet" }, phone.number));
    const calls = element("ul", { class: "phone-calls" });
    const idle = element("p", { class: "quiet" });
    const root = element("div", { class: "phone", role: "group", "aria-labelledby": title.id }, title,
      element("p", { class: "quiet" }, phone.extension ? `${phone.person}, extension ${phone.extension}` : "outside"),
      element("div", { class: "now" }, idle, calls));
    const card = { root, calls, idle, parts: new Map(), told: "" };
    const dial = (number) => act(phone, "dial", { number });
    if (phone.extension) {
      const digits = (keyed) => act(phone, "digits", { digits: keyed, call: card.talks });
      const [idles, talks] = phone.extension === "1000" ? [DEVICE, DEVICE_TALKS] : [COLLEAGUE, COLLEAGUE_TALKS];
      card.dial = keypad(phone, "Number", "Dial", idles, dial);
      card.digits = keypad(phone, "Digits", "Send", talks, digits);
      root.append(card.dial, card.digits);
    } else {
      card.dial = quick(phone, CUSTOMER, dial);
      root.append(card.dial);
    }
    grid.append(root);
    return card;
  }

  const line = (phone) =>
    phone.calls.map((call) => `${call.words}, ${call.display}`).join("; ") || `idle${phone.last ? `, ${phone.last}` : ""}`;

  function showPhone(phone) {
    const card = cards.get(phone.id) ?? makeCard(phone);
    cards.set(phone.id, card);
    const focused = card.root.contains(document.activeElement);
    const gone = new Set(card.parts.keys());
    for (const call of phone.calls) {
      gone.delete(call.call);
      let part = card.parts.get(call.call);
      if (!part) {
        part = makeCall(phone);
        card.parts.set(call.call, part);
        card.calls.append(part.root);
      }
      showCall(part, call, phone);
    }
    for (const call of gone) {
      card.parts.get(call).root.remove();
      card.parts.delete(call);
    }
    card.idle.hidden = phone.calls.length > 0;
    card.idle.textContent = phone.last ? `Idle. Last call: ${phone.last}.` : "Idle.";
    // As on a real phone, what is keyed while one talks goes into the call.
    card.talks = phone.calls.findLast((call) => call.state === "answered")?.call;
    if (card.digits) card.digits.hidden = !card.talks;
    card.dial.hidden = Boolean(card.digits ? card.talks : phone.calls.length);
    card.root.classList.toggle("rings", phone.calls.some((call) => call.state === "ringing"));
    if (focused && !card.root.querySelector(":focus")?.checkVisibility()) {
      // What had the focus has gone: the next thing to do on this phone gets it.
      const next = [...card.root.querySelectorAll("button, input")].find((one) => one.checkVisibility());
      next?.focus();
    }
    const told = line(phone);
    const changed = card.told && card.told !== told ? `${phone.name}: ${told}.` : "";
    card.told = told;
    return changed;
  }

  let stream = null, again = null;

  function listen() {
    stream = new EventSource("/demo/events");
    stream.addEventListener("desk", (event) => {
      grid.removeAttribute("aria-busy");
      const changes = JSON.parse(event.data).phones.map(showPhone).filter(Boolean);
      if (changes.length) news.textContent = changes.join(" ");
    });
    stream.addEventListener("error", () => {
      grid.setAttribute("aria-busy", "true");
      clearTimeout(again);
      if (stream.readyState === EventSource.CLOSED) again = setTimeout(listen, 2000 + Math.random() * 2000);
    });
  }

  problem = element("p", { class: "error", role: "alert" });
  news = element("p", { class: "unseen", role: "status", "aria-live": "polite" });
  grid = element("div", { class: "phones" });
  document.querySelector("main").prepend(element("section", { id: "desk", "aria-labelledby": "desk-title" },
    element("h2", { id: "desk-title" }, "Phones"),
    element("p", { class: "quiet" }, "Call Alex as the customer, answer on the desk phone, then press *33 on the mobile. "
      + "Switch and phones act; the controller is the real one."),
    problem, news, grid));
  listen();
})();
