// <button data-copy="…"> puts that text on the clipboard.

const SHOWN_FOR = 1500;

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const done = await put(button.dataset.copy);
  if (!done) return;
  button.dataset.copied = "";
  setTimeout(() => delete button.dataset.copied, SHOWN_FOR);
});

async function put(text) {
  // Without HTTPS there is no navigator.clipboard.
  if (navigator.clipboard) {
    return navigator.clipboard.writeText(text).then(() => true, () => false);
  }
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "vh";
  const focused = document.activeElement;
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  focused?.focus();
  return done;
}
