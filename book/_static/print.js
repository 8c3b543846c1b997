/* Paper is white: a dark page is printed as a light one. */
addEventListener("beforeprint", () => {
  const page = document.documentElement.dataset;
  page.shown = page.theme;
  page.theme = "light";
});
addEventListener("afterprint", () => {
  const page = document.documentElement.dataset;
  page.theme = page.shown;
});

/* Of an animation paper gets the last frame: the one for less motion. */
addEventListener("DOMContentLoaded", () => {
  for (const source of document.querySelectorAll("picture > source")) {
    const moving = source.parentElement;
    const still = moving.querySelector("img").cloneNode();
    still.src = source.srcset;
    still.className = "printed";
    moving.after(still);
  }
});
