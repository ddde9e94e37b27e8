// Keys: / search, j and k move from row to row, Enter opens, x selects, q and u plan an action, n shows new rows, p pauses.
// Off while typing and with a modifier held.
import { act as perform, clear, toggle } from "./selection.js";

const typing = (element) => element.closest("input:not([type=checkbox]), textarea, select, [contenteditable]");
const current = () => document.querySelector('.row[aria-current="true"]');

const KEYS = {
  "/": () => document.getElementById("q")?.focus(),
  j: () => move(1),
  k: () => move(-1),
  x: () => toggle(current()),
  q: () => perform("quarantine", current()),
  u: () => perform("release", current()),
  n: () => document.querySelector("#new-pill:not([hidden])")?.click(),
  p: () => document.querySelector("#live:not([hidden]) [data-live-toggle]")?.click(),
  Enter: () => current()?.querySelector("a.name").click(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  const onControl = event.key === "Enter" && event.target.closest("a, button, summary");
  const act = KEYS[event.key];
  if (!act || onControl) return;
  if (event.key !== "Enter" || current()) event.preventDefault();
  act();
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || document.querySelector("details.menu[open]")) return; // that closes first
  if (document.querySelector("#rows .c-check :checked")) clear();
  else current()?.removeAttribute("aria-current");
});

function move(step) {
  const rows = [...document.querySelectorAll("#rows .row")];
  const at = rows.indexOf(current());
  const next = rows[at < 0 ? 0 : Math.min(Math.max(at + step, 0), rows.length - 1)];
  if (!next) return;
  current()?.removeAttribute("aria-current");
  next.setAttribute("aria-current", "true");
  next.scrollIntoView({ block: "nearest" });
}
