// A run as the page holds it: its events, the state they fold to now, and the state that is shown, which is the present
// unless one looks back. A snapshot every 500 events makes looking back quick; the oldest events go when there are too many.
import { emptyState, reduce } from "./reduce.js";

const SNAPSHOT_EVERY = 500;
const EVENTS_MAX = 24_000;
const MARKS_MAX = 300;
const DROPPED_AT_ONCE = 4_000; // a multiple of SNAPSHOT_EVERY

export class Run {
  constructor() {
    this.events = [];
    this.snapshots = [emptyState()]; // snapshots[i] is the state before events[i * SNAPSHOT_EVERY]
    this.present = this.snapshots[0];
    this.shown = this.present;
    this.following = true;
    this.marks = { done: [], bad: [] }; // numbers of the events at which one did something, and of those that went wrong
  }

  get id() {
    return this.present.world?.run ?? null;
  }

  get first() {
    return this.events[0]?.n ?? 0;
  }

  get last() {
    return this.events.at(-1)?.n ?? 0;
  }

  // What came twice, as after a reconnection, counts once.
  add(event) {
    if (this.events.length && event.n <= this.last) return;
    if (this.events.length && this.events.length % SNAPSHOT_EVERY === 0) this.snapshots.push(this.present);
    this.events.push(event);
    const before = this.present;
    this.present = reduce(before, event);
    this.#mark(before, event);
    if (this.following) this.shown = this.present;
    if (this.events.length > EVENTS_MAX) this.#drop();
  }

  #mark({ totals }, event) {
    if (event.type === "action") this.marks.done.push(event.n);
    if (event.type === "totals" && (event.doubled > totals.doubled || event.unknown > totals.unknown || event.lost > totals.lost)) this.marks.bad.push(event.n);
    for (const marks of Object.values(this.marks)) if (marks.length > MARKS_MAX) marks.shift();
  }

  #drop() {
    this.events.splice(0, DROPPED_AT_ONCE);
    this.snapshots.splice(0, DROPPED_AT_ONCE / SNAPSHOT_EVERY);
    if (!this.following && this.shown.n < this.first) this.seek(this.first);
  }

  follow() {
    this.following = true;
    this.shown = this.present;
  }

  // Show the state after event n (or after the last one before it).
  seek(n) {
    this.following = false;
    const target = this.indexAfter(n);
    const from = this.indexAfter(this.shown.n);
    const snapshot = Math.min(Math.floor(target / SNAPSHOT_EVERY), this.snapshots.length - 1);
    const near = this.shown.n >= this.first && from <= target && from >= snapshot * SNAPSHOT_EVERY;
    let state = near ? this.shown : this.snapshots[snapshot];
    for (let index = near ? from : snapshot * SNAPSHOT_EVERY; index < target; index += 1) state = reduce(state, this.events[index]);
    this.shown = state;
  }

  // How many events have a number of at most n.
  indexAfter(n) {
    return this.#countUpTo("n", n);
  }

  // The last event at or before the time t.
  eventAt(t) {
    return this.events[Math.max(0, this.#countUpTo("t", t) - 1)] ?? null;
  }

  // Events are in the order of both their numbers and their times.
  #countUpTo(member, limit) {
    let low = 0;
    let high = this.events.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.events[middle][member] <= limit) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
