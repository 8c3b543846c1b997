// Samples by temperature and top-p, and one token's distribution, reshaped.
import { canvas, explorers, make, paint, sliders, tile } from "./controls.js";
import { probabilities } from "./filter.js";

explorers("settings", (stage, data, [samples, contexts], say) => {
  const { temperatures, topPs, topKs, seeds, each, height, width, gap, places } = data;
  const logits = places.map((place) =>
    new Float32Array(Uint8Array.from(atob(place.logits), (c) => c.charCodeAt(0)).buffer));
  const controls = make(stage, "div"), title = make(stage, "p"), scale = Math.ceil(140 / height);
  const drawn = make(stage, "div", { className: "pl-row pl-line" });
  const pictures = Array.from({ length: each }, (_, i) =>
    canvas(drawn, width, height, `Sample ${i + 1} of ${each}`, scale));
  make(stage, "p", { textContent: "The next token, and its chances in percent:" });
  const row = make(stage, "div", { className: "pl-row" });
  const context = canvas(row, width, height, "The tokens so far; the next is orange", scale);
  const show = chart(row, places[0].top.length);
  sliders(controls, {
    t: { label: "temperature", min: 0, max: temperatures.at(-1), step: 0.05, value: 1 },
    p: { label: "top-p", min: 0.05, max: 1, step: 0.01, value: 1 },
    k: { label: "top-k (chart only)", min: 0, max: topKs.length, value: 0,
      words: ["all", ...topKs] },
    seed: { label: "seed", min: 0, max: seeds - 1, value: 0 },
    at: { label: "token", min: 0, max: places.length - 1, value: 0,
      words: places.map((place) => place.name) },
  }, ({ t, p, k, seed, at }) => {
    const i = nearest(temperatures, t), j = nearest(topPs, p);
    title.textContent = `Samples, drawn at temperature ${temperatures[i]}, top-p ${topPs[j]}:`;
    pictures.forEach((picture, n) => paint(picture, samples,
      tile(seed * temperatures.length + i, j * each + n, width, height, gap)));
    paint(context, contexts, tile(0, at, width, height, gap));
    const probs = probabilities(logits[at], t, k ? topKs[k - 1] : Infinity, p);
    say(`${show(places[at], probs)} Temperature ${t}, top-p ${p}.`);
  });
});

const nearest = (stops, value) => stops.reduce((best, stop, i) =>
  Math.abs(stop - value) < Math.abs(stops[best] - value) ? i : best, 0);

// Bars of the likeliest tokens and the rest: show(place, probs) sets and describes them.
function chart(parent, count) {
  const frame = make(parent, "div", { className: "pl-bars" });
  const bars = Array.from({ length: count + 1 }, (_, i) => {
    const bar = make(frame, "div"), column = make(bar, "div");
    return { column, number: make(column, "span"),
      look: i < count ? make(bar, "img", { alt: "" }) : make(bar, "b", { textContent: "rest" }) };
  });
  return ({ top, tiles }, probs) => {
    const chances = top.map((token) => probs[token]);
    chances.push(probs.reduce((rest, p, token) => top.includes(token) ? rest : rest + p, 0));
    bars.forEach(({ column, number, look }, i) => {
      column.style.height = `${100 * chances[i]}%`;
      number.textContent = percent(chances[i]);
      if (i < count && look.src !== tiles[i]) look.src = tiles[i];
    });
    const kept = probs.filter((p) => p > 0);
    const bits = kept.reduce((sum, p) => sum + p * Math.log2(1 / p), 0);
    return `${kept.length} of ${probs.length} tokens can be drawn, the likeliest with ` +
      `${percent(chances[0])}\u00a0%; the draw is worth ${bits.toFixed(2)} bits on average.`;
  };
}

const percent = (p) => p === 0 ? "–" : p < 5e-4 ? "<0.1" : (100 * p).toFixed(p < 0.0995 ? 1 : 0);
