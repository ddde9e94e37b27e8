// Keys: / search, j and k move from row to row, Enter opens, x selects (X as far as here), q and u plan an action,
// n shows new rows, p pauses, ? lists all this. Off while typing, with a modifier held, and for those who turned them off.
import { current, leave, move } from "./cursor.js";
import { act as perform, clear, toggle } from "./selection.js";

const typing = (element) => element.closest("input:not([type=checkbox]), textarea, select, [contenteditable]");
const off = document.body.dataset.keys === "off";

const KEYS = {
  "/": () => document.getElementById("q")?.focus(),
  "?": () => document.getElementById("keys")?.showModal(),
  j: () => move(1),
  k: () => move(-1),
  x: () => toggle(current()),
  X: () => toggle(current(), { range: true }),
  q: () => perform("quarantine", current()),
  u: () => perform("release", current()),
  n: () => document.querySelector("#new-pill:not([hidden])")?.click(),
  p: () => document.querySelector("#live:not([data-off]) [data-live-toggle]")?.click(),
  Enter: () => current()?.querySelector("a.name").click(),
};

document.addEventListener("keydown", (event) => {
  if (off || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  if (document.querySelector("dialog[open]")) return;
  const onControl = event.key === "Enter" && event.target.closest("a, button, summary");
  const act = KEYS[event.key];
  if (!act || onControl) return;
  if (event.key !== "Enter" || current()) event.preventDefault();
  act();
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || document.querySelector("details.menu[open], dialog[open]")) return; // that closes first
  if (document.querySelector("#rows .c-check :checked")) clear();
  else leave();
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-keys-sheet]")) KEYS["?"]();
});
