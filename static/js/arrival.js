// New rows enter above the others, and what is read stays at the same pixel; where nobody reads, the page then
// goes up to them. By scrolling, not by moving rows: browsers and people tell the two apart.
import { enter } from "./days.js";

const PATIENCE = 2000;

export function enterAbove(rows) {
  const first = document.querySelector("#rows .row");
  const before = first?.getBoundingClientRect().top;
  for (const row of rows) enter(row);
  if (first) window.scrollBy({ top: first.getBoundingClientRect().top - before, behavior: "instant" });
}

/** Rows can enter without moving others only where the page is longer than the window. */
export const hasRoom = () => document.documentElement.scrollHeight > window.innerHeight;

/** Resolves when the newest row is in sight; or in the end anyway, as somebody may scroll elsewhere meanwhile. */
export function goUp() {
  return new Promise((resolve) => {
    const look = () => {
      if (window.scrollY > 0) return;
      document.removeEventListener("scroll", look);
      resolve();
    };
    document.addEventListener("scroll", look);
    setTimeout(resolve, PATIENCE);
    window.scrollTo({ top: 0, behavior: "smooth" });
  });
}
