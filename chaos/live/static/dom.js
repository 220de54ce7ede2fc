// Making and changing elements: only what has changed is written, so that focus, selection and the layout stay.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

export function el(tag, { text, data, ...attributes } = {}, ...children) {
  return dressed(document.createElement(tag), text, data, attributes, children);
}

export function svg(tag, { text, data, ...attributes } = {}, ...children) {
  return dressed(document.createElementNS(SVG, tag), text, data, attributes, children);
}

function dressed(element, text, data, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) if (value !== false && value != null) element.setAttribute(name, value === true ? "" : value);
  for (const [name, value] of Object.entries(data ?? {})) element.dataset[name] = value;
  if (text !== undefined) element.textContent = text;
  element.append(...children);
  return element;
}

export function setText(element, text) {
  const value = String(text);
  if (element.textContent !== value) element.textContent = value;
}

// The same, with what stands between backticks as code.
export function setWords(element, text) {
  if (element.dataset.words === text) return;
  element.dataset.words = text;
  element.replaceChildren(...text.split("`").map((part, index) => (index % 2 ? el("code", { text: part }) : part)));
}

export function setAttr(element, name, value) {
  const text = String(value);
  if (element.getAttribute(name) !== text) element.setAttribute(name, text);
}

export function show(element, shown) {
  if (element.hidden === shown) element.hidden = !shown;
}

// A control that may not be used now keeps the focus: `disabled` would take it away from under a keyboard.
export function usable(control, is) {
  setAttr(control, "aria-disabled", is ? "false" : "true");
}

export const isUsable = (control) => control.getAttribute("aria-disabled") !== "true";

// Give `parent` one child per item, in order; children of the same key are kept and only updated.
export function keyed(parent, items, keyOf, make, update) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  const seen = new Set();
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = String(keyOf(item));
    if (seen.has(key)) continue;
    seen.add(key);
    let child = old.get(key);
    old.delete(key);
    if (!child) {
      child = make(item);
      child.dataset.key = key;
    }
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
    update?.(child, item);
  }
  for (const child of old.values()) child.remove();
}
