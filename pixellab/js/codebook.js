// Choose an entry of the codebook, and put it into an image.
import { canvas, choosable, explorers, make, recall, remember, tile } from "./controls.js";

explorers("codebook", (root, { tokens, patch, across, entries, columns, shares }, [sheet]) => {
  root.querySelector(".pl-still").hidden = true;
  const rows = tokens.length / across, scale = 8;
  const row = make(root, "div", { className: "pl-row" });
  const book = canvas(row, sheet.naturalWidth, sheet.naturalHeight,
    "The codebook: choose an entry", 340);
  const picture = canvas(row, across * patch * scale, rows * patch * scale,
    "The image: choose where the entry goes", 240);
  const panel = make(root, "div", { className: "pl-controls" });
  const said = make(root, "p", { className: "pl-words" });
  said.setAttribute("aria-live", "polite");
  const original = [...tokens];
  let entry = tokens[Math.floor(tokens.length / 2)], spot = null;
  for (const [name, fill] of [["Original", (i) => original[i]], ["All empty", () => 0],
    ["All this entry", () => entry]])
    make(panel, "button", { type: "button", textContent: name, onclick: () => {
      tokens = tokens.map((_, i) => fill(i));
      changed();
    } });
  choosable(book, entries / columns, columns, pick, pick);
  choosable(picture, rows, across, (y, x) => { spot = [y, x]; show(); }, (y, x) => {
    spot = [y, x];
    tokens[y * across + x] = entry;
    changed();
  });
  show();
  recall(root, "tokens", (text) => {
    const wanted = text.split(".").map(Number);
    if (wanted.length === tokens.length && wanted.every((token) => token in shares)) tokens = wanted;
    show();
  });

  function pick(y, x) {
    entry = y * columns + x;
    show();
  }

  function changed() {
    remember("tokens", tokens.join("."));
    show();
  }

  function show() {
    const at = (token) => tile(Math.floor(token / columns), token % columns, patch, patch, 1);
    const context = picture.getContext("2d"), side = patch * scale;
    context.imageSmoothingEnabled = false;
    tokens.forEach((token, i) => context.drawImage(sheet, ...at(token),
      i % across * side, Math.floor(i / across) * side, side, side));
    if (spot) outline(context, spot[1] * side, spot[0] * side, side, 2);
    const [x, y] = at(entry), shown = book.getContext("2d");
    shown.drawImage(sheet, 0, 0);
    outline(shown, x, y, patch, 1.5);
    said.textContent = `Entry ${entry}, ${(100 * shares[entry]).toFixed(2)} % of the patches` +
      (spot ? `; row ${spot[0] + 1}, column ${spot[1] + 1} holds entry ` +
      `${tokens[spot[0] * across + spot[1]]}.` : ".");
  }
});

function outline(context, x, y, side, width) {
  context.lineWidth = width;
  context.strokeStyle = "#f28c28";
  context.strokeRect(x - width / 2, y - width / 2, side + width, side + width);
}
