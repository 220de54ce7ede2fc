// What the page says of an event, a message, a state: one place for all its sentences.

const ENDS = { lost: "lost", blocked: "stopped at the cut", refused: "refused: no server there", reset: "the connection was reset" };
const NOTABLE_BY = new Set(["you", "scene"]); // not when a link or a server did it
const LINK_STATES = { open: "open", slow: "slow" };
const SERVER_STATES = { up: "is up", down: "is down", paused: "is paused: it holds its connections and answers nothing", starting: "starts" };

// The sentence that an event sets, with what each side knows, or null where it changes none.
export function sentenceOf(state, event) {
  if (event.type === "step") {
    return { text: event.text, client: event.client_knows, server: event.server_knows, nobody: event.nobody_knows };
  }
  if (event.type === "scene" && event.state !== "ended") return plain(event.sentence);
  if (state.scene || state.pace.mode === "step") return null; // there each step has its own
  const text = TEXTS[event.type]?.(state, event);
  return text ? plain(text) : null;
}

const plain = (said) => (typeof said === "string" ? { text: said, client: "", server: "", nobody: "" } : said);

const TEXTS = {
  "message-end": (state, event) => {
    const message = state.messages.get(event.id);
    if (!message || !NOTABLE_BY.has(event.by) || event.end === "arrived") return "";
    const { call, client, server, replayed } = message;
    if (message.copy) return `The late copy of ${call} is ${ENDS[event.end]}. Nobody waits for it.`;
    return {
      client: `It has sent ${call} and hears nothing.`,
      ...(message.kind === "request"
        ? { text: `The request of ${call} is ${ENDS[event.end]} on its way to ${server}.`, server: `Nothing of this attempt of ${call}.`,
            nobody: `To ${client}: whether the request or the reply was lost.` }
        : {
            text: `The reply of ${call} is ${ENDS[event.end]} on its way back to ${client}.`,
            server: replayed ? `It answered ${call} from its record, and ran nothing.` : `It ran ${call} and has answered.`,
            nobody: `To ${client}: whether the request or the reply was lost. To ${server}: that its reply is missed.`,
          }),
    };
  },
  told: (state, event) =>
    event.told !== "unknown" ? "" : {
      text: `${event.client} gives up on ${event.call}: the outcome is unknown.`,
      client: `It sent ${event.call} ${event.attempts > 1 ? `${event.attempts} times` : "once"} and was never answered.`,
      server: "What came to it.",
      nobody: `To ${event.client}: whether ${event.call} has had its effect. It is told so, and not that the call failed.`,
    },
  record: (state, event) =>
    event.change !== "hit" ? "" : {
      text: `${event.server} finds the record of ${event.call}, answers from it and runs nothing.`,
      client: `It waits for ${event.call}, and sends until a reply comes.`,
      server: `${event.call} has run before, and this was the reply.`,
      nobody: "",
    },
  server: (state, event) => {
    const before = state.servers.get(event.server)?.state;
    return before && before !== event.state ? `${event.server} ${SERVER_STATES[event.state] ?? event.state}.` : "";
  },
  link: (state, event) => {
    const before = state.links.get(event.link);
    if (!before || (before.up === event.up && before.down === event.down)) return "";
    return `The link of ${before.client} to ${before.server} is ${linkWords(event)}.`;
  },
  semantics: (state, event) => (state.semantics === event.semantics ? "" : `The clients now call ${event.semantics}.`),
};

export function linkWords({ up, down }) {
  if (up === down) return up === "cut" ? "cut both ways" : LINK_STATES[up] ?? up;
  if (up === "cut") return "cut for requests";
  if (down === "cut") return "cut for replies";
  return "slow one way";
}

// The name of a link's state in `POST /actions`.
export function linkState({ up, down }) {
  if (up === "cut" && down === "cut") return "cut";
  if (up === "cut") return "cut-up";
  if (down === "cut") return "cut-down";
  return up === "slow" || down === "slow" ? "slow" : "open";
}

export function shortMethod(method) {
  return (method ?? "").split(".").at(-1);
}

// The second line on a message: what it is, in the fewest words; the sign stands beside the colour.
export function messageKind(message, call, short) {
  if (message.copy) return short ? "copy" : "late copy";
  const what = message.kind === "request" ? shortMethod(call?.method) || "request" : message.replayed ? "replay" : message.outcome || "reply";
  if (message.attempt < 2) return what;
  return short && !message.replayed ? `try ${message.attempt}` : short ? "replay" : `${what} · try ${message.attempt}`;
}

export function messageLabel(message, call) {
  const way = message.kind === "request" ? `to ${message.server}` : `to ${message.client}`;
  const what = [
    message.copy ? "late copy of the" : "", message.kind, call ? `of ${call.method} call` : "of call", message.call,
    `attempt ${message.attempt},`, message.kind === "reply" ? `${message.replayed ? "replayed from the record, " : ""}${message.outcome ?? ""},` : "",
    way,
  ];
  return `${what.filter(Boolean).join(" ")}. Enter loses it.`;
}

export function endWords(ended) {
  const by = ended.by === "you" ? " by you" : "";
  return { lost: `lost${by}`, blocked: "cut off", refused: "refused", reset: "reset" }[ended.end] ?? ended.end;
}

export function clock(t) {
  const seconds = t / 1000;
  const minutes = Math.floor(seconds / 60);
  return `${minutes}:${(seconds - 60 * minutes).toFixed(1).padStart(4, "0")}`;
}
