// Is this an event of a live run? What comes from a file may have been cut, edited or be something else: a reader gets
// words that say what to do, and the reducer only what it can count on.

export const FORMAT = "oncekv-live/1";
export const FILE_BYTES_MAX = 64 * 1024 * 1024;

const text = (value) => typeof value === "string";
const maybeText = (value) => value === undefined || value === null || text(value);
const number = (value) => typeof value === "number" && Number.isFinite(value);
const oneOf = (...values) => (value) => values.includes(value);
const listOf = (is) => (value) => Array.isArray(value) && value.length <= 200 && value.every(is);
const members = (fields) => (value) =>
  typeof value === "object" && value !== null && !Array.isArray(value) &&
  Object.entries(fields).every(([name, is]) => is(value[name]));
const maybe = (is) => (value) => value === undefined || value === null || is(value);
const counts = (...names) => maybe(members(Object.fromEntries(names.map((name) => [name, maybe(number)]))));

const way = oneOf("open", "cut", "slow");
const paceFields = { mode: oneOf("run", "slow", "step", "pause"), travel_ms: maybe(number) };
const EVENTS = {
  world: {
    run: text, semantics: text, clients: listOf(text), servers: listOf(text),
    links: listOf(members({ id: text, client: text, server: text })),
    scenes: maybe(listOf(members({ id: text, title: text, sentence: maybeText }))), pace: maybe(members(paceFields)),
  },
  call: { call: text, client: text, method: text },
  message: {
    id: text, call: text, client: text, server: text, attempt: number, kind: oneOf("request", "reply"), travel_ms: maybe(number),
    outcome: maybeText,
  },
  "message-end": { id: text, end: oneOf("arrived", "lost", "blocked", "refused", "reset"), by: maybeText },
  told: { call: text, client: text, told: oneOf("ok", "definite", "unknown"), error: maybeText, result: maybeText },
  link: { link: text, up: way, down: way, counts: counts("up_in", "up_out", "down_in", "down_out") },
  server: { server: text, state: oneOf("up", "down", "paused", "starting"), counts: counts("attempts", "effects", "replays", "refusals") },
  record: { server: text, client: text, row: text, change: oneOf("added", "hit", "gone"), why: maybeText, reply: maybeText, call: maybeText },
  effects: { call: text, client: text, effects: number },
  totals: { done: number, effects: number, doubled: number, unknown: number, lost: number },
  semantics: { semantics: text },
  pace: paceFields,
  step: { text, client_knows: maybeText, server_knows: maybeText, nobody_knows: maybeText },
  action: { text, by: maybeText, command: maybeText },
  scene: { id: text, state: oneOf("began", "step", "ended", "failed"), title: maybeText, sentence: maybeText },
  problem: { text },
  workload: { state: oneOf("running", "stopped") },
};

// What is wrong with an event, in a few words; "" when nothing is. A type that is not known is of a newer version: it is let through.
export function wrongWith(event) {
  if (!members({ n: number, t: number, type: text })(event)) return "it has no n, t and type";
  const fields = Object.hasOwn(EVENTS, event.type) ? EVENTS[event.type] : {};
  const bad = Object.keys(fields).find((name) => !fields[name](event[name]));
  return bad ? `\`${bad}\` of \`${event.type}\` is not what it should be` : "";
}

export class NotARun extends Error {}

// The events of a saved run, and a remark where its end is missing. Throws NotARun, whose message says what to do.
export function parseRun(content) {
  const lines = content.split("\n");
  const whole = lines.at(-1) === ""; // every line of a saved run ends with a line end
  if (whole) lines.pop();
  if (!lines.length || content.trim() === "") throw new NotARun("The file is empty. Save the run again with “Save”, and open that file.");
  const events = [];
  for (const [index, line] of lines.entries()) {
    const event = parsed(line);
    const last = index === lines.length - 1;
    if (event === undefined && last && index > 0) return { events, remark: cutAfter(events) };
    check(event, index, events);
    events.push(event);
  }
  return { events, remark: whole ? "" : cutAfter(events) };
}

function check(event, index, events) {
  if (index === 0) return checkWorld(event);
  const wrong = event === undefined ? "it is not JSON" : wrongWith(event) || (event.n <= events.at(-1).n ? "its number is not greater than the one before" : "");
  if (wrong) throw new NotARun(`Line ${index + 1} is damaged (${wrong}). Save the run again, or delete that line and all after it.`);
}

function checkWorld(event) {
  if (event?.type !== "world" || !text(event.format)) {
    throw new NotARun("This is no run that the live page saved: its first line is no “world” event. Choose a file named oncekv-live-….jsonl.");
  }
  if (event.format !== FORMAT) throw new NotARun(`The file has the format ${event.format.slice(0, 40)}; this page reads ${FORMAT}. Open it with the version that saved it.`);
  const wrong = wrongWith(event);
  if (wrong) throw new NotARun(`The first line is damaged (${wrong}). Save the run again.`);
}

const cutAfter = (events) => `The file is cut: it is shown up to event ${events.at(-1).n}. Save the run again to have all of it.`;

function parsed(line) {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
