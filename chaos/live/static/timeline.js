// Time: the range that one scrubs back with, its marks, and playing on from there at the pace at which it happened.
import { byId, setAttr, setText } from "./dom.js";
import { clock } from "./words.js";

const MARKS_EVERY_MS = 500;
const PLAYED_GAP_MAX_MS = 1500; // where nothing happened for long, playing does not wait for long

export class Timeline {
  playing = false;
  #at_t = 0;
  #marked = 0;

  constructor(run, changed) {
    Object.assign(this, { run, changed });
    this.range = byId("timeline");
    this.range.addEventListener("input", () => this.#seek(Number(this.range.value)));
    byId("now").addEventListener("click", () => this.follow());
    byId("play").addEventListener("click", () => this.play(!this.playing));
  }

  #seek(n) {
    this.playing = false;
    const run = this.run();
    if (n >= run.last && this.followable()) run.follow();
    else run.seek(n);
    this.changed();
  }

  // Only what still grows has a present to return to; set by main.
  followable = () => true;

  follow() {
    this.playing = false;
    const run = this.run();
    if (this.followable()) run.follow();
    else run.seek(run.last);
    this.changed();
  }

  play(on) {
    const run = this.run();
    if (on && run.shown.n >= run.last) run.seek(run.first);
    if (on && run.following) run.seek(run.first);
    this.playing = on;
    this.#at_t = run.shown.t;
    this.changed();
  }

  // Let `passed_ms` pass while it plays.
  frame(passed_ms) {
    if (!this.playing) return;
    const run = this.run();
    const index = run.indexAfter(run.shown.n);
    const next = run.events[index];
    if (!next) {
      this.playing = false;
      if (this.followable()) run.follow();
      this.changed();
      return;
    }
    this.#at_t = Math.max(this.#at_t + passed_ms, next.t - PLAYED_GAP_MAX_MS);
    const event = run.eventAt(this.#at_t);
    if (event && event.n > run.shown.n) {
      run.seek(event.n);
      this.changed();
    }
  }

  update() {
    const run = this.run();
    const { shown } = run;
    setAttr(this.range, "min", run.first);
    setAttr(this.range, "max", run.last);
    if (Number(this.range.value) !== shown.n) this.range.value = shown.n;
    const words = `${clock(shown.t)} · event ${shown.n}`;
    setText(byId("moment"), words);
    setAttr(this.range, "aria-valuetext", `${words} of ${run.last}`);
    setAttr(byId("now"), "aria-pressed", run.following || (!this.followable() && shown.n >= run.last));
    setText(byId("play"), this.playing ? "Stop" : "Play");
    setAttr(byId("play"), "aria-pressed", this.playing);
    if (performance.now() - this.#marked > MARKS_EVERY_MS) this.#marks(run);
  }

  // What was done above the range in blue; what went wrong, in the colour of what is lost.
  #marks(run) {
    this.#marked = performance.now();
    const { first, last } = run;
    const at = (n) => `M${(((n - first) / Math.max(1, last - first)) * 1000).toFixed(1)} `;
    setAttr(document.querySelector("#marks .mark-done"), "d", run.marks.done.filter((n) => n >= first).map((n) => `${at(n)}2v8`).join(""));
    setAttr(document.querySelector("#marks .mark-bad"), "d", run.marks.bad.filter((n) => n >= first).map((n) => `${at(n)}2v8`).join(""));
  }
}
