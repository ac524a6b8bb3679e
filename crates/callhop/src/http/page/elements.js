// Making and keeping elements. Whatever came from outside goes into the page as text only (textContent), never as HTML. Rows
// are kept and changed in place, so that the focus and a screen reader's place stay.
"use strict";

const $ = (id) => document.getElementById(id);

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
        if (focused) (fresh.querySelector(`[data-do="${focused}"]`) ?? fresh.querySelector("button"))?.focus();
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
const actions = (...buttons) => element("td", { role: "cell", class: "actions" }, ...buttons);
const unnamed = (...children) => element("td", { role: "cell" }, ...children);

/** Tells those who do not see the page. */
function say(text) { $("news").textContent = text; }
