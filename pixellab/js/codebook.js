// Choose an entry of the codebook, and put it into an image.
import { canvas, cells, explorers, fits, make, outline, paint, setting, tile } from "./controls.js";

explorers("codebook", (stage, data, [sheet], say) => {
  const { tokens: original, patch, across, entries, columns, shares } = data;
  const { naturalWidth: width, naturalHeight: height } = sheet;
  const rows = original.length / across, zoom = 3, side = 5 * patch;
  const row = make(stage, "div", { className: "pl-row" });
  const book = canvas(row, zoom * width, zoom * height, "The codebook: choose an entry", 0.85);
  book.style.imageRendering = "auto"; // it is shown in less than its size
  const right = make(row, "div");
  const picture = canvas(right, across * side, rows * side, "The image: choose where it goes");
  make(right, "p", { textContent: "The chosen entry:" });
  const look = canvas(right, patch, patch, "The chosen entry", 80 / patch);
  const panel = make(stage, "div", { className: "pl-buttons" });
  let tokens, spot = Math.floor(original.length / 2), entry = original[spot];
  const set = setting(stage, "tokens", original.join("."), (text) => {
    const wanted = text.split(".");
    if (wanted.length !== original.length || !wanted.every((i) => fits(i, entries))) return;
    tokens = wanted.map(Number);
    show();
  });
  const put = (token) => set(tokens.map((_, i) => token(i)).join("."));
  make(panel, "button", { textContent: "Original", onclick: () => put((i) => original[i]) });
  make(panel, "button", { textContent: "All empty", onclick: () => put(() => 0) });
  make(panel, "button", { textContent: "All this entry", onclick: () => put(() => entry) });
  cells(book, Math.ceil(entries / columns), columns, entry, (cell) => {
    entry = Math.min(cell, entries - 1);
    show();
  });
  cells(picture, rows, across, spot, (cell, chosen) => {
    spot = cell;
    if (chosen) put((i) => i === spot ? entry : tokens[i]);
    else show();
  });

  function show() {
    const from = (token) => tile(token, columns, patch, patch, 1);
    paint(look, sheet, from(entry));
    paint(book, sheet);
    outline(book, from(entry).map((at) => zoom * at), 6);
    tokens.forEach((token, i) => paint(picture, sheet, from(token), tile(i, across, side, side)));
    outline(picture, tile(spot, across, side, side), 2);
    say(`Entry ${entry}, ${(100 * shares[entry]).toFixed(2)} % of the patches; row ` +
      `${Math.floor(spot / across) + 1}, column ${spot % across + 1} holds entry ${tokens[spot]}.`);
  }
});
