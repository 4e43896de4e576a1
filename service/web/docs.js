// The page at `/docs`: every operation of openapi.json, with an example that can be sent.

import { curl, el, loadDocument, pretty, problemText, send, timing } from "./page.js";

let doc = {};

function resolve(schema, depth = 0) {
  if (schema && schema.$ref && depth < 8) {
    const target = schema.$ref.replace(/^#\//, "").split("/").reduce((node, key) => (node || {})[key], doc);
    return resolve(target, depth + 1);
  }
  return schema || {};
}

function typeName(schema) {
  const found = resolve(schema);
  const choices = found.anyOf || found.oneOf;
  if (choices) return [...new Set(choices.map(typeName))].join(" or ");
  if (found.enum) return found.enum.length <= 12 ? found.enum.map((value) => JSON.stringify(value)).join(" | ") : `one of ${found.enum.length} texts`;
  if (found.const !== undefined) return JSON.stringify(found.const);
  if (found.type === "array") return `list of ${typeName(found.items)}`;
  return found.format ? `${found.type} (${found.format})` : found.type || "any";
}

function members(schema, prefix = "", depth = 0) {
  const found = resolve(schema);
  const rows = [];
  for (const [name, part] of Object.entries(found.properties || {})) {
    const inner = resolve(part);
    const isRequired = (found.required || []).includes(name);
    rows.push(el("tr", {},
      el("td", {}, el("code", {}, prefix + name), isRequired ? "" : el("span", { class: "soft" }, " optional")),
      el("td", {}, typeName(part)), el("td", {}, part.description || inner.description || "")));
    const nested = inner.type === "array" ? resolve(inner.items) : inner;
    if (depth < 3 && nested.properties) rows.push(...members(nested, `${prefix}${name}${inner.type === "array" ? "[]" : ""}.`, depth + 1));
  }
  return rows;
}

function table(title, schema) {
  const rows = members(schema);
  return rows.length ? el("div", {}, el("h3", {}, title), el("table", {}, ...rows)) : null;
}

function operationView(path, method, operation) {
  const view = el("details", {}, el("summary", {},
    el("span", { class: "method" }, method.toUpperCase()), el("span", { class: "path" }, path),
    el("span", { class: "soft" }, operation.summary || "")));
  view.addEventListener("toggle", () => {
    if (view.open && view.children.length === 1) view.append(operationBody(path, method, operation));
  });
  return view;
}

function operationBody(path, method, operation) {
  const content = (operation.requestBody || {}).content || {};
  const answer = ((operation.responses || {})["200"] || {}).content || {};
  const form = requestForm(path, method, operation, content);
  return el("div", { class: "operation" },
    operation.description ? el("p", {}, operation.description) : null,
    el("div", { class: "columns" }, form,
      el("div", {}, ...Object.entries(content).slice(0, 1).map(([type, body]) => table(`request, ${type}`, body.schema)),
        ...Object.values(answer).slice(0, 1).map((body) => table("answer", body.schema)))));
}

function requestForm(path, method, operation, content) {
  const parameters = (operation.parameters || []).map((parameter) => {
    const input = el("input", { placeholder: parameter.name, value: parameter.example ?? "" });
    return { ...parameter, input, label: el("label", {}, parameter.name, " ", input) };
  });
  const types = Object.keys(content);
  const choice = el("select", {}, ...types.map((type) => el("option", { value: type }, type)));
  const area = el("textarea", { class: "code", spellcheck: false });
  const file = el("input", { type: "file", multiple: true });
  const result = el("div", {});
  const isText = () => !choice.value || choice.value.includes("json") || choice.value.startsWith("text/");
  const arrange = () => {
    const body = content[choice.value] || {};
    area.hidden = !types.length || !isText();
    file.hidden = !types.length || isText();
    area.value = body.example === undefined ? "" : JSON.stringify(body.example, null, 1);
  };
  choice.addEventListener("change", arrange);
  arrange();
  const submit = async () => {
    const target = filled(path, parameters);
    const request = requestOf(choice.value, area.value, file.files);
    const headers = headersOf(parameters);
    request.headers = { ...request.headers, ...headers };
    const shown = typeof request.body === "string" ? request.body : request.body ? "@file" : "";
    const line = curl(method.toUpperCase(), target, choice.value, compact(shown), headers);
    try {
      showAnswer(await send(method.toUpperCase(), target, request), line, result);
    } catch (error) {
      result.replaceChildren(el("p", { class: "problem" }, String(error)));
    }
  };
  return el("div", {}, parameters.length ? el("div", { class: "options" }, ...parameters.map(({ label }) => label)) : null,
    types.length > 1 ? el("label", { class: "soft" }, "content type", choice) : null, types.length ? el("h3", {}, "body") : null,
    area, file, el("div", { class: "row" }, el("button", { class: "button", onclick: submit }, "Send")), result);
}

function filled(path, parameters) {
  let target = path;
  const query = new URLSearchParams();
  for (const { name, in: place, input } of parameters) {
    if (place === "path") target = target.replace(`{${name}}`, encodeURIComponent(input.value));
    else if (place === "query" && input.value) query.set(name, input.value);
  }
  return query.size ? `${target}?${query}` : target;
}

function headersOf(parameters) {
  const given = parameters.filter(({ in: place, input }) => place === "header" && input.value);
  return Object.fromEntries(given.map(({ name, input }) => [name, input.value]));
}

function requestOf(type, text, files) {
  if (!type) return {};
  if (type === "multipart/form-data") {
    const body = new FormData();
    for (const file of files) body.append("file", file);
    return { body }; // the browser writes the header, with its boundary
  }
  const isText = type.includes("json") || type.startsWith("text/");
  return { body: isText ? text : files[0], headers: { "content-type": type } };
}

function compact(text) {
  try { return JSON.stringify(JSON.parse(text)); } catch { return text; }
}

function showAnswer(answer, line, place) {
  const shown = answer.json === null ? answer.text.slice(0, 20000) : pretty(answer.json);
  const pictures = answer.ok && answer.json ? findPictures(answer.json) : [];
  place.replaceChildren(el("h3", {}, `status ${answer.status}`),
    ...(answer.ok ? [] : [el("p", { class: "problem" }, problemText(answer))]), timing(answer),
    ...pictures.map((data) => el("img", { class: "pixels answered", alt: "picture in the answer", src: `data:image/png;base64,${data}` })),
    el("pre", {}, shown), el("h3", {}, "the same on the command line"), el("pre", {}, line.length > 1500 ? `${line.slice(0, 1500)}…` : line));
}

function findPictures(value) {
  if (Array.isArray(value)) return value.flatMap(findPictures);
  if (!value || typeof value !== "object") return [];
  return Object.entries(value).flatMap(([name, inner]) =>
    typeof inner === "string" ? (["image", "b64_json"].includes(name) ? [inner] : []) : findPictures(inner));
}

async function start() {
  const state = document.getElementById("state");
  const groups = document.getElementById("groups");
  try {
    doc = await loadDocument();
  } catch (error) {
    state.textContent = "not reachable";
    groups.append(el("p", { class: "problem" }, String(error)));
    return;
  }
  state.textContent = `version ${doc.info.version}`;
  const byTag = new Map();
  for (const [path, item] of Object.entries(doc.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      const tag = (operation.tags || ["other"])[0];
      byTag.set(tag, [...(byTag.get(tag) || []), operationView(path, method, operation)]);
    }
  }
  for (const [tag, views] of byTag) {
    groups.append(el("section", { class: "card group" }, el("h2", {}, tag), ...views));
  }
  const first = groups.querySelector("details");
  if (first) first.open = true;
}

start();
