// An event stream over fetch. An EventSource can't tell a 401 from a dead server, gives up at a 502,
// and, as it hides the heartbeats, goes on looking open when the network is gone.

const SILENCE = 40_000; // the server sends a heartbeat after 15 s

export class Refused extends Error {
  constructor(status) {
    super(`HTTP ${status}`);
    this.status = status;
  }
}

/**
 * Yields {name, id, data}, or null for what is no event (the opening, heartbeats), until the server
 * ends the stream. Throws Refused for an answer that is no stream, and an error when the network fails.
 */
export async function* events(url, { signal, after }) {
  const silent = new AbortController();
  let watchdog = setTimeout(() => silent.abort(), SILENCE);
  try {
    const headers = { Accept: "text/event-stream", "Last-Event-ID": String(after) };
    const response = await fetch(url, { headers, cache: "no-store", signal: AbortSignal.any([signal, silent.signal]) });
    if (!response.ok || !response.headers.get("Content-Type")?.startsWith("text/event-stream")) {
      response.body?.cancel();
      throw new Refused(response.status);
    }
    let text = "";
    for await (const part of read(response.body.pipeThrough(new TextDecoderStream()))) {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => silent.abort(), SILENCE);
      const blocks = (text + part).split("\n\n");
      text = blocks.pop();
      yield* blocks.map(parse);
    }
  } finally {
    clearTimeout(watchdog);
    silent.abort(); // lets go of the connection when whoever listens stops half-way
  }
}

async function* read(stream) {
  const reader = stream.getReader();
  for (let step = await reader.read(); !step.done; step = await reader.read()) yield step.value;
}

function parse(block) {
  const fields = { id: null, event: "message", data: null };
  for (const line of block.split("\n")) {
    const [, name, value] = /^([^:]*):? ?([^]*)$/.exec(line);
    if (name === "data" && fields.data !== null) fields.data += `\n${value}`;
    else if (name in fields) fields[name] = value;
  }
  return fields.data === null ? null : { name: fields.event, id: Number(fields.id), data: fields.data };
}
