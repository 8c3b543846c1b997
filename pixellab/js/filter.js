// The filters and the draw of pixellab/sampling.py, number for number.

// logits -> Float64Array of the same length: temperature (0 is greedy), then
// topK most likely, then the smallest set of most likely ones that reaches topP.
export function probabilities(logits, temperature = 1, topK = Infinity, topP = 1) {
  const probs = new Float64Array(logits.length);
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i] > logits[best]) best = i;
  if (temperature === 0) {
    probs[best] = 1;
    return probs;
  }
  for (let i = 0; i < probs.length; i++)
    probs[i] = Math.exp((logits[i] - logits[best]) / temperature);
  normalise(probs);
  if (topK >= probs.length && topP >= 1) return probs;
  const order = [...probs.keys()].sort((a, b) => probs[b] - probs[a]);
  for (const token of order.slice(topK)) probs[token] = 0;
  normalise(probs);
  let reached = 0; // mass down to this token, with it
  for (const token of order) {
    reached += probs[token];
    if (reached - probs[token] >= topP) probs[token] = 0;
  }
  return normalise(probs);
}

// Inverse CDF: a number in [0, 1) -> a token.
export function draw(probs, uniform) {
  const target = uniform * probs.reduce((sum, p) => sum + p, 0);
  let cdf = 0, last = 0;
  for (let token = 0; token < probs.length; token++) {
    cdf += probs[token];
    if (probs[token] > 0) last = token;
    if (cdf > target) return token;
  }
  return last;
}

function normalise(probs) {
  const sum = probs.reduce((total, p) => total + p, 0);
  for (let i = 0; i < probs.length; i++) probs[i] /= sum;
  return probs;
}
