// Around the drawing: the tour and the catalogue, the score, what the store holds, the log.
import { byId, el, keyed, setAttr, setText, show } from "./dom.js";
import { hueOf } from "./messages.js";
import { nextOf } from "./scene.js";
import { clock } from "./words.js";

const FORGETFUL = new Set(["maybe", "at-least-once"]);
const ROWS_MAX = 60;
const HIT_MS = 2500; // so long a row that was used is lit
const HIT_EVENTS = 40; // … or for so many events, where time stands still

export class Panels {
  #seen = new Set();

  constructor(actions) {
    this.actions = actions;
    this.records = byId("records").tBodies[0];
    this.chosen = byId("records-client");
    this.chosen.addEventListener("change", () => this.onChange?.());
    byId("log").addEventListener("click", (event) => event.target.matches("button") && copyCommand(event.target));
    byId("scene-on").addEventListener("click", ({ target }) =>
      target.dataset.next ? actions.act("scene", { id: target.dataset.next }) : actions.act("workload", { state: "running" }));
    byId("end-scene").addEventListener("click", () => actions.act("end-scene"));
  }

  update(state) {
    this.#scenes(state);
    score(state.totals);
    this.#effects(state);
    this.#records(state);
    log(state.log);
    setText(byId("about"), state.world ? `${state.world.version ? `oncekv ${state.world.version}, ` : ""}${state.world.runtime ?? ""}. The same again: ${state.world.command ?? ""}` : "");
  }

  #scenes(state) {
    const scenes = state.world?.scenes ?? [];
    const now = state.scene?.state === "failed" ? null : state.scene?.id;
    if (now) this.#seen.add(now);
    const act = (scene) => (event) => { event.preventDefault(); this.actions.act("scene", { id: scene.id }); };
    const tour = scenes.filter((scene) => scene.tour);
    keyed(byId("tour").lastElementChild, tour, (scene) => scene.id, (scene) => {
      const button = el("button", { type: "button", data: { scene: scene.id }, title: scene.sentence ?? "" },
        el("span", { class: "number", text: tour.indexOf(scene) + 1 }), el("span", { text: scene.title }));
      button.addEventListener("click", act(scene));
      return el("li", {}, button);
    }, (item, scene) => {
      item.classList.toggle("seen", this.#seen.has(scene.id));
      setAttr(item.firstElementChild, "aria-current", scene.id === now);
    });
    show(byId("tour"), tour.length > 0);
    const next = nextOf(tour, state);
    show(byId("scene-on"), next !== null);
    if (next) {
      byId("scene-on").dataset.next = next.id;
      setText(byId("scene-on"), next.words);
    }
    keyed(byId("catalogue"), scenes.filter((scene) => !scene.tour), (scene) => scene.id, (scene) => {
      const button = el("button", { type: "button", text: "Play", data: { scene: scene.id }, "aria-label": `Play ${scene.title}` });
      button.addEventListener("click", act(scene));
      return el("li", {}, el("b", { text: scene.title }), el("p", { text: scene.sentence ?? "" }), button);
    }, (item, scene) => setAttr(item.lastElementChild, "aria-current", scene.id === now));
  }

  #effects(state) {
    const clients = [...state.clients.keys()];
    keyed(this.chosen, clients, (id) => id, (id) => el("option", { value: id, text: id }));
    const calls = [...state.effects.values()].filter((call) => call.client === this.chosen.value).slice(-ROWS_MAX).reverse();
    keyed(byId("effects-of"), calls, (call) => call.call, (call) => el("li", { class: `hue-${hueOf(call.call)}` }, el("code", { text: call.call }), el("span")), (item, { effects }) => {
      item.classList.toggle("doubled", effects > 1);
      setText(item.lastElementChild, effects === 1 ? "1 effect" : `${effects} effects`);
    });
    show(byId("effects-empty"), calls.length === 0);
    const doubled = calls.find((call) => call.effects > 1);
    setText(byId("effects-doubled"), doubled ? `The store holds ${doubled.effects} effects of ${doubled.call}.` : "");
  }

  #records(state) {
    setText(byId("records-name"), `Dedup records of ${this.chosen.value}`);
    const all = state.records.get(this.chosen.value) ?? [];
    const rows = all.slice(-ROWS_MAX).reverse();
    keyed(this.records, rows, (row) => `${row.server} ${row.row} ${row.added_n}`, makeRow, (line, row) => updateRow(line, row, state));
    show(byId("records-empty"), rows.length === 0);
    setText(byId("records-empty"), FORGETFUL.has(state.semantics) ? `No records: under ${state.semantics} the server remembers no call.` : "None is kept now.");
  }
}

function score({ done, effects, doubled, unknown, lost }) {
  for (const [id, value] of Object.entries({ done, effects, doubled, unknown, lost })) {
    const place = byId(id);
    setText(place, value);
    place.parentElement.classList.toggle("hot", value > 0 && id !== "done" && id !== "effects");
  }
  const [verdict, words] = verdictOf({ done, effects, doubled, lost });
  setAttr(document.querySelector(".verdict"), "data-verdict", verdict);
  setText(byId("verdict"), words);
}

// Calls that are under way may have had their effect and not their reply: one more effect alone says nothing.
function verdictOf({ done, effects, doubled, lost }) {
  if (lost > 0) return ["fewer", `${lost} ${lost === 1 ? "effect is" : "effects are"} missing`];
  if (doubled > 0) return ["more", `${doubled} ${doubled === 1 ? "call has" : "calls have"} run more than once`];
  return ["equal", done === effects ? "every call that is done has one effect" : "no call has run twice"];
}

function makeRow(row) {
  return el("tr", { class: `hue-${hueOf(row.call ?? row.row)}` }, el("td", { text: row.call || row.row }), el("td", { text: replyWords(row.reply), title: row.reply ?? "" }), el("td"));
}

// {"version":2,"offset":5} is "version 2, offset 5".
function replyWords(reply) {
  return (reply ?? "").replace(/[{}"]/g, "").replaceAll(":", " ").replaceAll(",", ", ");
}

function updateRow(line, row, state) {
  const lit = Boolean(row.hit_n) && !row.gone && (state.t - row.hit_t < HIT_MS || state.n - row.hit_n < HIT_EVENTS);
  line.classList.toggle("hit", lit);
  line.classList.toggle("gone", Boolean(row.gone));
  const last = row.gone ? row.gone : row.hits ? `↺ ${row.hits}` : "";
  setText(line.lastElementChild, last);
  setAttr(line.lastElementChild, "title", row.gone || (row.hits ? `answered ${row.hits} times from the record` : ""));
}

function log(entries) {
  const list = byId("log");
  const newest = [...entries].reverse();
  if (list.dataset.top === String(newest[0]?.n ?? "") && list.children.length === newest.length) return;
  list.dataset.top = newest[0]?.n ?? "";
  keyed(list, newest, (entry) => entry.n, (entry) => {
    const item = el("li", {}, el("span", { class: "when", text: clock(entry.t) }), el("span", { class: "who", text: entry.by && entry.by !== "you" ? `${entry.by}: ` : "" }), entry.text);
    if (entry.command) item.append(el("div", { class: "command" }, el("code", { text: entry.command }), el("button", { type: "button", text: "Copy", "aria-label": `Copy the command: ${entry.text}` })));
    return item;
  });
  show(byId("log-empty"), newest.length === 0);
}

async function copyCommand(button) {
  const code = button.previousElementSibling;
  try {
    await navigator.clipboard.writeText(code.textContent);
    setText(button, "Copied");
  } catch {
    getSelection().selectAllChildren(code);
    setText(button, "Selected");
  }
  setTimeout(() => setText(button, "Copy"), 1500);
}
