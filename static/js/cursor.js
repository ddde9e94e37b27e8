// The row that keys are about: it has the focus, so that a screen reader reads it.

export const current = () => document.querySelector('#rows .row[aria-current="true"]');

export function move(step) {
  const rows = [...document.querySelectorAll("#rows .row")].filter((row) => row.checkVisibility());
  const at = rows.indexOf(current());
  const next = rows[at < 0 ? 0 : Math.min(Math.max(at + step, 0), rows.length - 1)];
  if (!next) return;
  next.tabIndex = -1;
  next.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}

export function leave() {
  if (current()?.contains(document.activeElement)) document.activeElement.blur();
  choose(null);
}

function choose(row) {
  const before = current();
  if (before === row) return;
  before?.removeAttribute("aria-current");
  row?.setAttribute("aria-current", "true");
}

// However the focus came into a row, that is the row it is about.
document.addEventListener("focusin", (event) => {
  const row = event.target.closest("#rows .row");
  if (row) choose(row);
});
