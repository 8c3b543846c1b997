// The GPT of pixellab/priors/gpt.py in plain JavaScript, one token at a time.
import { numbers, probabilities, sum } from "./filter.js";

// start = gpt(weights), as book/_ext/live.py packs them, step = start(label): step() gives
// the logits of the first place, step(token) those after one more token, always in the
// same array. The label num_classes stands for none.
export function gpt({ tensors: packed, config }) {
  const { vocabulary, grid: [rows, columns], width, layers, heads, embedding, back } = config;
  const tensors = Object.fromEntries(Object.entries(packed).map(unpack));
  const places = rows * columns, part = width / heads;
  const room = (size) => new Float64Array(size);
  const told = room((1 + back.length) * embedding), x = room(width), normed = room(width);
  const qkv = room(3 * width), found = room(width), answer = room(width);
  const hidden = room(4 * width), scores = room(places), logits = room(vocabulary);

  // ReLU leaves few hidden units on: only their columns of the second matrix are read.
  const columnsOf = Array.from({ length: layers }, (_, layer) =>
    transpose(tensors[`blocks.${layer}.mlp.2.weight`], width));

  function add(values, at = 0, times = 1) {
    for (let i = 0; i < width; i++) x[i] += values[at + i] * times;
  }

  function linear(name, input, out) {
    const bias = tensors[`${name}.bias`];
    multiply(tensors[`${name}.weight`], input, out);
    for (let i = 0; i < out.length; i++) out[i] += bias[i];
  }

  function norm(name) {
    const weight = tensors[`${name}.weight`], bias = tensors[`${name}.bias`];
    const mean = sum(x) / width, variance = sum(x.map((value) => (value - mean) ** 2)) / width;
    for (let i = 0; i < width; i++)
      normed[i] = (x[i] - mean) / Math.sqrt(variance + 1e-5) * weight[i] + bias[i];
  }

  // Keys lie place by place, values channel by channel: rows of a matrix, both.
  function attend(name, [keys, values], place) {
    linear(`${name}.qkv`, normed, qkv);
    for (let i = 0; i < width; i++) {
      keys[place * width + i] = qkv[width + i];
      values[i * places + place] = qkv[2 * width + i];
    }
    for (let at = 0; at < width; at += part) { // one head after the other
      multiply(keys.subarray(at), qkv.subarray(at, at + part), scores, width, place + 1);
      const weights = probabilities(scores.subarray(0, place + 1), part ** 0.5);
      multiply(values.subarray(at * places), weights, found.subarray(at, at + part), places);
    }
    linear(`${name}.out`, found, answer);
    add(answer);
  }

  return (label) => {
    const tokens = [], table = tensors["token.weight"];
    const caches = Array.from({ length: layers }, () => [0, 1].map(() =>
      new Float32Array(places * width))); // keys and values
    return (token) => {
      if (token !== undefined) tokens.push(token);
      const place = tokens.length, column = place % columns, row = (place - column) / columns;
      [0, ...back].forEach((distance, slot) => { // the label, then the known tokens
        const at = (tokens[place - distance] ?? vocabulary + label) * embedding;
        told.set(table.subarray(at, at + embedding), slot * embedding);
      });
      linear("mix", told, x);
      add(tensors["row.weight"], row * width);
      add(tensors["column.weight"], column * width);
      caches.forEach((cache, layer) => {
        const block = `blocks.${layer}`;
        norm(`${block}.norm_attention`);
        attend(`${block}.attention`, cache, place);
        norm(`${block}.norm_mlp`);
        linear(`${block}.mlp.0`, normed, hidden);
        hidden.forEach((value, i) => value > 0 && add(columnsOf[layer], i * width, value));
        add(tensors[`${block}.mlp.2.bias`]);
      });
      norm("norm");
      linear("head", normed, logits);
      return logits;
    };
  };
}

function unpack([name, { floats, bytes, scales }]) {
  if (floats) return [name, numbers(floats)]; // else bytes, with one scale a row
  const values = numbers(bytes, Int8Array), scale = numbers(scales);
  const columns = values.length / scale.length;
  return [name, Float32Array.from(values, (value, i) => value * scale[Math.floor(i / columns)])];
}

// out[r] = the sum of matrix[r * stride + i] * x[i], for r < rows. Four rows at a time, whose
// sums need not wait for one another: up to three numbers behind them are overwritten.
function multiply(matrix, x, out, stride = x.length, rows = out.length) {
  for (let r = 0; r < rows; r += 4) {
    const p = r * stride, q = p + stride, s = q + stride, t = s + stride;
    let a = 0, b = 0, c = 0, d = 0;
    for (let i = 0; i < x.length; i++) {
      const value = x[i];
      a += matrix[p + i] * value;
      b += matrix[q + i] * value;
      c += matrix[s + i] * value;
      d += matrix[t + i] * value;
    }
    out[r] = a; out[r + 1] = b; out[r + 2] = c; out[r + 3] = d;
  }
}

const transpose = (matrix, rows) => matrix.map((_, i) =>
  matrix[i % rows * matrix.length / rows + Math.floor(i / rows)]);
