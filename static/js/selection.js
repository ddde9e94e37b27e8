// Selected rows: how many, ranges with Shift, Esc clears. The boxes and the bar work without this.

let last = null;
const boxes = () => [...document.querySelectorAll("#rows .c-check input")];
const chosen = () => boxes().filter((box) => box.checked);

export function toggle(row) {
  const box = row?.querySelector(".c-check input");
  if (!box) return;
  box.checked = !box.checked;
  last = box;
  show();
}

/** Press the bar's button of that verb, for the selected rows or else the current one. */
export function act(verb, row) {
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
  const number = chosen().length;
  told.textContent = number === 1 ? "1 selected" : `${number} selected`;
}

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-clear-selection]")) return clear();
  const box = event.target.closest(".c-check input");
  if (!box) return;
  const all = boxes();
  if (event.shiftKey && last && all.includes(last)) {
    const [from, to] = [all.indexOf(last), all.indexOf(box)].sort((a, b) => a - b);
    for (const one of all.slice(from, to + 1)) one.checked = box.checked;
  }
  last = box;
  show();
});

document.addEventListener("htmx:load", show);
