// Messages under way. Each has one group in the SVG from its first moment to its last, so that the focus stays with it; a
// frame moves what moves and touches nothing else. Requests point to the right and replies to the left; a late copy is
// dashed, a replay has a second outline, and a retry says its number, so that colour alone tells nothing.
import { setAttr, svg } from "./dom.js";
import { endWords, messageKind, messageLabel } from "./words.js";
import { heightAt } from "./drawing.js";

const HUES = [[0, 4], [2, 1], [3, 6], [5, 4], [6, 0], [1, 3]];
const ARRIVES_MS = 200;
const GONE_MS = 1100;
const CROWD = 40; // more than so many are drawn small, without words
const WHOLE = { width: 106, height: 34 };
const NARROW = { width: 70, height: 32 };
const SMALL = { width: 18, height: 12 };
const NEAR_PX = 60;

// A call's colour: each client has two, in turn, so that calls under way at once differ between clients and within one.
export function hueOf(call) {
  const [, client, number] = /^\D*(\d+)\D+(\d+)$/.exec(call) ?? [];
  if (number !== undefined) return HUES[Number(client) % HUES.length][Number(number) % 2];
  let hash = 0;
  for (const letter of call) hash = (hash * 31 + letter.charCodeAt(0)) % 9973;
  return hash % 7;
}

export class Messages {
  #items = new Map();
  #moved = true;
  #state = null;
  #still = matchMedia("(prefers-reduced-motion: reduce)");

  constructor(layer, drawing, onLose) {
    Object.assign(this, { layer, drawing, onLose });
  }

  // Take up what the state says. `moving` is false when one looks at a moment that stands still.
  sync(state, moving) {
    if (!moving && !this.#moved && state === this.#state) return;
    if (!moving || !this.#moved) this.clear();
    this.#moved = moving;
    this.#state = state;
    for (const [id, message] of state.messages) if (!this.#items.has(id)) this.#add(id, message, state, moving);
    const ended = moving ? state.ended : state.ended.filter((one) => one.end !== "arrived" && state.t - one.ended_t < GONE_MS);
    if (!moving) for (const one of ended) this.#add(one.id, one, state, false);
    const ends = new Map(ended.map((one) => [one.id, one]));
    for (const [id, item] of this.#items) {
      if (state.messages.has(id) || item.left) continue;
      if (ends.has(id)) this.#leave(item, ends.get(id), moving);
      else this.#remove(id, item);
    }
    const waiting = state.pace.waiting?.message;
    for (const [id, item] of this.#items) item.node.classList.toggle("waiting", id === waiting);
  }

  #add(id, message, state, moving) {
    const lane = this.drawing.laneOf(message);
    if (!lane) return;
    const part = Math.max(0, Math.min(1, ((message.ended_t ?? state.t) - message.t) / (state.pace.travel_ms || 1)));
    const size = this.#items.size > CROWD ? SMALL : lane.x2 - lane.x1 < 260 ? NARROW : WHOLE;
    const node = draw(message, state.calls.get(message.call), size);
    node.classList.toggle("plain", !moving);
    node.addEventListener("click", () => this.#lose(id));
    node.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      this.#lose(id);
    });
    const item = { id, node, message, part, width: size.width, slot: this.#slot(message), left: 0, x: NaN, y: NaN };
    if (!moving) item.part = Math.min(part, farthest(lane, item, state));
    this.#items.set(id, item);
    this.layer.append(node);
  }

  // Where motion is reduced several messages of one way stand beside each other.
  #slot(message) {
    const taken = new Set();
    for (const { message: other, slot, left } of this.#items.values()) {
      if (!left && other.kind === message.kind && other.client === message.client && other.server === message.server) taken.add(slot);
    }
    let slot = 0;
    while (taken.has(slot) && slot < 5) slot += 1;
    return slot;
  }

  #lose(id) {
    const item = this.#items.get(id);
    if (!item || item.left) return;
    item.node.classList.add("asked");
    this.onLose(id).then((done) => done || item.node.classList.remove("asked"));
  }

  // The message of a link that is nearest to x, or the one that has come farthest; its id.
  nearest(linkId, x) {
    const here = [...this.#items.values()].filter((item) => !item.left && this.drawing.laneOf(item.message)?.id === linkId);
    if (x === null) return here.sort((one, other) => other.part - one.part)[0]?.id;
    const near = here.map((item) => [Math.abs(item.x - x), item.id]).sort(([one], [other]) => one - other)[0];
    return near && near[0] <= NEAR_PX ? near[1] : undefined;
  }

  lose(id) {
    this.#lose(id);
  }

  #leave(item, ended, moving) {
    item.left = performance.now();
    item.end = ended.end;
    this.#passFocus(item);
    item.node.removeAttribute("tabindex");
    item.node.classList.remove("asked");
    if (ended.end === "arrived") return;
    item.node.querySelector(".end").textContent = endWords(ended);
    item.node.classList.add("gone");
    item.node.classList.toggle("still", this.#still.matches || !moving);
  }

  // Who had the focus on a message that ended stands on its link: Enter there loses the next one.
  #passFocus(item) {
    if (document.activeElement !== item.node) return;
    if (!item.node.matches(":focus-visible")) return item.node.blur(); // it was the mouse
    const link = this.drawing.laneOf(item.message)?.id;
    if (link !== undefined) this.drawing.areas.querySelector(`[data-link="${CSS.escape(link)}"]`)?.focus({ preventScroll: true });
  }

  #remove(id, item) {
    this.#passFocus(item);
    item.node.remove();
    this.#items.delete(id);
  }

  clear() {
    this.#state = null;
    for (const [id, item] of this.#items) this.#remove(id, item);
  }

  // Another width: what is there is drawn anew when it next is.
  moved() {
    for (const item of this.#items.values()) item.x = NaN;
  }

  // Move by `passed_ms`; whether anything is left that may move.
  frame(passed_ms, state, moving) {
    const now = performance.now();
    const { mode, travel_ms, held } = state.pace;
    const rate = moving && mode !== "pause" && !held ? passed_ms / Math.max(1, travel_ms) : 0;
    for (const [id, item] of this.#items) {
      const lane = this.drawing.laneOf(item.message);
      if (!lane) continue;
      if (item.left && moving) {
        const since = now - item.left;
        const arrived = item.end === "arrived";
        if (since > (arrived ? (this.#still.matches ? 0 : ARRIVES_MS) : GONE_MS)) {
          this.#remove(id, item);
          continue;
        }
        if (arrived) {
          item.part += (1 - item.part) * Math.min(1, passed_ms / 60);
          setAttr(item.node, "opacity", Math.max(0, 1 - since / ARRIVES_MS).toFixed(2));
        }
      } else if (!item.left) {
        item.part = Math.max(item.part, Math.min(item.part + rate, farthest(lane, item, state)));
      }
      this.#place(lane, item);
    }
    return this.#items.size > 0;
  }

  #place(lane, item) {
    const { x1, x2, spread } = lane;
    const half = item.width / 2 + 6;
    const there = item.message.kind === "request";
    const part = this.#still.matches ? 0.5 + [0, -0.34, 0.34, -0.17, 0.17, 0.5][item.slot] : item.part;
    const x = there ? x1 + half + (x2 - x1 - 2 * half) * part : x2 - half - (x2 - x1 - 2 * half) * part;
    const y = heightAt(lane, x) + (there ? -spread : spread);
    if (Math.abs(x - item.x) < 0.05 && y === item.y) return;
    item.x = x;
    item.y = y;
    item.node.setAttribute("transform", `translate(${x.toFixed(1)} ${y.toFixed(1)})`);
  }
}

// A message comes no farther than the cut of its link, and in step mode to the middle, where it waits for its step.
function farthest(lane, item, state) {
  const there = item.message.kind === "request";
  const link = state.links.get(lane.id);
  const room = lane.x2 - lane.x1 - item.width - 12;
  let most = 1;
  if (link && (there ? link.up : link.down) === "cut") {
    const middle = there ? lane.chip - lane.x1 : lane.x2 - lane.chip;
    most = (middle - item.width - 14) / room;
  }
  return Math.max(0.02, state.pace.mode === "step" && !state.pace.guided ? Math.min(most, 0.42) : most);
}

function draw(message, call, size) {
  const { width, height } = size;
  const kind = messageKind(message, call, size !== WHOLE);
  const classes = [
    "message", message.kind, `hue-${hueOf(message.call)}`, message.copy && "copy", message.attempt > 1 && !message.copy && "retry",
    message.replayed && "replayed", size === SMALL && "small",
  ];
  const inner = svg("g", { class: "inner" });
  if (message.replayed) inner.append(svg("path", { class: "second", d: outline(message.kind, width + 7, height + 7) }));
  inner.append(svg("path", { class: "body", d: outline(message.kind, width, height) }));
  const shift = message.kind === "request" ? -2 : 2;
  inner.append(
    svg("text", { class: "name", x: shift, y: -2, text: message.call }), svg("text", { class: "kind", x: shift, y: 10, text: kind }),
    svg("path", { class: "strike", d: `M${-width / 2} ${height / 2}L${width / 2} ${-height / 2}` }),
    svg("text", { class: "end", y: message.kind === "request" ? -height / 2 - 6 : height / 2 + 14 }),
  );
  return svg("g", {
    class: classes.filter(Boolean).join(" "), role: "button", tabindex: "0", "aria-label": messageLabel(message, call), data: { message: message.id },
  }, inner);
}

// An arrow's body: its point says the way.
function outline(kind, width, height) {
  const [x, y] = [width / 2, height / 2];
  const point = Math.min(9, y);
  const to = kind === "request" ? 1 : -1;
  return `M${-x * to} ${-y}H${(x - point) * to}L${x * to} 0L${(x - point) * to} ${y}H${-x * to}Z`;
}
