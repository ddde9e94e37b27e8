// On a plan: 1 to 9 choose the kind of reason, Enter confirms. Neither while typing, nor with a modifier held.

const form = () => document.querySelector("form[data-plan]");
const typing = (element) => element.closest("input:not([type=radio], [type=checkbox]), textarea, select");

document.addEventListener("keydown", (event) => {
  if (!form() || event.ctrlKey || event.metaKey || event.altKey || event.repeat || typing(event.target)) return;
  if (/^[1-9]$/.test(event.key)) {
    const kind = form().querySelectorAll(".reasons input")[event.key - 1];
    kind?.click();
    kind?.focus();
  } else if (event.key === "Enter" && !event.target.closest("a, button, summary")) {
    event.preventDefault(); // a radio button would send its form, too
    form().requestSubmit();
  }
});

// Sent once: what a second click sends would only be told what the first began.
document.addEventListener("submit", (event) => {
  if (!event.target.matches("form[data-plan]")) return;
  const button = event.target.querySelector("[type=submit]");
  setTimeout(() => (button.disabled = true));
});
addEventListener("pageshow", () => form()?.querySelector("[type=submit]").removeAttribute("disabled"));
