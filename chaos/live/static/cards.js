// The cards of the drawing: what each caller was told, what each server has done, and what one can do to them.
import { byId, el, isUsable, keyed, setAttr, setText, usable } from "./dom.js";
import { hueOf } from "./messages.js";
import { shortMethod } from "./words.js";

const TOLD = {
  waiting: (call) => ["waits", call.attempts > 1 ? `attempt ${call.attempts}` : ""],
  ok: (call) => ["was told: ok", call.replayed ? "a replay" : call.attempts > 1 ? `attempt ${call.attempts}` : ""],
  definite: (call) => ["was told: no", call.error ?? ""],
  unknown: () => ["unknown", "ran, or not"],
};
const SIGNS = { up: "● up", down: "✕ down", paused: "‖ paused", starting: "◌ starting" };
const ANSWERS = { ran: "ran", again: "ran again", replayed: "↺ replayed" };
const DEEDS = {
  kill: { words: "Kill", when: (state) => state === "up" || state === "paused" },
  restart: { words: "Restart", when: (state) => state !== "starting" },
  pause: { words: "Pause", when: (state) => state === "up" },
  "lose-disk": { words: "Lose disk", when: (state) => state !== "starting" },
};

export class Cards {
  constructor(actions) {
    this.actions = actions;
    const box = byId("drawing");
    this.clients = box.querySelector(".clients");
    this.servers = box.querySelector(".servers");
  }

  update(state) {
    keyed(this.clients, state.clients.values(), (client) => client.id, (client) => this.#client(client), (card, client) => updateClient(card, client, state));
    keyed(this.servers, state.servers.values(), (server) => server.id, (server) => this.#server(server), updateServer);
    setText(byId("store-kind"), state.world?.store ?? "");
  }

  #client({ id }) {
    const tally = el("dl", { class: "tally" });
    for (const [name, sign, words] of [["ok", "✓", "told ok"], ["definite", "✕", "told no"], ["unknown", "?", "unknown"]]) {
      tally.append(el("div", { class: name, title: words }, el("dt", { text: sign, "aria-label": words }), el("dd", { text: "0" })));
    }
    const copy = el("button", { type: "button", text: "Late copy", title: "Send an old request once more", "aria-label": `Send an old request of ${id} once more` });
    copy.addEventListener("click", () => copy.dataset.call ? this.actions.act("late-copy", { call: copy.dataset.call }) : this.actions.notice(`${id} has made no call yet.`));
    return el("article", { class: "card client", data: { client: id }, "aria-label": `client ${id}` },
      el("h3", { text: id }, el("span", { class: "call" }), el("span", { class: "method" })), el("p", { class: "told" }, el("b"), el("span")), tally, copy);
  }

  #server({ id }) {
    const figures = el("dl", { class: "figures" });
    for (const name of ["attempts", "effects", "replays", "refusals"]) figures.append(el("div", { class: name }, el("dt", { text: name }), el("dd", { text: "0" })));
    const buttons = el("div", { class: "buttons" });
    for (const deed of Object.keys(DEEDS)) {
      const button = el("button", { type: "button", data: { do: deed }, text: DEEDS[deed].words });
      button.addEventListener("click", () => isUsable(button) && this.actions.act("server", { server: id, do: button.dataset.do }));
      buttons.append(button);
    }
    return el("article", { class: "card server", data: { server: id }, "aria-label": `server ${id}` },
      el("h3", { text: id }, el("span", { class: "state" })), figures, el("ol", { class: "answers", "aria-label": `the last answers of ${id}` }), buttons);
  }
}

function updateClient(card, client, state) {
  const call = state.calls.get(client.call);
  const told = call?.state ?? "waiting";
  const [words, more] = call ? TOLD[told](call) : ["makes no call yet", ""];
  const place = card.querySelector(".told");
  setAttr(place, "data-told", told);
  if (call) place.firstElementChild.dataset.call = call.call;
  setText(place.firstElementChild, words);
  setText(place.lastElementChild, more);
  setText(card.querySelector(".call"), call ? call.call.replace(/^.*-/, "#") : "");
  setText(card.querySelector(".method"), call ? shortMethod(call.method) : "");
  for (const name of ["ok", "definite", "unknown"]) {
    const part = card.querySelector(`.tally .${name}`);
    part.classList.toggle("zero", client[name] === 0);
    setText(part.lastElementChild, client[name]);
  }
  const copy = card.querySelector("button");
  copy.dataset.call = client.finished ?? "";
  usable(copy, Boolean(copy.dataset.call));
}

function makeAnswer({ call, what, outcome }) {
  const words = what === "refused" ? outcome || "refused" : ANSWERS[what];
  return el("li", { class: `${what} hue-${hueOf(call)}` }, el("code", { text: call }), el("span", { text: words, title: words }));
}

function updateServer(card, server) {
  setAttr(card, "data-state", server.state);
  const sign = card.querySelector(".state");
  setAttr(sign, "data-state", server.state);
  setText(sign, SIGNS[server.state] ?? server.state);
  for (const name of ["attempts", "effects", "replays", "refusals"]) setText(card.querySelector(`.figures .${name} dd`), server.counts[name] ?? 0);
  keyed(card.querySelector(".answers"), [...server.answers].reverse(), (answer) => answer.n, makeAnswer);
  for (const button of card.querySelectorAll("button")) {
    const deed = button.dataset.do;
    if (deed === "pause" || deed === "resume") {
      const next = server.state === "paused" ? "resume" : "pause";
      button.dataset.do = next;
      setText(button, next === "pause" ? "Pause" : "Resume");
      usable(button, server.state === "up" || server.state === "paused");
    } else {
      usable(button, DEEDS[deed].when(server.state));
    }
  }
}
