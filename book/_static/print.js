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
