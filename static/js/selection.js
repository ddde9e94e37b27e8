// Selected rows: how many, ranges with Shift, Esc clears. The boxes and the bar work without this.

import { say } from "./words.js";

let last = null;
const boxes = () => [...document.querySelectorAll("#rows .c-check input")];
const chosen = () => boxes().filter((box) => box.checked);

/** `range`: all from the one chosen last to this one. */
export function toggle(row, { range = false } = {}) {
  const box = row?.querySelector(".c-check input");
  if (!box) return;
  box.checked = range || !box.checked;
  if (range) fill(box);
  last = box;
  show();
}

/** As this box is, so become all between it and the last one. */
function fill(box) {
  const all = boxes();
  if (!last || !all.includes(last)) return;
  const [from, to] = [all.indexOf(last), all.indexOf(box)].sort((a, b) => a - b);
  for (const one of all.slice(from, to + 1)) one.checked = box.checked;
}

/** Press the button of that verb: the bar's for the selected rows or else the current one, or a media page's. It leads to the plan. */
export function act(verb, row) {
  document.querySelector(`.act-card button[value="${verb}"]:enabled`)?.click();
  if (!chosen().length && row) toggle(row);
  if (chosen().length) document.querySelector(`#selection button[value="${verb}"]`)?.click();
}

export function clear() {
  for (const box of chosen()) box.checked = false;
  show();
}

function show() {
  const told = document.querySelector("[data-selected]");
  if (!told) return;
  const states = new Map(); // of each media item its newest state: newest rows come first
  for (const box of chosen()) if (!states.has(box.value)) states.set(box.value, box.dataset.state);
  const number = (state) => [...states.values()].filter((one) => one === state).length;
  told.textContent = say("selected", { number: states.size });
  document.querySelector("[data-selected-states]").textContent = ["quarantined", "released", "deleted"]
    .filter(number)
    .map((state) => say(`selected-${state}`, { number: number(state) }))
    .join(", ");
  for (const label of document.querySelectorAll("[data-counts]")) {
    label.dataset.verb ??= label.textContent.replace("…", "");
    const many = number(label.dataset.counts);
    label.textContent = many ? say("verb-number", { verb: label.dataset.verb, number: many }) : `${label.dataset.verb}…`;
  }
}

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-clear-selection]")) return clear();
  const box = event.target.closest(".c-check input");
  if (!box) return;
  if (event.shiftKey) fill(box);
  last = box;
  show();
});

document.addEventListener("htmx:load", show);
