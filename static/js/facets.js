// An opening menu asks how many there are of each of its choices.

document.addEventListener("toggle", ({ target }) => {
  if (!target.open) return;
  for (const facet of target.querySelectorAll(".facet")) htmx.trigger(facet, "count");
}, { capture: true });
