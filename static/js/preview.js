// A file is fetched while a button is held, or for five seconds, and dropped at once afterwards: let go, another tab,
// another window, a click elsewhere. Each look shows one step more than the last.

import { say as word } from "./words.js";
const STEPS = ["step-blurred", "step-grey", "step-plain"];
const LONG = 5000;
const form = document.querySelector("[data-preview]");
const box = form?.querySelector("[data-preview-box]");
let step = 0; // of the next look
let look = null; // the one under way

const say = (words) => (form.querySelector("[data-preview-said]").textContent = words);

async function begin({ held }) {
  if (look) return;
  const mine = (look = { held, stop: new AbortController() });
  say(word("fetching"));
  try {
    const answer = await fetch(form.action, { method: "POST", headers: { "X-CSRFToken": form.elements.csrfmiddlewaretoken.value }, redirect: "manual", cache: "no-store", signal: mine.stop.signal });
    const kind = answer.headers.get("Content-Type") ?? "";
    if (answer.ok && /^(image|video)\//.test(kind)) put(await answer.blob(), mine);
    else fail(mine, kind.startsWith("text/plain") ? await answer.text() : word("not-shown"));
  } catch {
    fail(mine, word("not-fetched"));
  }
}

function put(file, mine) {
  if (look !== mine) return; // let go meanwhile
  const film = file.type.startsWith("video/");
  const shown = document.createElement(film ? "video" : "img");
  if (film) Object.assign(shown, { muted: true, playsInline: true, preload: "auto", disablePictureInPicture: true });
  else shown.alt = word("file", { how: word(STEPS[step]) });
  shown.addEventListener("error", () => fail(mine, word("not-drawn")));
  shown.dataset.step = step;
  mine.url = shown.src = URL.createObjectURL(file);
  box.append(shown);
  step = Math.min(step + 1, STEPS.length - 1);
  if (!mine.held) mine.timer = setTimeout(hide, LONG);
}

function fail(mine, words) {
  if (look !== mine) return;
  hide();
  say(words);
}

function hide() {
  if (!look) return;
  const { stop, url, timer } = look;
  look = null;
  stop.abort();
  clearTimeout(timer);
  for (const shown of box.querySelectorAll("img, video")) shown.remove();
  if (url) URL.revokeObjectURL(url);
  form.querySelector("[data-reveal-how]").textContent = word(STEPS[step]);
  say(word(url ? "hidden" : "let-go"));
}

const on = (event, how) => event.target.closest?.(`[data-reveal=${how}]`);
const letGo = () => look?.held && hide();

if (form) {
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("contextmenu", (event) => on(event, "hold") && event.preventDefault());
  form.addEventListener("pointerdown", (event) => event.button === 0 && on(event, "hold") && begin({ held: true }));
  form.addEventListener("click", (event) => on(event, "while") && begin({ held: false }));
  form.addEventListener("keydown", (event) => {
    if (event.key !== " " || !on(event, "hold")) return;
    event.preventDefault();
    if (!event.repeat) begin({ held: true });
  });
  document.addEventListener("keyup", (event) => event.key === " " && letGo());
  document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
  for (const name of ["pointerup", "pointercancel"]) document.addEventListener(name, letGo);
  for (const name of ["blur", "pagehide"]) window.addEventListener(name, hide);
  form.addEventListener("focusout", hide);
  document.addEventListener("visibilitychange", hide);
}
