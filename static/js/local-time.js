// Times come into the reader's zone where that was chosen; and <time data-ago> begins to say how long ago it was. In a row the clock stays, on the second line;
// a title gains the reader's own time.

import { say } from "./words.js";
import { intoZone, sayZone } from "./zone.js";

const UNITS = [["s", 60], ["min", 60], ["h", 24], ["d", 14]];
const EVERY = 5000;

function ago(seconds) {
  let value = Math.max(0, seconds);
  for (const [unit, size] of UNITS) {
    if (value < size) return say(`ago-${unit}`, { number: Math.floor(value) });
    value /= size;
  }
  return null; // so long ago that a date says more
}

function refresh() {
  document.querySelectorAll("time").forEach(intoZone);
  document.querySelectorAll("[data-in-zone]").forEach(sayZone);
  for (const time of document.querySelectorAll("time[data-ago]")) {
    const moment = new Date(time.dateTime);
    const words = ago((Date.now() - moment) / 1000);
    const first = time.querySelector(".l1") ?? time;
    if (!time.dataset.clock) prepare(time, first, moment);
    const text = words ?? time.dataset.clock;
    if (first.textContent !== text) first.textContent = text;
    const second = time.querySelector(".l2");
    if (second) second.textContent = words ? time.dataset.clock : time.dataset.day;
  }
}

function prepare(time, first, moment) {
  time.dataset.clock = first.textContent;
  time.dataset.day = time.querySelector(".l2")?.textContent ?? "";
  time.title += ` (${moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" })})`;
}

refresh();
setInterval(refresh, EVERY);
new MutationObserver((changes) => {
  if (changes.some((change) => [...change.addedNodes].some(holdsTime))) refresh();
}).observe(document.body, { childList: true, subtree: true });

function holdsTime(node) {
  return node.nodeType === Node.ELEMENT_NODE && (node.matches("time") || node.querySelector("time"));
}
