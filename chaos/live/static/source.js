// Where events come from: the journal of the run once, then the stream of what follows. A server that is lost is asked again
// until it is back; one that was started anew has another run, whose journal is then read from its beginning.
import { wrongWith } from "./schema.js";

const RETRY_MS = [300, 700, 1500, 3000];

export class Source {
  #stream = null;
  #timer = 0;
  #tries = 0;

  // `run()` gives the Run that is now kept; `renew(events)` replaces it; `add(event)`; `tell("live" | "lost" | "connecting")`.
  constructor({ run, renew, add, tell }) {
    Object.assign(this, { run, renew, add, tell });
    this.token = document.querySelector("meta[name=live-token]").content;
    addEventListener("online", () => this.#again(0));
    // A page that a browser keeps for its Back button would keep one of the few connections that it has to a server.
    addEventListener("pagehide", () => this.#hangUp());
    addEventListener("pageshow", (event) => event.persisted && this.#again(0));
    document.addEventListener("visibilitychange", () => this.#tries && !document.hidden && this.#again(0));
  }

  start() {
    return this.#connect();
  }

  // The token of the server that runs now; another than before once that was started anew.
  async freshToken() {
    const page = new DOMParser().parseFromString(await text("/"), "text/html");
    this.token = page.querySelector("meta[name=live-token]")?.content ?? this.token;
    return this.token;
  }

  async #connect() {
    try {
      const { id, last } = this.run();
      if (id) this.#listen(id, last);
      else await this.#reload();
    } catch {
      this.#lost();
    }
  }

  async #reload() {
    const lines = (await text("/journal")).split("\n");
    this.renew(lines.map(parsed).filter(Boolean));
    const { id, last } = this.run();
    this.#listen(id, last);
  }

  #listen(id, after) {
    this.#stream?.close();
    const stream = new EventSource(`/events?after=${after}&run=${encodeURIComponent(id)}`);
    this.#stream = stream;
    stream.onopen = () => {
      this.#tries = 0;
      this.tell("live");
    };
    stream.onmessage = (message) => {
      const event = parsed(message.data);
      if (event) this.add(event);
    };
    stream.addEventListener("reset", () => {
      stream.close();
      this.freshToken().then(() => this.#reload()).catch(() => this.#lost());
    });
    stream.onerror = () => {
      stream.close();
      if (this.#stream === stream) this.#lost();
    };
  }

  #hangUp() {
    clearTimeout(this.#timer);
    this.#stream?.close();
    this.#stream = null;
  }

  #lost() {
    this.#hangUp();
    this.tell("lost");
    this.#again(RETRY_MS[Math.min(this.#tries, RETRY_MS.length - 1)]);
    this.#tries += 1;
  }

  #again(wait_ms) {
    if (this.#stream) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), wait_ms);
  }
}

function parsed(line) {
  try {
    const event = JSON.parse(line);
    return wrongWith(event) ? null : event;
  } catch {
    return null;
  }
}

async function text(path) {
  const answer = await fetch(path, { cache: "no-store" });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.text();
}
