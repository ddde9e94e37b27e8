// New rows enter above the others, and what is read stays at the same pixel; where nobody reads, the page then
// goes up to them. By scrolling, not by moving rows: browsers and people tell the two apart.
import { enter } from "./days.js";
import { folded } from "./folding.js";
import { reading } from "./reading.js";

const PATIENCE = 2000;

/** Whether nobody was reading: somebody may have begun to while the page was asked, and then it stays where it is. */
export async function enterAbove(changes) {
  const list = document.getElementById("rows");
  const rows = await folded(changes);
  if (!list.isConnected) return false; // other filters were chosen meanwhile
  const calm = !reading();
  const first = document.querySelector("#rows .row");
  const before = first?.getBoundingClientRect().top;
  for (const row of rows) enter(row);
  rows.filter((row) => row.matches(".fold")).forEach((fold) => htmx.process(fold));
  if (first) window.scrollBy({ top: first.getBoundingClientRect().top - before, behavior: "instant" });
  return calm;
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
