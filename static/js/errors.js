// When the server can't be reached or fails, the page says so; it never goes on looking current.

const WORDS = {
  "htmx:sendError": "The server can’t be reached. What you see may be out of date.",
  "htmx:timeout": "The server takes too long to answer. What you see may be out of date.",
};

function tell(words) {
  const notice = document.getElementById("notice-error");
  notice.querySelector("[data-notice]").textContent = words;
  notice.hidden = false;
}

for (const [name, words] of Object.entries(WORDS)) {
  document.addEventListener(name, () => tell(words));
}

/** In the server's own sentence where it has one for us, with what to quote. */
document.addEventListener("htmx:responseError", ({ detail: { xhr } }) => {
  const said = xhr.getResponseHeader("Content-Type")?.startsWith("text/plain") && xhr.responseText.trim();
  const reference = xhr.getResponseHeader("X-Request-ID");
  const words = said || `The server answered with an error (${xhr.status}).`;
  tell(`${words} What you see may be out of date.${reference ? ` Reference ${reference}.` : ""}`);
});

document.addEventListener("htmx:afterOnLoad", (event) => {
  if (event.detail.successful) document.getElementById("notice-error").hidden = true;
});
