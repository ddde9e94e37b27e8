// When the server can't be reached or fails, the page says so; it never goes on looking current.

import { say } from "./words.js";

const WORDS = { "htmx:sendError": "unreachable", "htmx:timeout": "too-slow" };

function tell(words) {
  const notice = document.getElementById("notice-error");
  notice.querySelector("[data-notice]").textContent = words;
  notice.hidden = false;
}

for (const [name, words] of Object.entries(WORDS)) {
  document.addEventListener(name, () => tell(`${say(words)} ${say("out-of-date")}`));
}

/** In the server's own sentence where it has one for us, with what to quote. */
document.addEventListener("htmx:responseError", ({ detail: { xhr } }) => {
  const said = xhr.getResponseHeader("Content-Type")?.startsWith("text/plain") && xhr.responseText.trim();
  const reference = xhr.getResponseHeader("X-Request-ID");
  const words = said || say("server-error", { status: xhr.status });
  tell([words, say("out-of-date"), reference && say("reference", { reference })].filter(Boolean).join(" "));
});

document.addEventListener("htmx:afterOnLoad", (event) => {
  if (event.detail.successful) document.getElementById("notice-error").hidden = true;
});
