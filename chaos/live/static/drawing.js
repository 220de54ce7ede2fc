// The wires: where each link runs between its two cards, what it looks like in its state, and its counts both ways.
// Each way of a link is level near its client, then bends to its server: y is a function of x, so that a message needs no
// more than its x to be placed.
import { byId, el, keyed, setAttr, setText, svg } from "./dom.js";
import { linkState, linkWords } from "./words.js";

const STATES = [
  ["open", "link open"], ["cut", "link cut"], ["cut-up", "requests cut"], ["cut-down", "replies cut"], ["slow", "link slow"],
];

export class Drawing {
  lanes = new Map();

  constructor(actions, { onLane }) {
    this.actions = actions;
    this.onLane = onLane;
    this.box = byId("drawing");
    this.rails = this.box.querySelector(".rails");
    this.areas = this.box.querySelector(".lanes");
    this.chips = this.box.querySelector(".chips");
    this.toStore = svg("path", { class: "rail to-store", "aria-hidden": "true" });
    this.rails.before(this.toStore);
    this.stale = true;
    new ResizeObserver(() => { this.stale = true; }).observe(this.box);
  }

  laneOf(message) {
    return this.lanes.get(message.link) ?? [...this.lanes.values()].find((lane) => lane.client === message.client && lane.server === message.server);
  }

  update(state) {
    const links = [...state.links.values()];
    keyed(this.areas, links, (link) => link.id, (link) => this.#area(link), (area, link) => labelArea(area, link));
    keyed(this.chips, links, (link) => link.id, (link) => this.#chip(link), updateChip);
    keyed(this.rails, links, (link) => link.id, makeRails, (group, link) => updateRails(group, link));
    if (this.stale || this.lanes.size !== links.length || links.some((link) => !this.lanes.has(link.id))) this.measure(links);
  }

  // Where everything is, from where the cards have come to lie.
  measure(links) {
    this.stale = false;
    const origin = this.box.getBoundingClientRect();
    const rect = (name, id) => {
      const card = this.box.querySelector(`[data-${name}="${CSS.escape(id)}"].card`)?.getBoundingClientRect();
      return card && { left: card.left - origin.left, right: card.right - origin.left, top: card.top - origin.top, bottom: card.bottom - origin.top };
    };
    this.lanes = new Map();
    for (const link of links) {
      const [from, to] = [rect("client", link.client), rect("server", link.server)];
      if (from && to) this.lanes.set(link.id, lane(link, links, from, to));
    }
    const store = this.box.querySelector(".store").getBoundingClientRect();
    const shelf = { left: store.left - origin.left, top: store.top - origin.top, bottom: store.bottom - origin.top };
    setAttr(this.toStore, "d", [...this.box.querySelectorAll(".server")].map((card) => storeWire(rect("server", card.dataset.server), shelf)).join(""));
    for (const group of this.rails.children) placeRails(group, this.lanes.get(group.dataset.key));
    for (const area of this.areas.children) placeArea(area, this.lanes.get(area.dataset.key));
    for (const chip of this.chips.children) placeChip(chip, this.lanes.get(chip.dataset.key));
  }

  #chip(link) {
    const select = el("select", { "aria-label": `State of the link from ${link.client} to ${link.server}`, data: { linkState: link.id } });
    for (const [value, words] of STATES) select.append(el("option", { value, text: words }));
    select.addEventListener("change", () => this.actions.act("link", { link: link.id, state: select.value }));
    return el("div", { class: "chip" }, select);
  }

  #area(link) {
    const area = svg("path", { class: "lane", data: { link: link.id }, role: "button", tabindex: "0" });
    area.addEventListener("click", (event) => this.onLane(link.id, event.clientX - this.box.getBoundingClientRect().left));
    area.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      this.onLane(link.id, null);
    });
    return area;
  }
}

// From a server to the store: beside it, or below it where there is little room.
function storeWire(server, shelf) {
  const middle = (server.top + server.bottom) / 2;
  const [y1, y2] = [middle, Math.max(shelf.top + 40, Math.min(shelf.bottom - 40, middle))];
  if (shelf.left > server.right) return `M${server.right} ${y1}L${shelf.left} ${y2}`;
  const x = (server.left + server.right) / 2;
  return `M${x} ${server.bottom}V${shelf.top + 3}`;
}

function lane(link, links, from, to) {
  const own = links.filter((other) => other.client === link.client);
  const there = links.filter((other) => other.server === link.server);
  const alone = own.length === 1;
  const step = (from.bottom - from.top) / own.length;
  const y1 = from.top + step * (own.indexOf(link) + 0.5);
  const port = to.top + ((to.bottom - to.top) * (there.indexOf(link) + 0.5)) / there.length;
  const y2 = alone && y1 > to.top + 24 && y1 < to.bottom - 24 ? y1 : port;
  const [x1, x2] = [from.right + 4, to.left - 4];
  const chip = x1 + (x2 - x1) * (alone ? 0.5 : 0.26);
  const spread = Math.min(30, step / 2 - 18);
  return { ...link, x1, x2, y1, y2, bend: x1 + (x2 - x1) * (alone ? 0.6 : 0.48), chip, spread };
}

// The height of a lane's middle at x: level, then the curve that the rails' Béziers draw.
export function heightAt(lane, x) {
  if (x <= lane.bend) return lane.y1;
  const part = Math.min(1, (x - lane.bend) / (lane.x2 - lane.bend));
  return lane.y1 + (lane.y2 - lane.y1) * part * part * (3 - 2 * part);
}

function makeRails() {
  const way = (name) => [
    svg("path", { class: "rail", data: { way: name } }), svg("path", { class: "head", data: { head: name } }),
    svg("path", { class: "cross", data: { cross: name } }),
  ];
  const count = (name, right) => svg("text", { class: right ? "count right" : "count", data: { count: name } });
  return svg("g", { "aria-hidden": "true" }, ...way("up"), ...way("down"),
    count("up_in", false), count("up_out", true), count("down_in", true), count("down_out", false));
}

const WORDS = { up_in: "sent", up_out: "arrived", down_in: "sent", down_out: "arrived" };

function updateRails(group, link) {
  for (const child of group.children) {
    const { way, count, cross } = child.dataset;
    if (way) setAttr(child, "class", `rail ${link[way]}`);
    if (cross) setAttr(child, "visibility", link[cross] === "cut" ? "visible" : "hidden");
    if (count) setText(child, `${link.counts[count] ?? 0} ${WORDS[count]}`);
  }
}

function placeRails(group, lane) {
  if (!lane) return;
  const { x1, x2, y1, y2, bend, spread, chip } = lane;
  const third = (x2 - bend) / 3;
  for (const child of group.children) {
    const { way, head, count, cross } = child.dataset;
    const off = (way ?? head ?? cross ?? count).startsWith("up") ? -spread : spread;
    if (way) setAttr(child, "d", `M${x1} ${y1 + off}H${bend}C${bend + third} ${y1 + off} ${bend + 2 * third} ${y2 + off} ${x2} ${y2 + off}`);
    if (head === "up") setAttr(child, "d", `M${x2} ${y2 + off}l-8 -4v8z`);
    if (head === "down") setAttr(child, "d", `M${x1} ${y1 + off}l8 -4v8z`);
    if (cross) setAttr(child, "d", `M${chip - 5} ${y1 + off - 5}l10 10m0 -10l-10 10`);
    if (count) {
      const near = count === "up_in" || count === "down_out";
      setAttr(child, "x", near ? x1 + 4 : x2 - 4);
      const [over, under] = spread > 24 ? [-22, 30] : [-7, 15]; // clear of the messages, where there is room
      setAttr(child, "y", (near ? y1 : y2) + off + (off < 0 ? over : under));
    }
  }
}

function labelArea(area, link) {
  const label = `Link of ${link.client} to ${link.server}, ${linkWords(link)}. Enter loses the message upon it that comes first.`;
  setAttr(area, "aria-label", label);
}

function placeArea(area, lane) {
  if (!lane) return;
  const { x1, x2, y1, y2, bend } = lane;
  const half = lane.spread + 18;
  const third = (x2 - bend) / 3;
  const edge = (off, back) => back
    ? `L${x2} ${y2 + off}C${bend + 2 * third} ${y2 + off} ${bend + third} ${y1 + off} ${bend} ${y1 + off}H${x1}Z`
    : `M${x1} ${y1 + off}H${bend}C${bend + third} ${y1 + off} ${bend + 2 * third} ${y2 + off} ${x2} ${y2 + off}`;
  setAttr(area, "d", edge(-half, false) + edge(half, true));
}

function updateChip(chip, link) {
  const state = linkState(link);
  if (chip.dataset.state === state) return;
  chip.dataset.state = state;
  chip.firstElementChild.value = state;
}

function placeChip(chip, lane) {
  if (!lane) return;
  chip.style.left = `${lane.chip}px`;
  chip.style.top = `${lane.y1}px`;
}
