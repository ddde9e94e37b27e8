// A folded line opens in place: what it holds is fetched once, then shown and hidden.

const bodyOf = (link) => document.getElementById(link.getAttribute("aria-controls"));

function show(link, open) {
  bodyOf(link).closest(".fold-body").hidden = !open;
  link.setAttribute("aria-expanded", String(open));
}

document.addEventListener("htmx:beforeRequest", (event) => {
  const link = event.target.closest?.("[data-fold]");
  if (!link || !bodyOf(link).childElementCount) return;
  event.preventDefault(); // it is here already
  show(link, link.getAttribute("aria-expanded") === "false");
});

document.addEventListener("htmx:afterSwap", (event) => {
  const link = document.querySelector(`[data-fold][aria-controls="${CSS.escape(event.target.id)}"]`);
  if (link) show(link, true);
});
