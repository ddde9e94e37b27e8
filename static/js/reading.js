// Whether somebody may be reading or doing something here: then nothing may move.

const BUSY = [
  '#rows .row[aria-current="true"]',
  "#rows :checked",
  "#timeline:hover",
  "details[open]",
  "dialog[open]",
  '[data-fold][aria-expanded="true"]',
].join();
// Who touches has no pointer that says where they look; who wants less motion wants none of this.
const never = matchMedia("(hover: none), (prefers-reduced-motion: reduce)");

export function reading() {
  if (never.matches || window.scrollY > 0 || document.querySelector(BUSY)) return true;
  const focused = document.activeElement;
  const idle = !focused || focused === document.body || focused.id === "main";
  return !idle || !window.getSelection().isCollapsed;
}
