// One code, bit by bit: what the picture would be with some of them flipped.
import { canvas, explorers, make, recall, remember, tile } from "./controls.js";

explorers("switches", (root, { code, bits, side, columns, row, column }, [frame, sheet]) => {
  root.querySelector(".pl-still").hidden = true;
  const pair = make(root, "div", { className: "pl-row" });
  const whole = canvas(pair, frame.naturalWidth, frame.naturalHeight, "The frame", 200);
  const near = canvas(pair, side, side, "The patch and its neighbours, enlarged", 200);
  const panel = make(root, "div", { className: "pl-controls", label: "The bits of the code" });
  panel.setAttribute("role", "group");
  const said = make(root, "p", { className: "pl-words" });
  said.setAttribute("aria-live", "polite");
  let now = code;
  const buttons = Array.from({ length: bits }, (_, bit) => make(panel, "button", {
    type: "button", onclick: () => {
      now ^= 1 << bit;
      remember("code", now);
      show();
    } }));
  recall(root, "code", (text) => {
    const wanted = Number.parseInt(text, 10);
    if (wanted >= 0 && wanted < 2 ** bits) now = wanted;
    show();
  });
  show();

  function show() {
    const at = tile(Math.floor(now / columns), now % columns, side, side);
    near.getContext("2d").drawImage(sheet, ...at, 0, 0, side, side);
    const picture = whole.getContext("2d");
    picture.drawImage(frame, 0, 0);
    picture.drawImage(sheet, ...at, column, row, side, side);
    const flipped = buttons.filter((button, bit) => {
      const on = now >> bit & 1;
      button.textContent = `bit ${bit}: ${on}`;
      button.setAttribute("aria-pressed", Boolean((now ^ code) >> bit & 1));
      return (now ^ code) >> bit & 1;
    }).length;
    said.textContent = `Code ${now}: ${flipped} of ${bits} bits flipped (the encoder chose ${code}).`;
  }
});
