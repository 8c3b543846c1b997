// The page book/live: draw a beginning, let the GPT finish it, see what each pixel costs.
import { draw, probabilities } from "./filter.js";
import { gpt, readWeights } from "./gpt.js";

const SIDE = 28, PLACES = SIDE * SIDE, GREYS = 256, NONE = 10; // the label for none
const NOT_YET = [173, 216, 230]; // as in the book's other pictures
const MOST_BITS = 12; // a pixel of more is drawn as one of these
const drawing = new Uint8Array(PLACES), tokens = new Uint8Array(PLACES);
const costs = new Float32Array(PLACES), expected = new Float32Array(PLACES * GREYS);
const part = (name) => document.getElementById(`live-${name}`);
const form = part("form"), paper = part("paper");
let start = null;  // begins a digit, once the weights are here
let count = 0;     // pixels of `tokens` on show; 0: the reader's drawing is
let frame = 0;     // the next slice of work, while the model draws
let cursor = 7 * SIDE + 9, pen = null;

const settings = () => Object.fromEntries(new FormData(form));
const grey = (value) => [value, value, value];
const say = (text) => { part("status").textContent = text; };

// One hue, from black (nothing) to a light orange.
const costColour = (bits) => [[255, 0.7], [200, 1.3], [150, 2.5]].map(
  ([most, power]) => most * Math.min(1, bits / MOST_BITS) ** power);

function pixelColour(place) {
  if (count) return place < count ? grey(tokens[place]) : NOT_YET;
  if (place < form.rows.value * SIDE) return grey(drawing[place]);
  return NOT_YET.map((value) => 0.8 * value + 0.2 * drawing[place]);
}

function fill(canvas, colour) {
  const image = new ImageData(SIDE, SIDE);
  for (let place = 0; place < PLACES; place++)
    image.data.set([...colour(place), 255], 4 * place);
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function bars(canvas, heights, colour) { // heights in 0 .. 1, one column each
  const context = canvas.getContext("2d"), { width, height } = canvas;
  context.clearRect(0, 0, width, height);
  heights.forEach((part, i) => {
    context.fillStyle = colour(i);
    context.fillRect(i, height * (1 - part), 1, height * part);
  });
}

function show() {
  const known = costs.subarray(0, count), bits = known.reduce((sum, cost) => sum + cost, 0);
  fill(paper, pixelColour);
  fill(part("costs"), (place) => place < count ? costColour(costs[place]) : [52, 65, 70]);
  bars(part("strip"), [...known].map((cost) => Math.min(1, cost / MOST_BITS)),
    (place) => `rgb(${costColour(costs[place])})`);
  part("bits").textContent = count ? `${bits.toFixed(1)} bits` : "– bits";
  part("bytes").textContent = count ? `${Math.ceil(bits / 8)} bytes` : "– bytes";
  part("row").textContent = frame ? `row ${Math.ceil(count / SIDE)} of ${SIDE}` : "";
  for (const name of ["rows", "t", "p"]) part(name).value = form[name].value;
  paper.parentNode.style.setProperty("--kept", form.rows.value / SIDE);
  part("finish").textContent = frame ? "Stop" : "Finish the digit";
  inspect(cursor);
}

function inspect(place) { // -> the pixel in words
  const row = Math.floor(place / SIDE), column = place % SIDE, known = place < count;
  const value = known ? tokens[place] : drawing[place];
  const text = `Row ${row + 1}, column ${column + 1}: grey ${value}`
    + (known ? `, ${costs[place].toFixed(2)} bits` : "");
  cursor = place;
  part("pixel").textContent = text;
  for (const canvas of [paper, part("costs")]) {
    canvas.parentNode.style.setProperty("--row", row / SIDE);
    canvas.parentNode.style.setProperty("--column", column / SIDE);
  }
  const guess = [...expected.subarray(place * GREYS, known ? (place + 1) * GREYS : 0)];
  bars(part("guess"), guess.map((p) => Math.max(0, 1 + Math.log2(p) / MOST_BITS)),
    (i) => i === value ? "#ffbc78" : "#7fa7c9");
  return text;
}

// The number in [0, 1) of a place: the same for the same seed, whatever is kept.
function uniform(seed, place) {
  let bits = Math.imul(seed, 0x9e3779b1) ^ Math.imul(place + 1, 0x85ebca77);
  for (const factor of [0x2c1b3c6d, 0x297a2d39]) bits = Math.imul(bits ^ bits >>> 15, factor);
  return ((bits ^ bits >>> 16) >>> 0) / 2 ** 32;
}

function stop() {
  cancelAnimationFrame(frame);
  frame = 0;
}

function finish() {
  const { label, rows, t, p, seed } = settings(), step = start(Number(label));
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  let token;
  function work() {
    const end = performance.now() + 11;
    for (; count < PLACES && performance.now() < end; count++) {
      const logits = step(token), probs = probabilities(logits);
      token = count < rows * SIDE ? drawing[count]
        : draw(probabilities(logits, Number(t), Infinity, Number(p)), uniform(seed, count));
      tokens[count] = token;
      costs[count] = -Math.log2(probs[token]);
      expected.set(probs, count * GREYS);
    }
    frame = count < PLACES ? requestAnimationFrame(work) : 0;
    if (!frame || !calm) show();
    if (!frame) say(`Done: ${part("bytes").textContent}, ${part("bits").textContent}.`);
  }
  stop();
  count = 0;
  say(`The model draws from row ${Math.min(SIDE, Number(rows) + 1)} on.`);
  work();
}

// A stroke about two pixels wide with soft edges, from one point (x, y) to another.
function stroke([x, y], [toX, toY], erase) {
  const dx = toX - x, dy = toY - y, length = dx * dx + dy * dy || 1;
  for (let place = 0; place < PLACES; place++) {
    const px = place % SIDE + 0.5 - x, py = Math.floor(place / SIDE) + 0.5 - y;
    const along = Math.min(1, Math.max(0, (px * dx + py * dy) / length));
    const ink = 255 * Math.min(1, Math.max(0, 1.6 - Math.hypot(px - along * dx, py - along * dy)));
    drawing[place] = erase ? Math.min(drawing[place], 255 - ink) : Math.max(drawing[place], ink);
  }
}

function edit(change) { // the reader's drawing is on show again
  stop();
  count = 0;
  change();
  show();
}

function example({ rows, strokes }) {
  drawing.fill(0);
  form.rows.value = rows;
  for (const line of strokes.split(";")) {
    const points = line.trim().split(" ").map((point) => point.split(",").map(Number));
    points.forEach((point, i) => stroke(points[Math.max(0, i - 1)], point));
  }
}

function saveAsPng() {
  const canvas = Object.assign(document.createElement("canvas"), { width: SIDE, height: SIDE });
  fill(canvas, (place) => grey(count ? tokens[place] : drawing[place]));
  const link = Object.assign(document.createElement("a"), { download: "digit.png" });
  link.href = canvas.toDataURL();
  link.click();
}

// The weights stand in a script of their own: a page in a folder may not fetch a file.
function load() {
  const script = document.createElement("script");
  const failed = (error) => say(`${error.message} The model is not loaded.`);
  script.onerror = () => failed(Error("The file of weights could not be read."));
  script.onload = async () => {
    try {
      start = gpt(await readWeights(Uint8Array.from(
        atob(pixellabWeights), (letter) => letter.charCodeAt(0))));
      part("load").hidden = true;
      part("finish").disabled = false;
      part("finish").focus();
      say("The model is here.");
    } catch (error) {
      failed(error);
    }
  };
  script.src = part("load").dataset.weights;
  document.head.append(script);
  say("Loading …");
}

function move(event) {
  const step = { ArrowUp: -SIDE, ArrowDown: SIDE, ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const erase = event.shiftKey || event.key === "Backspace" || event.key === "Delete";
  const spot = [cursor % SIDE + 0.5, Math.floor(cursor / SIDE) + 0.5];
  if (step) cursor = Math.min(PLACES - 1, Math.max(0, cursor + step));
  else if (event.key === " " || erase && event.key !== "Shift") edit(() => stroke(spot, spot, erase));
  else return;
  event.preventDefault();
  say(inspect(cursor));
}

const pointOf = (event) => [event.offsetX, event.offsetY].map((offset) =>
  Math.min(SIDE - 0.01, Math.max(0, offset / event.target.clientWidth * SIDE)));

function point(event) {
  const at = pointOf(event), from = pen;
  if (pen) edit(() => stroke(from, pen = at, event.shiftKey || part("eraser").checked));
  inspect(Math.floor(at[1]) * SIDE + Math.floor(at[0]));
}

function readHash() {
  for (const [name, value] of new URLSearchParams(location.hash.slice(1)))
    if (["label", "rows", "t", "p", "seed"].includes(name)) form[name].value = value;
  if (form.label.selectedIndex < 0) form.label.value = NONE;
  show();
}

paper.addEventListener("pointerdown", (event) => {
  paper.setPointerCapture(event.pointerId);
  pen = pointOf(event);
  point(event);
});
for (const end of ["pointerup", "pointercancel"]) paper.addEventListener(end, () => { pen = null; });
for (const canvas of [paper, part("costs")]) canvas.addEventListener("pointermove", point);
paper.addEventListener("keydown", move);
form.addEventListener("input", () => count ? finish() : show());
form.addEventListener("change", () => history.replaceState(null, "",
  `#${new URLSearchParams(settings())}`));
form.addEventListener("submit", (event) => event.preventDefault());
addEventListener("hashchange", readHash);
part("load").onclick = load;
part("finish").onclick = () => { if (frame) { stop(); show(); } else finish(); };
part("undo").onclick = () => edit(() => {});
part("clear").onclick = () => edit(() => drawing.fill(0));
part("save").onclick = saveAsPng;
for (const button of document.querySelectorAll("[data-strokes]"))
  button.onclick = () => edit(() => example(button.dataset));
part("tool").hidden = false;
example(document.querySelector("[data-strokes]").dataset);
bars(part("scale"), Array(120).fill(1), (i) => `rgb(${costColour(i / 10)})`);
readHash();
