// Keeps an event stream open from a position on. After every interruption it comes back with the last
// position it has, so nothing is lost; what it has already, it drops.
import { Refused, events } from "./events.js";

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 15_000;
const DOUBT = 1_000; // an opening may take so long before the page admits that it is not live
const SIGNED_OUT = [401, 403];

export class Feed {
  #stop = null;

  /** `tell` is told "live", "reconnecting" or "signed-out"; `take` is given each change or reset; `hear` is called for whatever comes. */
  constructor({ url, position, tell, take, hear }) {
    Object.assign(this, { url, position, tell, take, hear });
  }

  open() {
    if (this.#stop) return;
    this.#stop = new AbortController();
    this.#run(this.#stop.signal);
  }

  close() {
    this.#stop?.abort();
    this.#stop = null;
  }

  async #run(signal) {
    for (let pause = FIRST_PAUSE; !signal.aborted; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
      if (await this.#listen(signal)) pause = FIRST_PAUSE;
      if (signal.aborted) return;
      this.tell("reconnecting");
      // Not all readers of a server that stopped may come back in the same moment.
      await rest(pause * (0.5 + Math.random()), signal);
    }
  }

  /** Until the stream ends; says whether it had begun. */
  async #listen(signal) {
    const doubt = setTimeout(() => this.tell("reconnecting"), DOUBT);
    let begun = false;
    try {
      for await (const event of events(this.url, { signal, after: this.position })) {
        clearTimeout(doubt);
        if (signal.aborted) break;
        this.hear();
        if (!begun) this.tell("live");
        begun = true;
        if (event) this.#receive(event);
      }
    } catch (error) {
      if (error instanceof Refused && SIGNED_OUT.includes(error.status)) this.#signedOut();
    } finally {
      clearTimeout(doubt);
    }
    return begun;
  }

  #receive(event) {
    if (event.name === "signed-out") this.#signedOut();
    else if (event.name === "reset" || event.id > this.position) {
      this.position = event.id;
      this.take(event);
    }
  }

  #signedOut() {
    this.close();
    this.tell("signed-out");
  }
}

function rest(duration, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, duration);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
