// What both pages share. Text from the server only ever becomes text nodes, never markup.

export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") node.className = value;
    else if (name.startsWith("aria-") || name === "role") node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export async function loadDocument() {
  const response = await fetch("openapi.json");
  if (!response.ok) throw new Error(`openapi.json answered ${response.status}`);
  return response.json();
}

// One request: status, what came back, and how long it took here and there.
export async function send(method, path, { body, headers } = {}) {
  const start = performance.now();
  const response = await fetch(path.replace(/^\//, ""), { method, body, headers });
  const bytes = await response.arrayBuffer();
  const tookMs = performance.now() - start;
  const type = response.headers.get("content-type") || "";
  const text = new TextDecoder().decode(bytes);
  let json = null;
  if (type.includes("json")) {
    try { json = JSON.parse(text); } catch { /* shown as text */ }
  }
  return {
    status: response.status, ok: response.ok, type, text, json, tookMs,
    phases: parseTiming(response.headers.get("server-timing") || ""),
    requestId: response.headers.get("x-request-id") || "",
  };
}

function parseTiming(header) {
  return header.split(",").map((part) => {
    const [name, ...parameters] = part.trim().split(";");
    const duration = parameters.map((p) => p.trim()).find((p) => p.startsWith("dur="));
    return { name, ms: duration ? Number(duration.slice(4)) : NaN };
  }).filter((phase) => phase.name && Number.isFinite(phase.ms));
}

export function timing(answer) {
  const parts = answer.phases.map(({ name, ms }) => el("span", {}, `${name} `, el("b", {}, formatMs(ms))));
  return el("div", { class: "timing" },
    el("span", {}, "round trip ", el("b", {}, formatMs(answer.tookMs))), ...parts);
}

export function formatMs(ms) {
  return `${ms >= 100 ? ms.toFixed(0) : ms >= 1 ? ms.toFixed(1) : ms.toFixed(2)} ms`;
}

export function problemText(answer) {
  const error = answer.json && answer.json.error;
  if (typeof error === "string") return error;
  if (error && typeof error.message === "string") return error.message;
  return answer.text.slice(0, 500) || `status ${answer.status}`;
}

// JSON for reading: long strings (pictures) are shortened, the answer itself is not touched.
export function pretty(value) {
  return JSON.stringify(value, (_, inner) =>
    typeof inner === "string" && inner.length > 400
      ? `${inner.slice(0, 80)}… (${inner.length} characters)` : inner, 2);
}

export function curl(method, path, contentType, body, headers = {}) {
  const quote = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
  const parts = ["curl -s"];
  if (method !== "GET") parts.push(`-X ${method}`);
  parts.push(quote(new URL(path.replace(/^\//, ""), location.href).href));
  if (contentType) parts.push(`-H ${quote(`content-type: ${contentType}`)}`);
  for (const [name, value] of Object.entries(headers)) parts.push(`-H ${quote(`${name}: ${value}`)}`);
  if (body) parts.push(body.startsWith("@") ? `--data-binary ${body}` : `-d ${quote(body)}`);
  return parts.join(" ");
}
