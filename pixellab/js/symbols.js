// A digit as text: change a symbol or a pixel, and see the other change.
import { canvas, choosable, explorers, make, recall, remember } from "./controls.js";

explorers("symbols", (root, { text, first, side, pack }) => {
  root.querySelector(".pl-still").hidden = true;
  const across = side / pack, length = side * across;
  const row = make(root, "div", { className: "pl-row" });
  const field = make(row, "textarea", { rows: side, cols: across + 1, spellcheck: false,
    label: `The text: ${side} lines of ${across} symbols` });
  const picture = canvas(row, side, side,
    "The image: choose a pixel to turn it over", 420);
  const said = make(root, "p", { className: "pl-words" });
  said.setAttribute("aria-live", "polite");
  choosable(picture, side, side,
    (y, x) => show(y * across + Math.floor(x / pack), [y, x]),
    (y, x) => {
      const place = y * across + Math.floor(x / pack), tokens = read(field.value);
      tokens[place] ^= 1 << (pack - 1 - x % pack); // the leftmost is the highest bit
      write(tokens);
      keep();
      show(place, [y, x]);
    });
  field.addEventListener("input", () => { keep(); show(atCaret()); });
  for (const moved of ["keyup", "click"]) field.addEventListener(moved, () => show(atCaret()));
  field.addEventListener("change", () => write(read(field.value)));
  write(read(text));
  show(0);
  recall(root, "text", (line) => { write(read(line)); show(0); });

  // The tokens in a text; what is missing is black, what is no symbol falls away.
  function read(line) {
    const tokens = [...line].map((symbol) => symbol.charCodeAt(0) - first)
      .filter((token) => token >= 0 && token < 2 ** pack);
    return Array.from({ length }, (_, place) => tokens[place] ?? 0);
  }

  function write(tokens) {
    const symbols = tokens.map((token) => String.fromCharCode(first + token)).join("");
    field.value = symbols.match(new RegExp(`.{${across}}`, "g")).join("\n");
  }

  function keep() {
    remember("text", field.value.replaceAll("\n", ""));
  }

  function atCaret() {
    const before = field.value.slice(0, field.selectionStart).replaceAll("\n", "");
    return Math.min(before.length, length - 1);
  }

  // Paint all tokens; tint the symbol at `place` and mark the chosen pixel.
  function show(place, pixel) {
    const context = picture.getContext("2d"), tokens = read(field.value);
    tokens.forEach((token, i) => {
      for (let x = 0; x < pack; x++) {
        const white = token >> (pack - 1 - x) & 1;
        context.fillStyle = i === place ? (white ? "#f5ac66" : "#7a3d06") : white ? "#fff" : "#000";
        context.fillRect(i % across * pack + x, Math.floor(i / across), 1, 1);
      }
    });
    if (pixel) {
      context.fillStyle = "#1f6feb";
      context.fillRect(pixel[1] + 0.25, pixel[0] + 0.25, 0.5, 0.5);
    }
    const binary = tokens[place].toString(2).padStart(pack, "0");
    said.textContent = `Row ${Math.floor(place / across) + 1}, symbol ${place % across + 1}: ` +
      `${String.fromCharCode(first + tokens[place])} is ${tokens[place]}, in pixels ${binary}.`;
  }
});
