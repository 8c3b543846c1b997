// The page book/live: draw a beginning, let the GPT finish it, see what each pixel costs.
import { draw, probabilities } from "./filter.js";
import { gpt, readWeights } from "./gpt.js";

const SIDE = 28, PLACES = SIDE * SIDE, GREYS = 256, NONE = 10; // the label for none
const NOT_YET = [173, 216, 230], NO_COST = [52, 65, 70];
const MOST_BITS = 12; // a pixel of more is drawn as one of these
const drawing = new Uint8Array(PLACES), tokens = new Uint8Array(PLACES);
const costs = new Float32Array(PLACES), expected = new Float32Array(PLACES * GREYS);
const part = (name) => document.getElementById(`live-${name}`);
const form = part("form"), paper = part("paper");
let start = null; // begins a digit, once the weights are here
let count = 0;    // pixels of `tokens` on show; behind them, the reader's drawing
let frame = 0;    // the next slice of work, while the model draws
let cursor = 7 * SIDE + 9, pen = null; // a place; where the mouse is pressed, [x, y]

const say = (text) => { part("status").textContent = text; };
const value = (place) => (place < count ? tokens : drawing)[place];
const grey = (place) => Array(3).fill(value(place));
const paperColour = (place) => place < Math.max(count, form.rows.value * SIDE) ? grey(place)
  : NOT_YET.map((colour) => 0.8 * colour + 0.2 * drawing[place]);
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
  fill(paper, paperColour);
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
  const text = `Row ${row + 1}, column ${column + 1}: grey ${value(place)}`
    + (known ? `, ${costs[place].toFixed(2)} bits` : "");
  cursor = place;
  part("pixel").textContent = text;
  for (const [name, many] of Object.entries({ row, column, kept: form.rows.value }))
    part("tool").style.setProperty(`--${name}`, many / SIDE);
  const guess = known ? [...expected.subarray(place * GREYS, (place + 1) * GREYS)] : [];
  bars(part("guess"), guess.map((p) => Math.max(0, 1 + Math.log2(p) / MOST_BITS)),
    (i) => i === value(place) ? "#ffbc78" : "#7fa7c9");
  return text;
}

// The number in [0, 1) of a place: the same for the same seed, whatever is kept.
function uniform(seed, place) {
  let bits = Math.imul(seed, 0x9e3779b1) ^ Math.imul(place + 1, 0x85ebca77);
  for (const factor of [0x2c1b3c6d, 0x297a2d39]) bits = Math.imul(bits ^ bits >>> 15, factor);
  return ((bits ^ bits >>> 16) >>> 0) / 2 ** 32;
}

function edit(change) { // puts the model's part away
  cancelAnimationFrame(frame);
  frame = count = 0;
  change();
  show();
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
  edit(() => say(`The model draws from row ${Math.min(SIDE, rows + 1)} on.`));
  work();
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
  for (let i = 1; i < points.length; i++) stroke(points[i - 1], points[i]);
}

// The weights stand in a script of their own: a page in a folder may not fetch a file.
async function load() {
  const script = Object.assign(document.createElement("script"), part("load").dataset);
  part("load").disabled = true;
  say("Loading …");
  try {
    await new Promise((done, failed) => {
      script.onload = done;
      script.onerror = () => failed(Error("The file of weights could not be read."));
      document.head.append(script);
    });
    start = gpt(await readWeights(Uint8Array.from(
      atob(pixellabWeights), (letter) => letter.charCodeAt(0))));
    part("load").hidden = true;
    part("finish").disabled = false;
    part("finish").focus();
    say("The model is here.");
  } catch (error) {
    part("load").disabled = false;
    say(`${error.message} The model is not loaded.`);
  }
}

function press(event) {
  const step = { ArrowUp: -SIDE, ArrowDown: SIDE, ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const erase = event.shiftKey || event.key === "Backspace";
  const spot = [cursor % SIDE + 0.5, Math.floor(cursor / SIDE) + 0.5];
  if (step) cursor = Math.min(PLACES - 1, Math.max(0, cursor + step));
  else if ([" ", "Backspace"].includes(event.key)) edit(() => stroke(spot, spot, erase));
  else return;
  event.preventDefault();
  say(inspect(cursor));
}

function point(event) {
  const at = [event.offsetX, event.offsetY].map((offset) =>
    Math.min(SIDE - 0.01, Math.max(0, offset / event.target.clientWidth * SIDE)));
  if (event.type === "pointerdown") pen = at;
  if (pen) edit(() => stroke(pen, at, event.shiftKey || part("eraser").checked));
  if (pen) pen = at;
  inspect(Math.floor(at[1]) * SIDE + Math.floor(at[0]));
}

function readHash() { // #label=3&rows=14&t=0.8&p=0.9&seed=7, or some of it
  for (const [name, text] of new URLSearchParams(location.hash.slice(1)))
    if (["label", "rows", "t", "p", "seed"].includes(name)) form[name].value = text;
  if (form.label.selectedIndex < 0) form.label.value = NONE;
  edit(() => {});
}

paper.onpointerdown = (event) => {
  if (event.button) return; // not the first one of the mouse
  paper.setPointerCapture(event.pointerId);
  point(event);
};
paper.onpointermove = part("costs").onpointermove = point;
paper.onpointerup = paper.onpointercancel = () => { pen = null; };
paper.onkeydown = press;
form.oninput = () => count ? finish() : show();
form.onchange = () => history.replaceState(null, "", `#${new URLSearchParams(new FormData(form))}`);
form.onsubmit = () => false;
onhashchange = readHash;
part("load").onclick = load;
part("finish").onclick = () => {
  if (!frame) return finish();
  cancelAnimationFrame(frame);
  frame = 0;
  show();
};
part("undo").onclick = () => edit(() => {});
part("clear").onclick = () => edit(() => drawing.fill(0));
part("save").onclick = () => Object.assign(document.createElement("a"),
  { download: "digit.png", href: paper.toDataURL() }).click();
const examples = document.querySelectorAll("[data-strokes]");
for (const button of examples) button.onclick = () => edit(() => example(button.dataset));
part("tool").hidden = false;
example(examples[0].dataset);
bars(part("scale"), Array(120).fill(1), (i) => `rgb(${costColour(i / 120 * MOST_BITS)})`);
readHash();
