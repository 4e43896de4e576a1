// The page at `/`: one bench per loaded model, built from the API's own OpenAPI document.

import { curl, el, formatMs, loadDocument, pretty, problemText, send, timing } from "./page.js";
import { drawingBoard } from "./draw.js";

const KEPT_LATENCIES = 40;
const latencies = new Map();

function modelsOf(doc) {
  return Object.entries(doc.paths)
    .map(([path, item]) => ({ path, operation: item.post }))
    .filter(({ operation }) => operation && operation["x-slipway"])
    .map(({ path, operation }) => ({
      ...operation["x-slipway"], path,
      example: operation.requestBody.content["application/json"].example,
    }));
}

function openBench(model) {
  for (const button of document.querySelectorAll("#models button")) {
    button.setAttribute("aria-current", String(button.dataset.model === model.model));
  }
  history.replaceState(null, "", `#${encodeURIComponent(model.model)}`);
  const result = el("div", {}, el("p", { class: "soft" }, "The answer appears here."));
  const options = optionFields(model);
  const ask = async (request) => {
    const path = request.query ? `${model.path}?${request.query}` : model.path;
    const answer = await send("POST", path, request).catch((error) => (
      { ok: false, json: { error: String(error) }, phases: [], tookMs: 0, text: "" }));
    show(model, answer, request, result);
  };
  document.getElementById("bench").replaceChildren(
    el("h2", {}, model.model),
    el("p", { class: "soft" }, [model.description || model.task, `version ${model.version}`].join(" · ")),
    el("div", { class: "columns" },
      el("div", {}, ...question(model, options, ask), options.node),
      result));
}

function question(model, options, ask) {
  if (model.media_types.includes("image/png")) return pictureQuestion(model, options, ask);
  if (model.field === "prompt" && model.labels.length) return classQuestion(model, options, ask);
  return textQuestion(model, options, ask);
}

function textQuestion(model, options, ask) {
  const example = model.example[model.field];
  const isText = typeof example === "string";
  const area = el("textarea", {
    value: isText ? example : JSON.stringify(example, null, 1),
    class: isText && model.field !== "prompt" ? "" : "code", spellcheck: false,
  });
  area.setAttribute("aria-label", model.field);
  const submit = () => {
    let value = area.value;
    if (!isText) {
      try { value = JSON.parse(value); } catch { /* the server says what is wrong */ }
    }
    ask(jsonRequest({ [model.field]: value, ...options.values() }));
  };
  area.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit();
  });
  return [el("h3", {}, model.field), area, buttons(el("button", { class: "button", onclick: submit }, "Ask"),
    el("span", { class: "soft" }, "Ctrl+Enter"))];
}

function classQuestion(model, options, ask) {
  const draw = (label, chip) => {
    for (const other of chips.children) other.setAttribute("aria-pressed", String(other === chip));
    ask(jsonRequest({ [model.field]: label, ...options.values() }));
  };
  const chips = el("div", { class: "chips" });
  for (const label of model.labels.slice(0, 200)) {
    const chip = el("button", {}, label);
    chip.addEventListener("click", () => draw(label, chip));
    chips.append(chip);
  }
  return [el("h3", {}, "draw"), chips];
}

function pictureQuestion(model, options, ask) {
  const shown = el("img", { class: "pixels asked", alt: "the picture that was asked about", hidden: true });
  const send = (blob) => {
    shown.src = URL.createObjectURL(blob);
    shown.hidden = false;
    const query = new URLSearchParams(options.values()).toString();
    ask({ body: blob, headers: { "content-type": blob.type }, query });
  };
  const input = el("input", { type: "file", accept: model.media_types.join(",") });
  const drop = el("label", { class: "drop" }, "Drop a picture, paste one, or click to choose", input);
  input.addEventListener("change", () => input.files[0] && send(input.files[0]));
  drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    if (event.dataTransfer.files[0]) send(event.dataTransfer.files[0]);
  });
  document.onpaste = (event) => {
    const file = [...event.clipboardData.files].find((item) => item.type.startsWith("image/"));
    if (file) send(file);
  };
  const example = el("button", { class: "button quiet", onclick: async () => send(await exampleBlob(model)) },
    "Use the example");
  const place = el("div", { class: "pictures" });
  if (model.picture && model.picture.channel_order === "L") addBoard(model, place, send);
  return [el("h3", {}, "picture"), place, drop, buttons(example, shown)];
}

async function addBoard(model, place, send) {
  const board = drawingBoard(await isDarkAtEdges(model), async () => send(await board.toBlob()));
  place.append(board.canvas, el("div", {}, el("p", { class: "soft" }, "Draw here with the mouse or a finger."),
    el("button", { class: "button quiet", onclick: board.clear }, "Clear")));
}

function exampleBytes(model) {
  return Uint8Array.from(atob(model.example[model.field]), (letter) => letter.charCodeAt(0));
}

async function exampleBlob(model) {
  return new Blob([exampleBytes(model)], { type: "image/png" });
}

async function isDarkAtEdges(model) {
  const picture = await createImageBitmap(await exampleBlob(model));
  const canvas = el("canvas", { width: picture.width, height: picture.height });
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0);
  const { data } = context.getImageData(0, 0, picture.width, picture.height);
  let [sum, count] = [0, 0];
  for (let y = 0; y < picture.height; y++) {
    for (const x of [0, picture.width - 1]) { sum += data[4 * (y * picture.width + x)]; count++; }
  }
  return sum / count < 128;
}

function optionFields(model) {
  const fields = Object.entries(model.options).filter(([name]) => name !== "index").map(([name, schema]) => {
    const kind = (schema.anyOf || [schema]).find((part) => part.type !== "null") || {};
    const input = kind.type === "boolean" ? el("input", { type: "checkbox" })
      : el("input", {
        type: kind.type === "integer" || kind.type === "number" ? "number" : "text",
        step: kind.type === "number" ? "any" : "1", min: kind.minimum ?? "", max: kind.maximum ?? "",
        placeholder: schema.default === undefined || schema.default === null ? "default" : String(schema.default),
      });
    return { name, kind, input, label: el("label", { title: schema.description || "" }, name, " ", input) };
  });
  const values = () => Object.fromEntries(fields
    .filter(({ kind, input }) => (kind.type === "boolean" ? input.checked : input.value !== ""))
    .map(({ name, kind, input }) => [name, kind.type === "boolean" ? true
      : input.type === "number" ? Number(input.value) : input.value.replaceAll("\\n", "\n")]));
  const node = fields.length ? el("div", {}, el("h3", {}, "options"),
    el("div", { class: "options" }, ...fields.map(({ label }) => label))) : null;
  return { node, values };
}

function jsonRequest(body) {
  return { body: JSON.stringify(body), headers: { "content-type": "application/json" } };
}

function buttons(...nodes) {
  return el("div", { class: "row" }, ...nodes);
}

function show(model, answer, request, place) {
  const isText = typeof request.body === "string";
  const body = isText ? request.body : "@picture.png";
  const line = curl("POST", model.path, request.headers["content-type"], body);
  if (!answer.ok) {
    place.replaceChildren(el("h3", {}, "refused"), el("p", { class: "problem" }, problemText(answer)));
    return;
  }
  const kept = [...(latencies.get(model.model) || []), answer.tookMs].slice(-KEPT_LATENCIES);
  latencies.set(model.model, kept);
  place.replaceChildren(
    el("h3", {}, "answer"), ...answer.json.predictions.map((one) => reading(model, one, request)),
    el("h3", {}, "latency"), timing(answer), trend(kept),
    el("h3", {}, "the same on the command line"), el("pre", {}, line.length > 1500 ? `${line.slice(0, 1500)}…` : line),
    el("details", {}, el("summary", {}, "JSON"), el("pre", {}, pretty(answer.json))));
}

function reading(model, one, request) {
  if (Array.isArray(one.labels)) {
    return el("div", { class: "bars" }, ...one.labels.flatMap(({ label, score }) => [
      el("span", { class: "label", title: label }, label), el("progress", { value: score, max: 1 }),
      el("span", { class: "score" }, `${(100 * score).toFixed(1)} %`)]));
  }
  if (typeof one.image === "string") {
    return el("div", {}, el("img", { class: "pixels answered", alt: "the drawn picture", src: `data:image/png;base64,${one.image}` }),
      el("p", { class: "soft" }, `${one.width}×${one.height} pixels, seed ${one.seed}`));
  }
  if (typeof one.text === "string") {
    const asked = JSON.parse(request.body)[model.field];
    return el("div", {}, el("pre", {}, el("span", { class: "prompt" }, asked), one.text),
      el("p", { class: "soft" }, `${one.completion_tokens} tokens after ${one.prompt_tokens}, ended by ${one.finish_reason}`));
  }
  return el("pre", {}, pretty(one));
}

function trend(kept) {
  const highest = Math.max(...kept);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "trend");
  svg.setAttribute("viewBox", `0 0 ${KEPT_LATENCIES * 8} 40`);
  svg.setAttribute("preserveAspectRatio", "none");
  kept.forEach((ms, index) => {
    const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    const height = Math.max(1, (38 * ms) / highest);
    for (const [name, value] of Object.entries({ x: index * 8, y: 40 - height, width: 6, height })) bar.setAttribute(name, value);
    svg.append(bar);
  });
  const middle = [...kept].sort((a, b) => a - b)[Math.floor(kept.length / 2)];
  return el("div", {}, svg, el("p", { class: "soft" },
    `last ${kept.length}: median ${formatMs(middle)}, highest ${formatMs(highest)}`));
}

async function start() {
  const state = document.getElementById("state");
  try {
    const models = modelsOf(await loadDocument());
    state.textContent = models.length === 1 ? "1 model ready" : `${models.length} models ready`;
    document.getElementById("models").append(...models.map((model) => {
      const button = el("button", { onclick: () => openBench(model) }, model.model, el("small", {}, model.task));
      button.dataset.model = model.model;
      return button;
    }));
    const wanted = decodeURIComponent(location.hash.slice(1));
    const first = models.find(({ model }) => model === wanted) || models[0];
    if (first) openBench(first);
    else document.getElementById("bench").append(el("p", {}, "No model is ready yet. Publish one with: slipway train digits"));
  } catch (error) {
    state.textContent = "not reachable";
    document.getElementById("bench").append(el("p", { class: "problem" }, String(error)));
  }
}

start();
