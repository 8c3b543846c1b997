// What pages share: figures, pictures, settings in the address, sliders, grids to choose from.

// Call build(stage, data, images, say) once for each figure of this kind: stage takes what
// it makes; images are those of the still figure, now hidden; say(text) tells what is seen.
export function explorers(kind, build) {
  document.querySelectorAll(`[data-explorer=${kind}]`).forEach(async (figure, i) => {
    if ("live" in figure.dataset) return;
    figure.dataset.live = i ? i + 1 : ""; // its settings are named t, or t2, t3 ...
    figure.addEventListener("keydown", (event) => // else notebooks take the arrow keys
      event.ctrlKey || event.metaKey || event.stopPropagation());
    const still = figure.querySelector(".pl-still"), images = [...still.querySelectorAll("img")];
    await Promise.all(images.map((image) => image.decode()));
    still.hidden = true;
    const stage = make(figure, "div");
    const words = make(figure, "p", { className: "pl-words", ariaLive: "polite" });
    const data = JSON.parse(figure.querySelector("script").textContent);
    build(stage, data, images, (text) => { words.textContent = text; });
  });
}

// A new element inside parent, with these properties.
export const make = (parent, tag, properties = {}) =>
  parent.appendChild(Object.assign(document.createElement(tag), properties));

// A picture, its pixels enlarged `scale` times; label says what it shows.
export const canvas = (parent, width, height, ariaLabel, scale = 1) => make(parent, "canvas",
  { width, height, ariaLabel, role: "img", style: `width: ${width * scale}px` });

// Paint a part [x, y, width, height] of a sheet, or all, onto a part of a picture, or all.
export function paint(picture, sheet, from = [0, 0, sheet.naturalWidth, sheet.naturalHeight],
  to = [0, 0, picture.width, picture.height]) {
  const context = picture.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(sheet, ...from, ...to);
}

// Put an orange frame around a part of a picture.
export function outline(picture, [x, y, width, height], line) {
  const context = picture.getContext("2d");
  Object.assign(context, { strokeStyle: "#f28c28", lineWidth: line });
  context.strokeRect(x - line / 2, y - line / 2, width + line, height + line);
}

// The part of a sheet that is tile number i, tiles being gap pixels apart.
export const tile = (i, columns, width, height, gap = 0) =>
  [i % columns * (width + gap), Math.floor(i / columns) * (height + gap), width, height];

// Whether a text of the address is a whole number from 0 to count - 1.
export const fits = (text, count) => /^\d+$/.test(text) && text < count;

const named = () => [...new URLSearchParams(location.hash.slice(1))]; // #t=0.8&p=0.9
const known = new Map(); // what this script read there or wrote, the newest last
let resting;

// Call use(text) with what the address says of a setting, now and whenever that is edited.
// Returns write(value). What others wrote there stays, a place such as #exercises, too.
export function linked(name, use) {
  const read = () => named().forEach(([other, text]) => {
    if (other === name && text) use(known.set(name, text).get(name));
  });
  addEventListener("hashchange", read);
  read();
  return (value) => {
    known.delete(name);
    known.set(name, value);
    clearTimeout(resting);
    resting = setTimeout(() => { // at rest: browsers refuse 200 changes in ten seconds
      const others = location.hash.slice(1).split("&").filter((part) =>
        part && !known.has(part.split("=")[0]));
      const all = [...others, new URLSearchParams([...known])].join("&");
      try { history.replaceState(null, "", `#${all}`); }
      catch { /* some notebooks show outputs where there is no address */ }
    }, 200);
  };
}

// A setting that stands in the address. Calls use(value) with `first` and with what the
// address says, now and later. Returns set(value): use it, and write it there.
export function setting(stage, key, first, use) {
  const name = key + stage.closest("[data-explorer]").dataset.live;
  use(first);
  const write = linked(name, use);
  if (named().at(-1)?.[0] === name) stage.scrollIntoView({ block: "center" });
  return (value) => {
    use(value);
    write(value);
  };
}

// Sliders {key: {label, min, max, step, value, words}}. Calls change(state) now and
// after each move. words: what to say instead of each number.
export function sliders(stage, specs, change) {
  const panel = make(stage, "div", { className: "pl-sliders" }), state = {};
  for (const [key, { value }] of Object.entries(specs)) state[key] = value;
  for (const [key, { label, words, value, ...range }] of Object.entries(specs)) {
    const box = make(panel, "label", { textContent: label, hidden: range.min === range.max });
    const said = make(box, "b", { ariaHidden: "true" });
    const input = make(box, "input", { type: "range", ...range });
    const set = setting(stage, key, value, (text) => {
      if (!Number.isFinite(Number(text))) return;
      input.value = Number(text); // the browser keeps it within the range
      state[key] = Number(input.value);
      said.textContent = input.ariaValueText = words ? words[state[key]] : input.value;
      change(state);
    });
    input.oninput = () => set(input.value);
  }
}

// How many cells a key leads on in a grid whose ends meet, 0 for one that chooses.
export function leads({ key, altKey, ctrlKey, metaKey }, rows, columns) {
  if (altKey || ctrlKey || metaKey) return undefined; // those go to the browser
  return { ArrowUp: (rows - 1) * columns, ArrowDown: columns, ArrowLeft: rows * columns - 1,
    ArrowRight: 1, Enter: 0, " ": 0 }[key];
}

// Let pointer and keys visit the cells of a grid, from `at`: visit(cell, whether it is chosen).
export function cells(picture, rows, columns, at, visit) {
  const part = (share, whole) => Math.min(whole - 1, Math.floor(share * whole));
  Object.assign(picture, { tabIndex: 0, role: "application" });
  picture.onfocus = () => visit(at, false); // so that one sees where one is
  picture.onclick = ({ offsetX, offsetY }) => {
    at = part(offsetY / picture.clientHeight, rows) * columns +
      part(offsetX / picture.clientWidth, columns);
    visit(at, true);
  };
  picture.onkeydown = (event) => {
    const step = leads(event, rows, columns);
    if (step === undefined) return;
    at = (at + step) % (rows * columns);
    visit(at, step === 0);
    event.preventDefault();
  };
}
