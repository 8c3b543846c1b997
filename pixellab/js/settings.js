// Samples by temperature and top-p, and one token's distribution, reshaped.
import { canvas, explorers, make, sliders, tile } from "./controls.js";
import { probabilities } from "./filter.js";

explorers("settings", (root, data, [samples, places]) => {
  const { temperatures, topPs, seeds, each, height, width, gap } = data;
  root.querySelector(".pl-still").hidden = true;
  const sizes = { all: "all", ...Object.fromEntries(data.topKs.map((k, i) => [i + 1, k])) };
  const controls = make(root, "div");
  const drawn = make(root, "div", { className: "pl-part" });
  const title = make(drawn, "p");
  const picture = canvas(drawn, each * (width + gap) - gap, height, "Samples at this setting", 128);
  const guess = make(root, "div", { className: "pl-part" });
  const where = make(guess, "p");
  const row = make(guess, "div", { className: "pl-row" });
  const context = canvas(row, width, height,
    "The tokens so far; the next one is orange", 160);
  const bars = make(row, "div", { className: "pl-bars" });
  const said = make(root, "p", { className: "pl-words" });
  said.setAttribute("aria-live", "polite");
  const logits = data.places.map(({ logits }) => floats(logits));

  sliders(controls, {
    t: { label: "temperature", min: 0, max: 2, step: 0.05, value: 1 },
    p: { label: "top-p", min: 0.05, max: 1, step: 0.01, value: 1 },
    ...(data.topKs.length && { k: { label: "top-k (chart only)", min: 0, max: data.topKs.length,
      step: 1, value: 0, words: ["all", ...data.topKs] } }),
    seed: { label: "seed", min: 0, max: seeds - 1, step: 1, value: 0 },
    at: { label: "token", min: 0, max: logits.length - 1, step: 1, value: 0,
      words: data.places.map((place) => place.name) },
  }, ({ t, p, k = 0, seed, at }) => {
    const i = nearest(temperatures, t), j = nearest(topPs, p);
    title.textContent = `Samples, drawn at temperature ${temperatures[i]}, top-p ${topPs[j]}:`;
    const [x, y] = tile(seed * temperatures.length + i, j * each, width, height, gap);
    picture.getContext("2d").drawImage(samples, x, y, picture.width, height,
      0, 0, picture.width, height);
    const probs = probabilities(logits[at], t, k ? data.topKs[k - 1] : Infinity, p);
    where.textContent = `The next token, ${data.places[at].name}:`;
    context.getContext("2d").drawImage(places, ...tile(0, at, width, height, gap),
      0, 0, width, height);
    said.textContent = `${show(bars, data.places[at], probs)} Temperature ${t}, top-p ${p}.`;
  });
});

const floats = (text) =>
  new Float32Array(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);

const nearest = (stops, value) => stops.reduce((best, stop, i) =>
  Math.abs(stop - value) < Math.abs(stops[best] - value) ? i : best, 0);

// One bar for each of the likeliest tokens, and one for all others.
function show(bars, { top, tiles }, probs) {
  const rest = 1 - top.reduce((sum, token) => sum + probs[token], 0);
  const heights = [...top.map((token) => probs[token]), Math.max(0, rest)];
  bars.replaceChildren();
  heights.forEach((p, i) => {
    const bar = make(bars, "div", { className: p > 0 ? "pl-bar" : "pl-bar pl-cut" });
    make(bar, "span", { textContent: p > 0 ? percent(p) : "–" });
    make(bar, "div").style.height = `${100 * p}%`;
    if (i < top.length) make(bar, "i").style.backgroundImage = `url(${tiles[i]})`;
    else make(bar, "b", { textContent: "others" });
  });
  const kept = probs.reduce((count, p) => count + (p > 0), 0);
  const bits = probs.reduce((sum, p) => p > 0 ? sum - p * Math.log2(p) : sum, 0);
  return `${kept} of ${probs.length} tokens can be drawn, the likeliest with ` +
    `${percent(heights[0])}; the draw is worth ${Math.abs(bits).toFixed(2)} bits on average.`;
}

const percent = (p) => p >= 0.0995 ? `${Math.round(100 * p)} %` : `${(100 * p).toFixed(1)} %`;
