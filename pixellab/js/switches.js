// One code, bit by bit: what the picture would be with some of them flipped.
import { canvas, explorers, make, outline, paint, setting, tile } from "./controls.js";

explorers("switches", (stage, { code, bits, side, columns, row, column }, [frame, sheet], say) => {
  const pair = make(stage, "div", { className: "pl-row" });
  const whole = canvas(pair, frame.naturalWidth, frame.naturalHeight, "The frame", 2);
  const near = canvas(pair, side, side, "The patch and its neighbours", 2 * whole.height / side);
  const panel = make(stage, "div", { className: "pl-buttons" });
  let now;
  const switches = Array.from({ length: bits }, (_, bit) =>
    make(panel, "button", { type: "button", onclick: () => set(now ^ 1 << bit) }));
  const set = setting(stage, "code", code, (wanted) => {
    if (!/^\d+$/.test(wanted) || wanted >= 2 ** bits) return;
    now = Number(wanted);
    const part = tile(Math.floor(now / columns), now % columns, side, side);
    paint(near, sheet, part);
    paint(whole, frame);
    paint(whole, sheet, part, [column, row, side, side]);
    outline(whole, [column, row, side, side], 1);
    switches.forEach((button, bit) => {
      button.textContent = `bit ${bit}: ${now >> bit & 1}`;
      button.ariaPressed = String(Boolean((now ^ code) >> bit & 1));
    });
    const flipped = switches.filter((button) => button.ariaPressed === "true").length;
    say(`Code ${now}: ${flipped} of ${bits} bits flipped (the encoder chose ${code}).`);
  });
});
