// What all explorers share: finding their figure, sliders, the address.

// Call build(root, data, images) once for each figure of this kind.
export function explorers(kind, build) {
  for (const root of document.querySelectorAll(`[data-explorer=${kind}]:not([data-live])`)) {
    root.dataset.live = "";
    const images = [...root.querySelectorAll("img")];
    Promise.all(images.map((image) => image.decode())).then(() =>
      build(root, JSON.parse(root.querySelector("script").textContent), images));
  }
}

// A new element inside parent, with these properties.
export function make(parent, tag, properties = {}) {
  const element = Object.assign(document.createElement(tag), properties);
  if (properties.label) element.setAttribute("aria-label", properties.label);
  parent.append(element);
  return element;
}

// A picture of width x height pixels, `shown` high; label says what it shows.
export function canvas(parent, width, height, label, shown) {
  const element = make(parent, "canvas", { width, height, label });
  element.setAttribute("role", "img");
  element.style.width = `${shown * width / height}px`;
  return element;
}

// The tile at (row, column) of a sheet of tiles, gap pixels apart, as
// arguments of drawImage.
export const tile = (row, column, width, height, gap = 0) =>
  [column * (width + gap), row * (height + gap), width, height];

const settings = () => new URLSearchParams(location.hash.slice(1));

// Write a setting into the address, so that it can be linked to.
export function remember(key, value) {
  const now = settings();
  for (const [name, text] of [...now]) if (!text) now.delete(name); // a mere anchor
  now.set(key, value);
  try {
    history.replaceState(null, "", `#${now}`);
  } catch { /* some notebooks show outputs where there is no address */ }
}

// Call change(text) with the setting that the address holds: now and later.
export function recall(root, key, change) {
  const read = (jump) => {
    const text = settings().get(key);
    if (text === null) return;
    change(text);
    if (jump) root.scrollIntoView({ block: "center" });
  };
  addEventListener("hashchange", () => read(false));
  read(true);
}

// Sliders {key: {label, min, max, step, value, words}}. Calls change(state)
// now and after each move. words: what to say instead of each number.
export function sliders(root, specs, change) {
  const panel = make(root, "div", { className: "pl-controls" });
  const state = {}, set = {};
  for (const [key, { label, words, value, ...range }] of Object.entries(specs)) {
    const box = make(panel, "label", { textContent: label });
    const said = make(box, "output");
    const input = make(box, "input", { type: "range", ...range });
    set[key] = (number) => {
      input.value = number; // the browser keeps it within the range
      state[key] = Number(input.value);
      said.textContent = words ? words[state[key]] : input.value;
      input.setAttribute("aria-valuetext", said.textContent);
    };
    set[key](value);
    input.addEventListener("input", () => {
      set[key](input.value);
      remember(key, input.value);
      change(state);
    });
  }
  for (const key of Object.keys(specs))
    recall(root, key, (text) => {
      if (text === "" || Number.isNaN(Number(text))) return;
      set[key](text);
      change(state);
    });
  change(state);
}

// Let a grid of rows x columns be chosen from by pointer or keyboard: calls
// choose(row, column), and point(row, column) where the arrow keys go.
export function choosable(canvas, rows, columns, point, choose) {
  let row = 0, column = 0;
  const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  canvas.addEventListener("click", (event) => {
    const { left, top, width, height } = canvas.getBoundingClientRect();
    row = Math.min(rows - 1, Math.max(0, Math.floor((event.clientY - top) / height * rows)));
    column = Math.min(columns - 1, Math.max(0, Math.floor((event.clientX - left) / width * columns)));
    choose(row, column);
  });
  canvas.addEventListener("keydown", (event) => {
    if (steps[event.key]) {
      row = (row + steps[event.key][0] + rows) % rows;
      column = (column + steps[event.key][1] + columns) % columns;
      point(row, column);
    } else if (event.key === "Enter" || event.key === " ") choose(row, column);
    else return;
    event.preventDefault();
  });
}
