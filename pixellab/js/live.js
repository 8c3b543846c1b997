// The page book/live: draw a beginning, let the GPT finish it, see what each pixel costs.
import { leads, linked, make } from "./controls.js";
import { draw, probabilities } from "./filter.js";
import { gpt } from "./gpt.js";

const SIDE = 28, PLACES = SIDE * SIDE, GREYS = 256;
const MOST_BITS = 12, NO_COST = [52, 65, 70]; // more bits look like these; not known yet
const drawing = new Uint8Array(PLACES), tokens = new Uint8Array(PLACES);
const costs = new Float32Array(PLACES), expected = new Float32Array(PLACES * GREYS);
const part = (name) => document.getElementById(`live-${name}`);
const form = part("form"), paper = part("paper");
let start = null; // begins a digit, once the weights are here
let count = 0;    // pixels of `tokens` on show; behind them, the reader's drawing
let frame = 0;    // the next slice of work, while the model draws
let cursor = 7 * SIDE + 9, pen = null; // a place; where paper is pressed, [x, y]

const say = (text) => { part("status").textContent = text; };
const value = (place) => (place < count ? tokens : drawing)[place];
// One hue, from black (nothing) to a light orange.
const costColour = (bits) => [[255, 0.7], [200, 1.3], [150, 2.5]].map(
  ([most, power]) => most * Math.min(1, bits / MOST_BITS) ** power);

function fill(canvas, colour) {
  const image = new ImageData(SIDE, SIDE);
  for (let place = 0; place < PLACES; place++)
    image.data.set([...colour(place), 255], 4 * place);
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function bars(canvas, heights, colour) { // one column each, heights 0 .. 1
  const context = canvas.getContext("2d"), { width, height } = canvas;
  context.clearRect(0, 0, width, height);
  heights.forEach((share, i) => {
    context.fillStyle = colour(i);
    context.fillRect(i, height * (1 - share), 1, height * share);
  });
}

function show() {
  const known = [...costs.subarray(0, count)], bits = known.reduce((sum, cost) => sum + cost, 0);
  fill(paper, (place) => Array(3).fill(value(place)));
  fill(part("costs"), (place) => place < count ? costColour(costs[place]) : NO_COST);
  bars(part("strip"), known.map((cost) => Math.min(1, cost / MOST_BITS)),
    (place) => `rgb(${costColour(costs[place])})`);
  part("bits").textContent = `${count ? bits.toFixed(1) : "–"} bits`;
  part("bytes").textContent = `${count ? Math.ceil(bits / 8) : "–"} bytes`;
  part("finish").textContent = frame ? "Stop" : "Finish the digit";
  for (const name of ["rows", "t", "p"]) part(name).textContent = form[name].value;
  inspect(cursor);
}

function inspect(place) { // -> the pixel in words
  const row = Math.floor(place / SIDE), column = place % SIDE, known = place < count;
  cursor = place;
  part("pixel").textContent = `Row ${row + 1}, column ${column + 1}: grey ${value(place)}`
    + (known ? `, ${costs[place].toFixed(2)} bits` : "");
  const kept = form.rows.value, drawn = Math.max(kept, Math.ceil(count / SIDE));
  for (const [name, many] of Object.entries({ row, column, kept, drawn }))
    part("tool").style.setProperty(`--${name}`, many / SIDE);
  const guess = known ? [...expected.subarray(place * GREYS, (place + 1) * GREYS)] : [];
  bars(part("guess"), guess.map((p) => Math.max(0, 1 + Math.log2(p) / MOST_BITS)),
    (i) => i === value(place) ? "#ffbc78" : "#7fa7c9");
  return part("pixel").textContent;
}

// The number in [0, 1) of a place: the same for the same seed, whatever is kept.
function uniform(seed, place) {
  let bits = Math.imul(seed, 0x9e3779b1) ^ Math.imul(place + 1, 0x85ebca77);
  for (const factor of [0x2c1b3c6d, 0x297a2d39]) bits = Math.imul(bits ^ bits >>> 15, factor);
  return ((bits ^ bits >>> 16) >>> 0) / 2 ** 32;
}

// Stop the model, put its part away, and change something.
function edit(change, words = "Your drawing, without the model.") {
  cancelAnimationFrame(frame);
  frame = count = 0;
  change?.();
  show();
  say(words);
}

function finish() {
  const [label, rows, t, p, seed] = [...new FormData(form).values()].map(Number); // in order
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches, step = start(label);
  function work(token) { // a slice of it, then the page may breathe
    const end = performance.now() + 11;
    for (; count < PLACES && performance.now() < end; tokens[count++] = token) {
      const logits = step(token), probs = probabilities(logits);
      token = count < rows * SIDE ? drawing[count]
        : draw(probabilities(logits, t, Infinity, p), uniform(seed, count));
      costs[count] = -Math.log2(probs[token]);
      expected.set(probs, count * GREYS);
    }
    frame = count < PLACES ? requestAnimationFrame(() => work(token)) : 0;
    if (!frame || !calm) show();
    if (!frame) say(`Done: ${part("bytes").textContent}, ${part("bits").textContent}.`);
  }
  edit(() => { frame = requestAnimationFrame(() => work()); },
    rows < SIDE ? `The model draws from row ${rows + 1} on.` : "The model reads all rows.");
}

// A line about two pixels wide with soft edges, from one point [x, y] to another.
function stroke([x, y], [toX, toY], erase) {
  const dx = toX - x, dy = toY - y, length = dx * dx + dy * dy || 1;
  for (let place = 0; place < PLACES; place++) {
    const px = place % SIDE + 0.5 - x, py = Math.floor(place / SIDE) + 0.5 - y;
    const along = Math.min(1, Math.max(0, (px * dx + py * dy) / length));
    const ink = 255 * Math.min(1, 1.6 - Math.hypot(px - along * dx, py - along * dy));
    if (ink > 0) drawing[place] = erase ? 0 : Math.max(drawing[place], ink);
  }
}

function example({ rows, strokes }) {
  const points = strokes.split(" ").map((point) => point.split(",").map(Number));
  drawing.fill(0);
  form.rows.value = rows;
  points.slice(1).forEach((point, i) => stroke(points[i], point));
}

// The weights are a script, because a page in a folder may not fetch a file. (Nor may it
// check one: a damaged script does not run, there.)
part("load").onclick = () => {
  const { src, integrity } = part("load").dataset;
  const script = make(document.head, "script",
    { integrity: location.protocol === "file:" ? "" : integrity, src });
  part("load").disabled = true;
  say("Loading …");
  script.onload = script.onerror = () => {
    const weights = globalThis.pixellabWeights;
    const waiting = [document.body, part("load")].includes(document.activeElement);
    part("load").disabled = false;
    if (!weights) return say("The file of weights is missing or damaged: the model is not loaded.");
    start = gpt(weights);
    part("load").hidden = true;
    part("finish").disabled = false;
    if (waiting) part("finish").focus();
    say("The model is here.");
  };
};
const erases = ({ shiftKey, key }) => shiftKey || key === "Backspace" || part("eraser").checked;

paper.onkeydown = (event) => {
  const step = event.key === "Backspace" ? 0 : leads(event, SIDE, SIDE);
  const spot = [cursor % SIDE + 0.5, Math.floor(cursor / SIDE) + 0.5];
  if (step === undefined) return;
  event.preventDefault();
  if (step) cursor = (cursor + step) % PLACES;
  else edit(() => stroke(spot, spot, erases(event)));
  say(inspect(cursor));
};

function point(event) { // at a pixel, to paint it or to ask what it costs
  const at = [event.offsetX, event.offsetY].map((offset) =>
    Math.min(SIDE - 0.01, Math.max(0, offset / event.target.clientWidth * SIDE)));
  if (!event.isPrimary) return; // a second finger
  if (event.type === "pointerdown" && event.target === paper && !event.button) {
    paper.setPointerCapture(event.pointerId);
    pen = at;
  }
  if (pen) edit(() => stroke(pen, at, erases(event)));
  if (pen) pen = at;
  inspect(Math.floor(at[1]) * SIDE + Math.floor(at[0]));
}
for (const canvas of [paper, part("costs")]) canvas.onpointerdown = canvas.onpointermove = point;
paper.onpointerup = paper.onpointercancel = () => { pen = null; };

part("finish").onclick = () => {
  const kept = count;
  if (!frame) finish();
  else edit(() => { count = kept; }, `Stopped after ${kept} of ${PLACES} pixels.`);
};
part("undo").onclick = () => edit();
part("clear").onclick = () => edit(() => drawing.fill(0), "The paper is empty.");
part("save").onclick = () => Object.assign(document.createElement("a"),
  { download: "digit.png", href: paper.toDataURL() }).click();
const examples = document.querySelectorAll("[data-strokes]");
for (const button of examples) button.onclick = () => edit(() => example(button.dataset));

part("tool").hidden = false;
example(examples[0].dataset);
bars(part("scale"), Array(120).fill(1), (i) => `rgb(${costColour(i / 120 * MOST_BITS)})`);
form.onsubmit = () => false;
form.oninput = () => count || frame ? finish() : show();
const writers = [...form.elements].map((field) => linked(field.name, (text) => {
  const before = field.value;
  if (Number.isFinite(Number(text))) field.value = Number(text);
  field.value ||= before; // there is no such label
  form.oninput();
}));
form.onchange = () => writers.forEach((write, i) => write(form.elements[i].value));
show();
