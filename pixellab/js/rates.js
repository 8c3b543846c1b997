// Pictures by the size of their file: each format's best below the limit.
import { explorers, make, sliders } from "./controls.js";

explorers("rates", (root, data) => {
  const formats = [...root.querySelectorAll("[data-format]")];
  const controls = make(root, "div"), said = make(root, "p", { className: "pl-words" });
  said.setAttribute("aria-live", "polite");
  root.prepend(controls);
  root.querySelector(".pl-still").classList.add("pl-side-by-side");
  sliders(controls, {
    bytes: { label: "bytes a frame, at most", min: 0, max: data.limits.length - 1, step: 1,
      value: data.start, words: data.limits },
  }, ({ bytes }) => {
    said.textContent = `At most ${data.limits[bytes]} bytes: ` +
      formats.map((format) => best(format, data.limits[bytes])).join("; ") + ".";
  });
});

// Show the largest file within the limit alone; what it is, in words.
function best(format, limit) {
  const files = [...format.querySelectorAll("[data-bytes]")];
  const within = files.filter((file) => file.dataset.bytes <= limit);
  const shown = within.at(-1);
  for (const file of files) file.hidden = file !== shown;
  format.classList.toggle("pl-none", !shown);
  return `${format.dataset.format} ${shown ? shown.innerText : "cannot go this small"}`;
}
