// When the server last said anything, if only that it is still there (it does so every 15 s at least).

import { say } from "./words.js";

const told = document.querySelector("[data-heard]");
let at = null;

export function hear() {
  at = performance.now();
  show();
}

function show() {
  if (!told || at === null) return;
  const seconds = Math.floor((performance.now() - at) / 1000);
  told.textContent = seconds < 100 ? say("heard-s", { number: seconds }) : say("heard-min", { number: Math.floor(seconds / 60) });
}

setInterval(show, 1000);
