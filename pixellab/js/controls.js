// What all explorers share: figures, pictures, sliders, settings in the address.

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
export function make(parent, tag, properties = {}) {
  return parent.appendChild(Object.assign(document.createElement(tag), properties));
}

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

// The part of a sheet that is the tile at (row, column), tiles being gap pixels apart.
export const tile = (row, column, width, height, gap = 0) =>
  [column * (width + gap), row * (height + gap), width, height];

// A setting that stands in the address. Calls use(value) with `first` and with what the
// address says, now and later. Returns set(value): use it and, at rest, write it there.
export function setting(stage, key, first, use) {
  const name = key + stage.closest("[data-explorer]").dataset.live;
  const all = () => [...new URLSearchParams(location.hash.slice(1))].filter(([, text]) => text);
  const read = () => all().forEach(([other, text]) => other === name && use(text));
  let resting;
  use(first);
  read();
  addEventListener("hashchange", read);
  if (all().at(-1)?.[0] === name) stage.scrollIntoView({ block: "center" }); // the newest
  return (value) => {
    use(value);
    clearTimeout(resting);
    resting = setTimeout(() => {
      const now = [...all().filter(([other]) => other !== name), [name, value]];
      try { history.replaceState(null, "", `#${new URLSearchParams(now)}`); }
      catch { /* some notebooks show outputs where there is no address */ }
    }, 200);
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
      input.value = text; // the browser keeps it within the range
      state[key] = Number(input.value);
      said.textContent = input.ariaValueText = words ? words[state[key]] : input.value;
      change(state);
    });
    input.addEventListener("input", () => set(input.value));
  }
}

// Let pointer and keys visit the cells of a grid, from `at`: visit(cell, whether it is chosen).
export function choosable(picture, rows, columns, at, visit) {
  const count = rows * columns;
  const steps = { ArrowUp: count - columns, ArrowDown: columns, ArrowLeft: count - 1,
    ArrowRight: 1, Enter: 0, " ": 0 };
  const part = (share, whole) => Math.min(whole - 1, Math.floor(share * whole));
  Object.assign(picture, { tabIndex: 0, role: "application" });
  picture.addEventListener("click", ({ offsetX, offsetY }) => {
    at = part(offsetY / picture.clientHeight, rows) * columns +
      part(offsetX / picture.clientWidth, columns);
    visit(at, true);
  });
  picture.addEventListener("keydown", (event) => {
    if (!(event.key in steps)) return;
    at = (at + steps[event.key]) % count;
    visit(at, steps[event.key] === 0);
    event.preventDefault();
  });
}
