// The sentence, and what goes with it while a scene plays: its number, Next, who knows what, and that all of it is in sight.
import { byId, setAttr, setText, setWords, show, usable } from "./dom.js";

let playing = ""; // the scene that was last brought into sight

byId("knows").addEventListener("click", ({ target }) => setAttr(target, "aria-expanded", target.getAttribute("aria-expanded") !== "true"));

// What is offered when a scene has come to its end: the next one, and after the last one oneself.
export function nextOf(tour, state) {
  const at = tour.findIndex((scene) => scene.id === state.after);
  if (at < 0) return null;
  if (at + 1 < tour.length) return { id: tour[at + 1].id, words: `Go on: ${tour[at + 1].title}` };
  return state.calling ? null : { id: "", words: "Now break it yourself: let them call, and click a message" };
}

export function showScene(state, isLive) {
  const { say, scene, pace } = state;
  const isPlaying = Boolean(scene) && scene.state !== "failed";
  show(byId("scene-title"), Boolean(scene));
  if (scene) setText(byId("scene-title"), `${scene.title ?? scene.id}${scene.number ? ` · ${scene.number} of ${scene.of}` : ""}${isPlaying ? "" : " · failed"}`);
  for (const id of ["end-scene", "scene-next"]) show(byId(id), isPlaying);
  usable(byId("scene-next"), pace.held || (pace.mode === "step" && !pace.guided));
  const problem = state.problem && (!say || state.problem.n > say.n) ? state.problem.text : "";
  if (problem || say) setWords(byId("sentence"), problem || say.text);
  byId("sentence").dataset.event = problem ? state.problem.n : say?.n ?? 0;
  know(say);
  setAttr(document.body, "data-scene", isPlaying || (state.after !== null && !state.calling));
  if (isLive) bringIntoSight(isPlaying ? scene : null, state);
}

function know(say) {
  let any = false;
  for (const part of byId("knowledge").children) {
    const words = say?.[part.dataset.who] ?? "";
    any ||= words !== "";
    show(part, words !== "");
    setText(part.lastElementChild, words);
  }
  show(byId("knowledge"), any);
  show(byId("knows"), any);
}

// Once as a scene begins: the score and the client that plays, above the sentence; and the store shows that client.
function bringIntoSight(scene, state) {
  if (scene?.id === playing) return;
  playing = scene?.id ?? "";
  if (!scene) return;
  const [client] = state.clients.keys();
  const chosen = byId("records-client");
  if (chosen.value !== client) {
    chosen.value = client;
    chosen.dispatchEvent(new Event("change"));
  }
  const [score, said] = [".score", ".said"].map((name) => document.querySelector(name));
  const isHidden = byId("drawing").getBoundingClientRect().bottom > said.getBoundingClientRect().top;
  if (isHidden || score.getBoundingClientRect().top < 0) score.scrollIntoView({ block: "start" });
}
