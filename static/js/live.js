// The live view: opens the stream of the page's own filters, and says honestly how live the page is.
import { Feed } from "./feed.js";
import { hear } from "./heard.js";
import { Waiting } from "./waiting.js";
import { say } from "./words.js";

const indicator = document.getElementById("live");
const toggle = indicator?.querySelector("[data-live-toggle]");
let timeline = null;
let feed = null;
let waiting = null;
let state = "reconnecting";
let paused = false;

/** Filters and pages swap the timeline: each has a stream of its own, and only the newest page has one. */
function attach() {
  const found = document.querySelector("#timeline[data-live]");
  if (found === timeline) return;
  feed?.close();
  waiting?.hold(true);
  timeline = found;
  indicator.toggleAttribute("data-off", !found);
  if (!found) return;
  waiting = new Waiting({ held: paused });
  feed = new Feed({ url: found.dataset.live, position: Number(found.dataset.position), tell, take, hear });
  if (!document.hidden) feed.open();
  show();
}

function tell(next) {
  state = next;
  show();
}

function take(event) {
  waiting.take(event);
  show();
}

function show() {
  const shown = paused && state !== "signed-out" ? "paused" : state;
  if (indicator.dataset.state !== shown) indicator.dataset.state = shown;
  indicator.title = paused && waiting.any ? say("held-back", { changes: waiting.words }) : "";
}

function pause() {
  paused = !paused;
  toggle.setAttribute("aria-pressed", String(paused));
  toggle.setAttribute("aria-label", say(paused ? "resume" : "pause"));
  waiting.hold(paused);
  show();
}

if (indicator) {
  attach();
  document.addEventListener("htmx:load", attach);
  toggle.addEventListener("click", pause);
  // Browsers allow six connections to a server: a tab nobody looks at gives its own back.
  document.addEventListener("visibilitychange", () => (document.hidden ? feed?.close() : feed?.open()));
}
