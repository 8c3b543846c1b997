// Pictures by the size of their file: each format's best below the limit.
import { explorers, sliders } from "./controls.js";

explorers("rates", (stage, { limits, start }, [], say) => {
  const still = stage.parentNode.querySelector(".pl-still"); // it holds all, and shows some
  stage.after(still);
  still.hidden = false;
  sliders(stage, { bytes: { label: "bytes a frame, at most", min: 0, max: limits.length - 1,
    value: start, words: limits } }, ({ bytes }) => {
    const found = [...still.children].map((format) => {
      const files = [...format.querySelectorAll("[data-bytes]")]; // the first is none, of 0
      const best = files.filter((file) => file.dataset.bytes <= limits[bytes]).at(-1);
      for (const file of files) file.hidden = file !== best;
      return `${format.dataset.format} ${best.textContent}`;
    });
    say(`At most ${limits[bytes]} bytes: ${found.join("; ")}.`);
  });
});
