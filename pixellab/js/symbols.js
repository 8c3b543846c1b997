// A digit as text: change a symbol or a pixel, and see the other change.
import { canvas, cells, explorers, make, outline, setting, tile } from "./controls.js";

explorers("symbols", (stage, { text: original, first, side, pack }, [], say) => {
  const across = side / pack, length = original.length, scale = 14; // a line of text is as high
  const row = make(stage, "div", { className: "pl-row pl-line" });
  const field = make(row, "textarea", { rows: side, spellcheck: false, autocapitalize: "off",
    ariaLabel: `The text: ${side} lines of ${across} symbols` });
  const picture = canvas(row, side * scale, side * scale, "The image: choose a pixel to flip");
  const clean = (line) => line.replace(/[^:-y]/g, ""); // the alphabet
  const token = (place) => text.charCodeAt(place) - first;
  const bit = (pixel) => 1 << (pack - 1 - pixel % pack); // the leftmost is the highest
  let text;
  const set = setting(stage, "text", original, (line) => { // what is missing is black
    text = clean(line).slice(0, length).padEnd(length, String.fromCharCode(first));
    if (field.value !== text) field.value = text; // the same again would forget how to undo
    show(0);
  });
  const panel = make(stage, "div", { className: "pl-buttons" });
  make(panel, "button", { textContent: "Original", onclick: () => set(original) });
  cells(picture, side, side, 0, (pixel, chosen) => {
    const place = Math.floor(pixel / pack);
    const flipped = String.fromCharCode(first + (token(place) ^ bit(pixel)));
    if (chosen) set(text.slice(0, place) + flipped + text.slice(place + 1));
    show(place, pixel);
  });
  field.addEventListener("beforeinput", (event) => { // typing replaces, and moves nothing
    if (event.inputType !== "insertText") return;
    if (!clean(event.data)) event.preventDefault();
    else if (field.selectionStart === field.selectionEnd) field.selectionEnd += event.data.length;
  });
  field.oninput = () => {
    const line = clean(field.value), extra = Math.max(0, line.length - length);
    const place = clean(field.value.slice(0, field.selectionStart)).length;
    set(line.slice(0, place) + line.slice(place + extra)); // phones insert all the same
    field.setSelectionRange(place, place);
    show(place);
  };
  field.onkeyup = field.onclick = () => show(field.selectionStart);

  // Paint all pixels, tint those of the symbol at `caret`, and frame one of them.
  function show(caret, marked) {
    const context = picture.getContext("2d"), place = Math.min(caret, length - 1);
    for (let pixel = 0; pixel < side * side; pixel++) {
      const here = Math.floor(pixel / pack), ink = token(here) & bit(pixel) ? 1 : 0;
      context.fillStyle = (here === place ? ["#7a3d06", "#f5ac66"] : ["#000", "#fff"])[ink];
      context.fillRect(...tile(pixel, side, scale, scale));
    }
    if (marked !== undefined) outline(picture, tile(marked, side, scale, scale), 2);
    say(`Row ${Math.floor(place / across) + 1}, symbol ${place % across + 1}: ${text[place]} is ` +
      `${token(place)}, in pixels ${token(place).toString(2).padStart(pack, "0")}.`);
  }
});
