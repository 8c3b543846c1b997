// The filters and the draw of pixellab/sampling.py, number for number.

// logits -> Float64Array of the same length: temperature (0 is greedy), then
// topK most likely, then the smallest set of most likely ones that reaches topP.
export function probabilities(logits, temperature = 1, topK = Infinity, topP = 1) {
  const probs = new Float64Array(logits);
  let best = 0;
  for (let i = 1; i < probs.length; i++) if (probs[i] > probs[best]) best = i;
  const most = probs[best];
  for (let i = 0; i < probs.length; i++) probs[i] = Math.exp((probs[i] - most) / temperature);
  if (temperature === 0) probs.fill(0).fill(1, best, best + 1);
  normalise(probs);
  if (topK >= probs.length && topP >= 1) return probs;
  const order = [...probs.keys()].sort((a, b) => probs[b] - probs[a]);
  for (const token of order.slice(topK)) probs[token] = 0;
  normalise(probs);
  if (topP >= 1) return probs; // all of them; a sum of floats may reach 1 too early
  let reached = 0; // mass down to this token, with it
  for (const token of order) {
    reached += probs[token];
    if (reached - probs[token] >= topP) probs[token] = 0;
  }
  return normalise(probs);
}

// Inverse CDF: a number in [0, 1) -> a token.
export function draw(probs, uniform) {
  const target = uniform * sum(probs);
  let cdf = 0;
  return probs.findIndex((p) => (cdf += p) > target);
}

export function sum(values) {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i];
  return total;
}

function normalise(probs) {
  const total = sum(probs);
  for (let i = 0; i < probs.length; i++) probs[i] /= total;
  return probs;
}

// What Python wrote in base 64.
export const numbers = (text, Kind = Float32Array) =>
  new Kind(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
