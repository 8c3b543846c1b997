// One code, bit by bit: what the picture would be with some of them flipped.
import { canvas, explorers, fits, make, outline, paint, setting, tile } from "./controls.js";

explorers("switches", (stage, { code, bits, side, columns, row, column }, [frame, sheet], say) => {
  const pair = make(stage, "div", { className: "pl-row" });
  const whole = canvas(pair, frame.naturalWidth, frame.naturalHeight, "The frame", 2);
  const near = canvas(pair, side, side, "The patch and its neighbours", 2 * whole.height / side);
  const panel = make(stage, "div", { className: "pl-buttons" });
  const switches = Array.from({ length: bits }, (_, bit) =>
    make(panel, "button", { onclick: () => set(now ^ 1 << bit) }));
  let now;
  const set = setting(stage, "code", code, (wanted) => {
    if (!fits(wanted, 2 ** bits)) return;
    now = Number(wanted);
    const part = tile(now, columns, side, side), place = [column, row, side, side];
    paint(near, sheet, part);
    paint(whole, frame);
    paint(whole, sheet, part, place);
    outline(whole, place, 1);
    switches.forEach((button, bit) => {
      button.textContent = `bit ${bit}: ${now >> bit & 1}`;
      button.ariaPressed = String(Boolean((now ^ code) >> bit & 1));
    });
    const flipped = switches.filter((button) => button.ariaPressed === "true").length;
    say(`Code ${now}: ${flipped} of ${bits} bits flipped (the encoder chose ${code}).`);
  });
});
