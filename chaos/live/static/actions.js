// What one does: each is one POST to /actions. What the server does not do is told in words, beside the drawing.
import { byId, setText, show } from "./dom.js";

const NOTICE_MS = 8000;

export class Actions {
  #timer = 0;

  // `may()` says whether the page shows a world that can be acted upon now; "" or the reason why not.
  constructor(source, may) {
    Object.assign(this, { source, may });
  }

  async act(action, details = {}) {
    const reason = this.may();
    if (reason) return this.notice(reason);
    try {
      let answer = await this.#post({ action, ...details });
      if (answer.status === 403) {
        await this.source.freshToken();
        answer = await this.#post({ action, ...details });
      }
      if (answer.ok) return true;
      const { error } = await answer.json().catch(() => ({ error: "" }));
      return this.notice(error || `The server answered ${answer.status}.`);
    } catch {
      return this.notice("The server did not answer. Is `python -m chaos live` still running?");
    }
  }

  #post(body) {
    return fetch("/actions", {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Live-Token": this.source.token },
      body: JSON.stringify(body),
    });
  }

  notice(words) {
    const place = byId("notice");
    setText(place, words);
    show(place, words !== "");
    clearTimeout(this.#timer);
    if (words) this.#timer = setTimeout(() => this.notice(""), NOTICE_MS);
    return false;
  }
}
