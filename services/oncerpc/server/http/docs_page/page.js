// One call out of a form: a fresh identity, the request as it goes, the reply as it came; and the same request again.

const where = document.body.dataset.rpc;
let requests = 0;

function freshKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16)); // also where the page is not served over TLS
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function takesText(schema) {
  const words = [schema, ...(schema.anyOf ?? [])];
  return words.some((one) => one.type === "string" || (one.enum ?? []).some((word) => typeof word === "string"));
}

// The params that the form holds, as JSON text, so that an integer of 64 bits goes as it was written.
// Throws an Error that names the field whose text is not JSON.
function paramsOf(form) {
  const params = new Map();
  for (const field of form.querySelectorAll("input")) {
    const isText = takesText(JSON.parse(field.dataset.schema));
    if (field.value === "" && !(isText && field.dataset.required === "true")) continue;
    params.set(field.name, isText ? JSON.stringify(field.value) : field.value);
    try {
      JSON.parse(params.get(field.name));
    } catch {
      field.focus();
      throw new Error(`${field.name} is not JSON: ${field.value}`);
    }
  }
  return params;
}

function newRequest(form) {
  const params = paramsOf(form);
  requests += 1;
  const members = [...params].map(([name, text]) => `${JSON.stringify(name)}: ${text}`).join(", ");
  const method = JSON.stringify(form.dataset.method);
  const headers = { "Content-Type": "application/json" };
  if (!params.has("_meta")) headers["Idempotency-Key"] = freshKey();
  return { headers, body: `{"jsonrpc": "2.0", "id": ${requests}, "method": ${method}, "params": {${members}}}` };
}

function add(shown, tag, text, name = "") {
  const part = document.createElement(tag);
  part.textContent = text;
  part.className = name;
  shown.append(part);
}

function isReplay(reply, text) {
  return reply.headers.get("Idempotent-Replayed") === "true" || /"replayed":\s*true/.test(text);
}

async function send(form, request) {
  const shown = form.querySelector(".shown");
  const token = document.getElementById("token").value;
  const headers = token ? { ...request.headers, Authorization: `Bearer ${token}` } : request.headers;
  const lines = Object.entries(request.headers).map(([name, value]) => `${name}: ${value}`);
  shown.replaceChildren();
  shown.hidden = false;
  add(shown, "h3", "Request");
  add(shown, "pre", `POST ${where}\n${lines.join("\n")}\n\n${request.body}`, "request");
  try {
    const reply = await fetch(where, { method: "POST", headers, body: request.body, redirect: "error" });
    const text = await reply.text();
    add(shown, "h3", `Reply: HTTP ${reply.status}`);
    if (isReplay(reply, text)) add(shown, "p", "Replayed: it had run before, and this is its first reply.", "replayed");
    add(shown, "pre", text, "reply");
  } catch (error) {
    add(shown, "h3", "No reply");
    add(shown, "p", `Nobody can tell whether it ran (${error.message}). Send it again under the same identity.`, "lost");
  }
}

for (const form of document.querySelectorAll("form.try")) {
  const again = form.querySelector(".again");
  let last = null;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    try {
      last = newRequest(form);
    } catch (error) {
      const shown = form.querySelector(".shown");
      shown.replaceChildren();
      shown.hidden = false;
      add(shown, "p", error.message, "wrong");
      return;
    }
    again.disabled = false;
    send(form, last);
  });
  again.addEventListener("click", () => send(form, last));
}
