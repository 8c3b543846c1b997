// A digit as text: change a symbol or a pixel, and see the other change.
import { canvas, choosable, explorers, make, setting } from "./controls.js";

explorers("symbols", (stage, { text: original, first, side, pack }, [], say) => {
  const across = side / pack, length = side * across, scale = 14; // a line of text is as high
  const row = make(stage, "div", { className: "pl-row pl-line" });
  const field = make(row, "textarea", { rows: side, cols: across + 1, spellcheck: false,
    autocapitalize: "off", ariaLabel: `The text: ${side} lines of ${across} symbols` });
  const picture = canvas(row, side * scale, side * scale, "The image: choose a pixel to flip");
  const clean = (line) => line.replace(/[^:-y]/g, ""); // the alphabet
  const caret = () => clean(field.value.slice(0, field.selectionStart)).length;
  const token = (place) => text.charCodeAt(place) - first;
  const bit = (pixel) => 1 << (pack - 1 - pixel % pack); // the leftmost is the highest
  let text;
  const set = setting(stage, "text", original, (line) => { // what is missing is black
    text = clean(line).slice(0, length).padEnd(length, String.fromCharCode(first));
    const lines = text.replace(new RegExp(`.{${across}}(?=.)`, "g"), "$&\n");
    if (field.value !== lines) field.value = lines; // the same again would forget how to undo
    show(0);
  });
  choosable(picture, side, side, 0, (pixel, chosen) => {
    const place = Math.floor(pixel / pack);
    const flipped = String.fromCharCode(first + (token(place) ^ bit(pixel)));
    if (chosen) set(text.slice(0, place) + flipped + text.slice(place + 1));
    show(place, pixel);
  });
  field.addEventListener("beforeinput", (event) => { // typing replaces, and moves nothing
    const { selectionStart: start, selectionEnd: end, value } = field;
    if (event.inputType !== "insertText" || start < end) return;
    const here = start + (value[start] === "\n");
    if (clean(event.data)) field.setSelectionRange(here, here + 1);
    else event.preventDefault();
  });
  field.addEventListener("input", () => {
    const place = caret();
    set(clean(field.value));
    field.selectionStart = field.selectionEnd = place + Math.floor(place / across);
    show(place);
  });
  for (const moved of ["keyup", "click"]) field.addEventListener(moved, () => show(caret()));

  // Paint all pixels, tint those of the symbol at `place`, and underline one of them.
  function show(cell, marked) {
    const context = picture.getContext("2d"), place = Math.min(cell, length - 1);
    for (let pixel = 0; pixel < side * side; pixel++) {
      const [y, x] = [Math.floor(pixel / side), pixel % side], here = Math.floor(pixel / pack);
      const colours = here === place ? ["#7a3d06", "#f5ac66"] : ["#000", "#fff"];
      context.fillStyle = colours[token(here) & bit(pixel) ? 1 : 0];
      context.fillRect(x * scale, y * scale, scale, scale);
      context.fillStyle = "#2f81f7";
      if (pixel === marked) context.fillRect(x * scale, (y + 0.75) * scale, scale, scale / 4);
    }
    say(`Row ${Math.floor(place / across) + 1}, symbol ${place % across + 1}: ${text[place]} is ` +
      `${token(place)}, in pixels ${token(place).toString(2).padStart(pack, "0")}.`);
  }
});
