// Samples by temperature and top-p, and one token's distribution, reshaped.
import { canvas, explorers, make, paint, sliders, tile } from "./controls.js";
import { numbers, probabilities } from "./filter.js";

explorers("settings", (stage, data, [samples, contexts], say) => {
  const { temperatures, topPs, topKs, seeds, each, height, width, gap, places } = data;
  const logits = places.map((place) => numbers(place.logits));
  const controls = make(stage, "div"), title = make(stage, "p"), scale = Math.ceil(140 / height);
  const drawn = make(stage, "div", { className: "pl-row pl-line" });
  const pictures = Array.from({ length: each }, (_, i) =>
    canvas(drawn, width, height, `Sample ${i + 1} of ${each}`, scale));
  make(stage, "p", { textContent: "The next token, and its chances in percent:" });
  const row = make(stage, "div", { className: "pl-row" });
  const context = canvas(row, width, height, "The tokens so far; the next is orange", scale);
  const chart = make(row, "div", { className: "pl-bars" });
  const bars = [...places[0].top, "rest"].map((token) => { // the likeliest tokens, and the rest
    const bar = make(chart, "div"), column = make(bar, "div"), number = make(column, "span");
    const look = make(bar, token === "rest" ? "b" : "img", { alt: "", textContent: token });
    return { column, number, look };
  });
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
    const first = ((seed * temperatures.length + i) * topPs.length + j) * each;
    pictures.forEach((picture, n) =>
      paint(picture, samples, tile(first + n, topPs.length * each, width, height, gap)));
    paint(context, contexts, tile(at, places.length, width, height, gap));
    const probs = probabilities(logits[at], t, k ? topKs[k - 1] : Infinity, p);
    const { top, tiles } = places[at], chances = [...top.map((token) => probs[token]),
      probs.reduce((rest, p, token) => top.includes(token) ? rest : rest + p, 0)];
    bars.forEach(({ column, number, look }, n) => {
      column.style.height = `${100 * chances[n]}%`;
      number.textContent = percent(chances[n]);
      if (look.src !== tiles[n]) look.src = tiles[n];
    });
    const kept = probs.filter((p) => p > 0);
    const bits = kept.reduce((sum, p) => sum - p * Math.log2(p), 0);
    say(`${kept.length} of ${probs.length} tokens can be drawn, the likeliest with ` +
      `${percent(chances[0])}\u00a0%; the draw is worth ${Math.abs(bits).toFixed(2)} bits on ` +
      `average. Temperature ${t}, top-p ${p}.`);
  });
});

const nearest = (stops, value) => stops.reduce((best, stop, i) =>
  Math.abs(stop - value) < Math.abs(stops[best] - value) ? i : best, 0);

const percent = (p) => p === 0 ? "–" : p < 5e-4 ? "<0.1" : (100 * p).toFixed(p < 0.0995 ? 1 : 0);
