// New rows wait behind the pill until asked for. Only where nobody can be reading do they enter by themselves.
import { announce } from "./announce.js";
import { enterAbove, goUp, hasRoom } from "./arrival.js";
import { reading } from "./reading.js";
import { atTheTop, changes, waiting } from "./wording.js";
import { say } from "./words.js";

const MOST = 200;
const CALM = 2000; // between two entrances that nobody asked for
const parser = new DOMParser();

export class Waiting {
  rows = [];
  tooMany = "";

  constructor({ held }) {
    Object.assign(this, { held, entered: 0, timer: null, going: null });
    this.pill = document.getElementById("new-pill");
    this.pill.addEventListener("click", () => this.pullIn());
  }

  get any() {
    return this.tooMany !== "" || this.rows.length > 0;
  }

  get words() {
    return this.tooMany ? say("too-many-reload", { changes: this.tooMany }) : changes(this.rows.length);
  }

  get sentence() {
    if (this.held || !this.any) return "";
    return this.tooMany ? say("too-many-press", { changes: this.tooMany }) : waiting(this.rows.length);
  }

  take({ name, data }) {
    if (name === "reset") this.tooMany = say("too-many", { number: MOST });
    else if (this.rows.length === MOST) this.tooMany = say("too-many", { number: MOST });
    if (this.tooMany) this.rows = [];
    else this.rows.push(parser.parseFromString(data, "text/html").body.firstElementChild);
    this.settle();
  }

  /** Let them in, now or in a moment; or behind the pill. */
  settle() {
    if (this.going) return;
    if (this.held || this.tooMany || !this.rows.length || reading() || !hasRoom()) return this.show();
    const due = this.entered + CALM - performance.now();
    clearTimeout(this.timer);
    if (this.entered && due > 0) this.timer = setTimeout(() => this.settle(), due);
    else this.letIn();
  }

  letIn() {
    this.entered = performance.now();
    const words = atTheTop(this.rows.length);
    this.going = enterAbove(this.rows.splice(0)).then((calm) => (this.show(), announce(() => words), calm && goUp()));
    this.going.then(() => ((this.going = null), this.settle()));
  }

  hold(held) {
    this.held = held; // then the pill stays away
    this.settle();
  }

  show() {
    this.pill.querySelector("[data-new-count]").textContent = this.words;
    this.pill.hidden = this.held || !this.any;
    announce(() => this.sentence);
  }

  async pullIn() {
    if (this.tooMany) return location.reload();
    await enterAbove(this.rows.splice(0));
    if (document.activeElement === this.pill) document.querySelector("#rows .row a")?.focus({ preventScroll: true });
    this.show();
  }
}
