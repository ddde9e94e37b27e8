// New rows wait behind the pill. They enter above when asked to, and the row being read stays where it is.
import { announce } from "./announce.js";
import { enter } from "./days.js";

const MOST = 200;
const parser = new DOMParser();

export class Waiting {
  rows = [];
  tooMany = "";

  constructor({ held }) {
    this.held = held;
    this.pill = document.getElementById("new-pill");
    this.pill.addEventListener("click", () => this.pullIn());
  }

  get any() {
    return this.tooMany !== "" || this.rows.length > 0;
  }

  get words() {
    if (this.tooMany) return `${this.tooMany} — reload`;
    return this.rows.length === 1 ? "1 new change" : `${this.rows.length} new changes`;
  }

  get sentence() {
    if (this.held || !this.any) return "";
    if (this.tooMany) return `${this.tooMany}. Press n to reload.`;
    return this.rows.length === 1 ? "1 new change is waiting. Press n to show it." : `${this.rows.length} new changes are waiting. Press n to show them.`;
  }

  take({ name, data }) {
    if (name === "reset") this.tooMany = data;
    else if (this.rows.length === MOST) this.tooMany = `More than ${MOST} new changes`;
    if (this.tooMany) this.rows = [];
    else this.rows.push(parser.parseFromString(data, "text/html").body.firstElementChild);
    this.show();
  }

  /** While held, the pill stays away. */
  hold(held) {
    this.held = held;
    this.show();
  }

  show() {
    this.pill.querySelector("[data-new-count]").textContent = this.words;
    this.pill.hidden = this.held || !this.any;
    announce(() => this.sentence);
  }

  pullIn() {
    if (this.tooMany) return location.reload();
    const reading = document.querySelector("#rows .row");
    const before = reading?.getBoundingClientRect().top;
    for (const row of this.rows.splice(0)) enter(row);
    if (reading) window.scrollBy({ top: reading.getBoundingClientRect().top - before, behavior: "instant" });
    if (document.activeElement === this.pill) document.querySelector("#rows .row a")?.focus({ preventScroll: true });
    this.show();
  }
}
