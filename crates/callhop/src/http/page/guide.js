// The guide for those who dial: shows what /v1/guide says, with the token of the page if there is one, and can be printed.
"use strict";

function shown(...children) {
  const back = document.createElement("p");
  back.className = "screen";
  const link = document.createElement("a");
  link.href = "/";
  link.textContent = "Back to Callhop";
  back.append(link);
  document.getElementById("guide").replaceChildren(back, ...children);
}

async function load() {
  const token = sessionStorage.getItem("callhop-token");
  const path = `/v1/guide${location.search}`;
  let answer = null, text = "Callhop does not answer.";
  try {
    answer = await fetch(path, { headers: token ? { Authorization: `Bearer ${token}` } : {} });
    // A token that counts no more is none, and perhaps none is needed.
    if (answer.status === 401 && token) answer = await fetch(path);
  } catch { /* as it is said above */ }
  if (answer?.ok) {
    // No script of it would run, and it has none: the numbers in it were escaped by Callhop.
    const found = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.title = found.title;
    shown(...found.querySelector("main").children);
    return;
  }
  if (answer) text = (await answer.json().catch(() => ({}))).detail ?? answer.statusText;
  const said = document.createElement("p");
  said.setAttribute("role", "alert");
  said.textContent = answer?.status === 401 ? "A token is needed: give it to the page of Callhop, and come back." : text;
  shown(said);
}

load();
