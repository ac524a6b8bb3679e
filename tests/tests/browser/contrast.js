// Returns the texts whose contrast against what is behind them is below `arguments[0]` (WCAG 2.1, 1.4.3), each with its colours.
// Of what is behind a text the background colours of its ancestors count; the page has no pictures behind text.
const least = arguments[0];
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });

/** Any CSS colour as [red, green, blue, alpha], 0 to 255 and 0 to 1. */
function parse(color) {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = color;
  canvas.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
  return [r, g, b, a / 255];
}

const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);

function luminance([r, g, b]) {
  const linear = [r, g, b].map((one) => {
    const c = one / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
}

function behind(element) {
  const layers = [];
  for (let one = element; one; one = one.parentElement) layers.push(parse(getComputedStyle(one).backgroundColor));
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  return layers.reverse().reduce((below, top) => over(top, below), dark ? [18, 18, 18, 1] : [255, 255, 255, 1]);
}

function opacity(element) {
  let product = 1;
  for (let one = element; one; one = one.parentElement) product *= Number(getComputedStyle(one).opacity);
  return product;
}

const isShown = (element) => element.checkVisibility({ checkOpacity: false, visibilityProperty: true })
  && !element.closest(".unseen") && element.getClientRects().length > 0;
// A modal dialog makes everything else inert, and dims it.
const modal = document.querySelector("dialog:modal");

let looked = 0;
const low = [];
function check(element, text, color) {
  const back = behind(element);
  const [r, g, b, a] = parse(color);
  const front = over([r, g, b, a * opacity(element)], back);
  const [light, dark] = [luminance(front), luminance(back)].sort((x, y) => y - x);
  const contrast = (light + 0.05) / (dark + 0.05);
  looked += 1;
  if (contrast < least) low.push({ text, contrast: contrast.toFixed(2), front: front.slice(0, 3), back: back.slice(0, 3) });
}

for (const element of (modal ?? document.body).querySelectorAll("*")) {
  if (!isShown(element) || element.matches(":disabled")) continue;
  const text = [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE).map((node) => node.data.trim()).join(" ").trim();
  if (text || element.matches("input:not([type=radio])")) check(element, text || element.id, getComputedStyle(element).color);
  if (element.matches("input") && element.placeholder) {
    check(element, element.placeholder, getComputedStyle(element, "::placeholder").color);
  }
  for (const place of ["::before", "::after"]) {
    const style = getComputedStyle(element, place);
    if (/^".*\S.*"$/.test(style.content)) check(element, style.content, style.color);
  }
}
return { looked, low };
