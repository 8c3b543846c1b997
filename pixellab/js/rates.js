// Pictures by the size of their file: each format's best below the limit.
import { explorers, sliders } from "./controls.js";

explorers("rates", (stage, { limits, start }, [], say) => {
  const still = stage.parentNode.querySelector(".pl-still"); // it holds all, shows some
  const formats = [...still.children];
  stage.after(still);
  still.hidden = false;
  sliders(stage, {
    bytes: { label: "bytes a frame, at most", min: 0, max: limits.length - 1, value: start,
      words: limits },
  }, ({ bytes }) => say(`At most ${limits[bytes]} bytes: ` +
    `${formats.map((format) => best(format, limits[bytes])).join("; ")}.`));
});

// Show the largest file within the limit alone; what it is, in words.
function best(format, limit) {
  const files = [...format.querySelectorAll("[data-bytes]")];
  const shown = files.filter((file) => file.dataset.bytes <= limit).at(-1);
  for (const file of files) file.hidden = file !== shown;
  format.classList.toggle("pl-none", !shown);
  return `${format.dataset.format} ${shown?.textContent ?? "cannot go this small"}`;
}
