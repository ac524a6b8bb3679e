// Returns what reaches beyond the sides of the window, so that somebody would have to scroll sideways to read it.
const wide = document.documentElement.clientWidth;
const out = [];
if (document.documentElement.scrollWidth > wide) out.push(`the page is ${document.documentElement.scrollWidth} wide`);
for (const element of (document.querySelector("dialog:modal") ?? document.body).querySelectorAll("*")) {
  if (!element.checkVisibility() || element.closest(".unseen, .skip, thead, noscript, svg")) continue;
  for (const { left, right } of element.getClientRects()) {
    if (left < -0.5 || right > wide + 0.5) out.push(`${element.tagName} ${element.id} ${element.textContent.slice(0, 40)}`);
  }
}
return out;
