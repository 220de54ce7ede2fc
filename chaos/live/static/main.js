// The page: one run that is followed, looked back at or opened from a file, and everything that shows it. Events are folded
// as they come; the document is touched once a frame, and only where something has changed.
import { Actions } from "./actions.js";
import { Cards } from "./cards.js";
import { byId, isUsable, keyed, el, setAttr, setText, show, usable } from "./dom.js";
import { Drawing } from "./drawing.js";
import { fileChooser } from "./file.js";
import { Messages } from "./messages.js";
import { Panels } from "./panels.js";
import { Run } from "./run.js";
import { showScene } from "./scene.js";
import { Source } from "./source.js";
import { Timeline } from "./timeline.js";

const LONG_FRAME_MS = 50;
const LIT_AGAIN_MS = 250; // rows that were lit go out by themselves, without an event

const root = document.documentElement;
let live = new Run();
let opened = null; // { run, name, remark } of a file
let connection = "connecting";
let changed = true;
let frameAt = 0;
let litAt = 0;

const run = () => opened?.run ?? live;
const markChanged = () => { changed = true; };

const source = new Source({
  run: () => live,
  renew: (events) => {
    live = new Run();
    for (const event of events) live.add(event);
    root.dataset.lastEvent = live.last;
    messages.clear();
    markChanged();
  },
  add: (event) => {
    live.add(event);
    root.dataset.lastEvent = live.last;
    markChanged();
  },
  tell: (state) => {
    connection = state;
    markChanged();
  },
});

const actions = new Actions(source, whyNot);
const drawing = new Drawing(actions, { onLane: loseOnLink });
const messages = new Messages(byId("drawing").querySelector(".messages"), drawing, (id) => actions.act("lose", { message: id }));
const cards = new Cards(actions);
const panels = new Panels(actions);
const timeline = new Timeline(run, markChanged);
panels.onChange = markChanged;
timeline.followable = () => !opened;

function whyNot() {
  if (opened) return "This is a saved run: it can be looked at and played, not changed. “Back to live” returns to the world that runs.";
  if (live.present.world?.opened) return "This run was opened from a file: it can be looked at and played, not changed. `make live` starts a world.";
  if (!live.following) return "You are looking back. “Now” returns to where something can be done.";
  return "";
}

function loseOnLink(link, x) {
  const id = messages.nearest(link, x);
  if (id !== undefined) messages.lose(id);
  else if (x === null) actions.notice("Nothing is under way on that link now.");
}

function control(id, action, details) {
  byId(id).addEventListener("click", () => isUsable(byId(id)) && actions.act(action, details?.()));
}

byId("semantics").addEventListener("change", (event) => actions.act("semantics", { semantics: event.target.value }).then(markChanged));
for (const mode of ["run", "slow", "step", "pause"]) control(`pace-${mode}`, "pace", () => ({ mode }));
for (const id of ["step", "scene-next"]) control(id, "step");
control("workload", "workload", () => ({ state: live.present.calling ? "stopped" : "running" }));
control("reset", "reset");
byId("hand").addEventListener("submit", (event) => {
  event.preventDefault();
  actions.act("call", Object.fromEntries(new FormData(event.target)));
});

const openFile = fileChooser(actions, (file) => {
  opened = file;
  file.run.seek(file.run.first);
  messages.clear();
  timeline.play(true);
  actions.notice(file.remark);
});
byId("open").addEventListener("click", openFile);
byId("back").addEventListener("click", () => {
  opened = null;
  timeline.playing = false;
  live.follow();
  messages.clear();
  actions.notice("");
  markChanged();
  byId("open").focus();
});

function tellConnection() {
  const [state, words] = opened ? ["file", `opened file ${opened.name}`]
    : connection === "lost" ? ["lost", "lost, retrying: the server does not answer"]
    : connection === "connecting" ? ["connecting", "connecting"]
    : !live.following ? ["past", "live, looking back"]
    : live.present.world?.opened ? ["file", "opened file"] : ["live", "live"];
  setAttr(byId("connection"), "data-state", state);
  setText(byId("connection"), words);
  setAttr(document.body, "data-past", !opened && !live.following);
  show(byId("back"), Boolean(opened));
}

function update(state, moving) {
  tellConnection();
  cards.update(state);
  drawing.update(state);
  messages.sync(state, moving);
  panels.update(state);
  showScene(state, moving && !opened);
  timeline.update();
  setAttr(root, "data-shown-event", state.n);
  const semantics = byId("semantics");
  if (document.activeElement !== semantics || semantics.dataset.is !== state.semantics) semantics.value = semantics.dataset.is = state.semantics;
  for (const mode of ["run", "slow", "step", "pause"]) setAttr(byId(`pace-${mode}`), "aria-pressed", state.pace.mode === mode);
  setText(byId("workload"), state.calling ? "Stop the calls" : "Let them call");
  const may = whyNot() === "";
  for (const id of ["step", "workload", "reset"]) usable(byId(id), may);
  keyed(byId("hand").elements.client, state.clients.keys(), (id) => id, (id) => el("option", { value: id, text: id }));
}

// Between two frames that follow each other more than 50 ms is a stutter, and is counted.
function frame(now) {
  requestAnimationFrame(frame);
  const passed_ms = frameAt ? now - frameAt : 0;
  if (frameAt && passed_ms > LONG_FRAME_MS && !document.hidden) root.dataset.longFrames = Number(root.dataset.longFrames) + 1;
  root.dataset.frames = Number(root.dataset.frames) + 1;
  frameAt = document.hidden ? 0 : now;
  timeline.frame(passed_ms);
  const moving = run().following || timeline.playing;
  if (now - litAt > LIT_AGAIN_MS) {
    litAt = now;
    changed ||= drawing.stale;
  }
  if (changed) {
    changed = false;
    if (drawing.stale) messages.moved();
    update(run().shown, moving);
  }
  messages.frame(Math.min(passed_ms, 100), run().shown, moving);
}

root.dataset.longFrames = 0;
root.dataset.frames = 0;
root.dataset.lastEvent = 0;
requestAnimationFrame(frame);
source.start();
