// The GPT of pixellab/priors/gpt.py in plain JavaScript, one token at a time.

// A weight file of pixellab, Uint8Array -> {tensors: {name: Float32Array}, config}.
export async function readWeights(bytes) {
  try {
    const start = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
    const text = new TextDecoder().decode(bytes.subarray(8, start));
    const { __metadata__: about, ...header } = JSON.parse(text);
    const config = JSON.parse(about.config).prior, raw = {}, tensors = {};
    for (const [name, { data_offsets: [from, to] }] of Object.entries(header))
      raw[name] = bytes.slice(start + from, start + to);
    const intact = !crypto.subtle || await digest(raw) === about.sha256;
    if (!intact || config.kind !== "gpt.GPT") throw Error();
    for (const [name, { dtype, shape }] of Object.entries(header))
      tensors[name] = decode[dtype](raw[name].buffer, shape, raw[`${name}.scale`]);
    return { tensors, config };
  } catch {
    throw Error("The file of weights is damaged, or not one of a GPT of this book.");
  }
}

// The checksum that pixellab/weights.py took. (Browsers refuse it on plain http.)
async function digest(raw) {
  const parts = Object.keys(raw).sort().flatMap((name) => [name, raw[name]]);
  const sum = await crypto.subtle.digest("SHA-256", await new Blob(parts).arrayBuffer());
  return [...new Uint8Array(sum)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

const decode = {
  F32: (buffer) => new Float32Array(buffer),
  F16: (buffer) => Float32Array.from(new Uint16Array(buffer), half),
  I8: (buffer, [, columns], scale) => { // one scale a row, in the tensor NAME.scale
    const scales = new Float32Array(scale.buffer), row = (i) => Math.floor(i / columns);
    return Float32Array.from(new Int8Array(buffer), (value, i) => value * scales[row(i)]);
  },
};

function half(bits) {
  const exponent = (bits >> 10) & 31, fraction = (bits & 1023) / 1024;
  const size = exponent ? (1 + fraction) * 2 ** (exponent - 15) : fraction * 2 ** -14;
  return bits & 0x8000 ? -size : size;
}

// start = gpt(await readWeights(bytes)), step = start(label): step() gives the logits
// of the first place, step(token) those after one more token, always in the same
// array. The label num_classes stands for none.
export function gpt({ tensors, config }) {
  const { vocabulary, grid: [rows, columns], width, layers, heads, embedding } = config;
  const kinds = tensors["token.weight"].length / embedding; // tokens, and labels
  const places = rows * columns, part = width / heads, back = neighbours(columns, config.window);
  const lastColumns = Array.from({ length: layers }, (_, layer) =>
    transpose(tensors[`blocks.${layer}.mlp.2.weight`], width));
  const room = (size) => new Float32Array(size);
  const x = room(width), normed = room(width), qkv = room(3 * width), found = room(width);
  const answer = room(width), hidden = room(4 * width), scores = room(places);
  const logits = room(vocabulary), mixed = mixTokens();

  // What each token, told at each distance, adds to a place: the matrix `mix` times all of
  // them beforehand, so that a step has only to add.
  function mixTokens() {
    const slots = 1 + back.length, table = room(slots * kinds * width);
    for (let slot = 0; slot < slots; slot++)
      for (let token = 0; token < kinds; token++)
        multiply(tensors["mix.weight"], slot * embedding, embedding, tensors["token.weight"],
          token * embedding, table, (slot * kinds + token) * width, width, slots * embedding);
    return table;
  }

  function add(values, at = 0, times = 1) {
    for (let i = 0; i < width; i++) x[i] += values[at + i] * times;
  }

  function linear(name, input, out) {
    const bias = tensors[`${name}.bias`];
    multiply(tensors[`${name}.weight`], 0, input.length, input, 0, out, 0, out.length);
    for (let i = 0; i < out.length; i++) out[i] += bias[i];
  }

  function norm(name) {
    const weight = tensors[`${name}.weight`], bias = tensors[`${name}.bias`];
    let mean = 0, variance = 1e-5;
    for (let i = 0; i < width; i++) mean += x[i] / width;
    for (let i = 0; i < width; i++) variance += (x[i] - mean) ** 2 / width;
    for (let i = 0; i < width; i++)
      normed[i] = (x[i] - mean) / Math.sqrt(variance) * weight[i] + bias[i];
  }

  // Keys lie place by place, values channel by channel: rows of a matrix, both.
  function attend(layer, { keys, values }, place) {
    linear(`blocks.${layer}.attention.qkv`, normed, qkv);
    for (let i = 0; i < width; i++) {
      keys[place * width + i] = qkv[width + i];
      values[i * places + place] = qkv[2 * width + i];
    }
    for (let at = 0; at < width; at += part) {
      multiply(keys, at, part, qkv, at, scores, 0, place + 1, width);
      softmax(scores, place + 1, part ** -0.5);
      multiply(values, at * places, place + 1, scores, 0, found, at, part, places);
    }
    linear(`blocks.${layer}.attention.out`, found, answer);
    add(answer);
  }

  // ReLU leaves few hidden units on: only their columns of the last matrix are read.
  function think(layer) {
    linear(`blocks.${layer}.mlp.0`, normed, hidden);
    for (let i = 0; i < hidden.length; i++)
      if (hidden[i] > 0) add(lastColumns[layer], i * width, hidden[i]);
    add(tensors[`blocks.${layer}.mlp.2.bias`]);
  }

  return (label) => {
    const tokens = [], caches = Array.from({ length: layers }, () => (
      { keys: room(places * width), values: room(places * width) }));
    return (token) => {
      if (token !== undefined) tokens.push(token);
      const place = tokens.length, column = place % columns, row = (place - column) / columns;
      x.set(tensors["mix.bias"]);
      [0, ...back].forEach((distance, slot) => { // the label, then known tokens
        const known = distance > 0 && distance <= place;
        const token = known ? tokens[place - distance] : vocabulary + label;
        add(mixed, (slot * kinds + token) * width);
      });
      add(tensors["row.weight"], row * width);
      add(tensors["column.weight"], column * width);
      caches.forEach((cache, layer) => {
        norm(`blocks.${layer}.norm_attention`);
        attend(layer, cache, place);
        norm(`blocks.${layer}.norm_mlp`);
        think(layer);
      });
      norm("norm");
      linear("head", normed, logits);
      return logits;
    };
  };
}

// How many places back each token lies that a place is told of, nearest first.
function neighbours(columns, window) {
  const back = window === null ? [1] : [];
  for (let up = 0; up <= window; up++)
    for (let left = -window; left <= window; left++) back.push(up * columns + left);
  return [...new Set(back)].filter((distance) => distance > 0).sort((a, b) => a - b);
}

function transpose(matrix, rows) {
  const columns = matrix.length / rows;
  return matrix.map((_, i) => matrix[i % rows * columns + Math.floor(i / rows)]);
}

// out[outAt + r] = the sum over i < length of matrix[at + r * stride + i] * x[xAt + i],
// for r < rows. Four at a time, whose sums need not wait for one another: up to three
// numbers behind them are overwritten.
function multiply(matrix, at, length, x, xAt, out, outAt, rows, stride = length) {
  for (let r = 0; r < rows; r += 4) {
    const p = at + r * stride, q = p + stride, s = q + stride, t = s + stride;
    let a = 0, b = 0, c = 0, d = 0;
    for (let i = 0; i < length; i++) {
      const value = x[xAt + i];
      a += matrix[p + i] * value;
      b += matrix[q + i] * value;
      c += matrix[s + i] * value;
      d += matrix[t + i] * value;
    }
    out[outAt + r] = a; out[outAt + r + 1] = b;
    out[outAt + r + 2] = c; out[outAt + r + 3] = d;
  }
}

function softmax(scores, count, scale) {
  let most = -Infinity, sum = 0;
  for (let i = 0; i < count; i++) if (scores[i] > most) most = scores[i];
  for (let i = 0; i < count; i++) sum += scores[i] = Math.exp((scores[i] - most) * scale);
  for (let i = 0; i < count; i++) scores[i] /= sum;
}
