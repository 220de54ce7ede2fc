// The whole state of the page is a fold of `reduce` over a run's events. It is pure and copies what it changes, so a state
// that was once seen stays as it was: the present, the past that one scrubs back to and a file that one opens are the same
// code. Everything kept has a bound.
import { sentenceOf } from "./words.js";

const CALLS_MAX = 120;
const ENDED_MAX = 64;
const LOG_MAX = 200;
const GONE_MAX = 4; // rows of the dedup table that are shown for a while after they went
const RECORDS_MAX = 200;
const EFFECTS_MAX = 120; // calls whose effects are shown
const ANSWERS_MAX = 12; // a server's last answers

export function emptyState() {
  return {
    n: 0, t: 0, world: null, semantics: "", pace: { mode: "run", travel_ms: 1200, waiting: null },
    clients: new Map(), links: new Map(), servers: new Map(), calls: new Map(),
    messages: new Map(), ended: [], records: new Map(), effects: new Map(),
    totals: { done: 0, effects: 0, doubled: 0, unknown: 0, lost: 0 },
    say: null, scene: null, log: [], problem: null, calling: true,
    after: null, // the scene that has ended last
  };
}

export function reduce(state, event) {
  const handle = HANDLERS[event.type];
  const changes = handle ? handle(state, event) : null;
  const next = { ...state, ...changes, n: event.n, t: event.t };
  const say = sentenceOf(state, event);
  if (say) next.say = { ...say, n: event.n };
  return next;
}

const HANDLERS = {
  world: (state, event) => ({
    ...emptyState(),
    world: event,
    semantics: event.semantics,
    pace: { mode: "run", travel_ms: 1200, ...event.pace, waiting: null },
    clients: new Map(event.clients.map((id) => [id, { id, ok: 0, definite: 0, unknown: 0, call: null, finished: null }])),
    links: new Map(event.links.map((link) => [link.id, { ...link, up: "open", down: "open", counts: noMessages() }])),
    servers: new Map(event.servers.map((id) => [id, { id, state: "up", counts: nothingDone(), answers: [] }])),
    log: state.log,
    scene: state.scene,
    say: state.say,
  }),

  call: (state, event) => ({
    calls: bounded(put(state.calls, event.call, { ...event, state: "waiting", attempts: 0, ran: 0 }), CALLS_MAX),
    clients: change(state.clients, event.client, () => ({ call: event.call })),
  }),

  message: (state, event) => {
    const messages = put(state.messages, event.id, event);
    if (event.kind === "reply") return { messages, ...afterAnswer(state, event) };
    return { messages, calls: change(state.calls, event.call, (call) => ({ attempts: Math.max(call.attempts, event.attempt) })) };
  },

  "message-end": (state, event) => {
    const message = state.messages.get(event.id);
    if (!message) return null;
    const ended = [...state.ended, { ...message, end: event.end, by: event.by, ended_t: event.t }];
    return { messages: without(state.messages, event.id), ended: ended.slice(-ENDED_MAX) };
  },

  told: (state, event) => ({
    calls: change(state.calls, event.call, () => ({ ...event, state: event.told })),
    clients: change(state.clients, event.client, (client) => ({ [event.told]: client[event.told] + 1, finished: event.call })),
  }),

  link: (state, event) => ({
    links: change(state.links, event.link, (link) => ({
      up: event.up, down: event.down, counts: { ...link.counts, ...event.counts },
    })),
  }),

  server: (state, event) => ({
    servers: change(state.servers, event.server, (server) => ({
      state: event.state, counts: { ...server.counts, ...event.counts },
    })),
  }),

  record: (state, event) => ({ records: put(state.records, event.client, rowsAfter(state, event)) }),

  effects: (state, event) => ({ effects: event.effects > 0 ? bounded(put(state.effects, event.call, event), EFFECTS_MAX) : without(state.effects, event.call) }),

  totals: (state, event) => {
    const { done, effects, doubled, unknown, lost } = event;
    return { totals: { done, effects, doubled, unknown, lost } };
  },

  semantics: (state, event) => ({ semantics: event.semantics }),

  pace: (state, event) => ({
    pace: { mode: event.mode, travel_ms: event.travel_ms ?? state.pace.travel_ms, waiting: event.waiting ?? null, held: event.held === true, guided: event.guided === true },
  }),

  action: (state, event) => ({ log: [...state.log, event].slice(-LOG_MAX), problem: null }),

  workload: (state, event) => ({ calling: event.state === "running" }),

  scene: (state, event) => (event.state === "ended" ? { scene: null, after: event.id } : { scene: event, after: null }),

  problem: (state, event) => ({ problem: { text: event.text, n: event.n } }),
};

// What a server has just done, as its reply says it: it ran the call, ran it again, answered from the record, or refused.
function afterAnswer(state, event) {
  const ran = !event.replayed && event.outcome === "ok";
  const before = state.calls.get(event.call)?.ran ?? 0;
  const what = event.replayed ? "replayed" : ran ? (before > 0 ? "again" : "ran") : "refused";
  const answer = { n: event.n, call: event.call, what, outcome: event.outcome ?? "" };
  return {
    calls: ran ? change(state.calls, event.call, () => ({ ran: before + 1 })) : state.calls,
    servers: change(state.servers, event.server, (server) => ({ answers: [...server.answers, answer].slice(-ANSWERS_MAX) })),
  };
}

function rowsAfter(state, event) {
  const rows = state.records.get(event.client) ?? [];
  const same = (row) => row.row === event.row && row.server === event.server && !row.gone;
  if (event.change === "added") {
    const added = { ...event, hits: 0, added_n: event.n, gone: "" };
    return [...rows.filter((row) => !same(row)), added].slice(-RECORDS_MAX);
  }
  const changed = rows.map((row) => {
    if (!same(row)) return row;
    if (event.change === "hit") return { ...row, hits: row.hits + 1, hit_n: event.n, hit_t: event.t };
    return { ...row, gone: event.why || "gone", gone_n: event.n };
  });
  const kept = new Set(changed.filter((row) => row.gone).slice(-GONE_MAX));
  return changed.filter((row) => !row.gone || kept.has(row));
}

function put(map, key, value) {
  return new Map(map).set(key, value);
}

function change(map, key, changes) {
  const value = map.get(key);
  return value ? put(map, key, { ...value, ...changes(value) }) : map;
}

function without(map, key) {
  const copy = new Map(map);
  copy.delete(key);
  return copy;
}

// `map` is a copy of this module's own: dropping its oldest entries harms no older state.
function bounded(map, most) {
  for (const key of map.keys()) {
    if (map.size <= most) break;
    map.delete(key);
  }
  return map;
}

const noMessages = () => ({ up_in: 0, up_out: 0, down_in: 0, down_out: 0 });
const nothingDone = () => ({ attempts: 0, effects: 0, replays: 0, refusals: 0 });
