// The control API from its own OpenAPI document: every operation by tag, with an example that can be
// sent as it stands.
import { byId, el } from "./dom.js";

const METHODS = ["get", "post", "put", "delete"];

/** The little markup that descriptions use: `code`. */
function prose(text) {
  return text.split("`").map((part, place) => (place % 2 ? el("code", {}, part) : part));
}

class Document {
  constructor(document, state) {
    this.document = document;
    this.state = state;
  }

  resolve(schema) {
    const name = schema?.$ref?.split("/").pop();
    return name ? this.document.components.schemas[name] : (schema ?? {});
  }

  /** The example of a schema, about a corp and account that exist. */
  example(schema) {
    const corp = this.state.corps[0];
    const text = JSON.stringify(this.resolve(schema).example ?? {}, null, 2);
    return text
      .replaceAll("ww_simulated", corp?.corp ?? "ww_simulated")
      .replaceAll("wk_simulated", corp?.accounts[0]?.openKfId ?? "wk_simulated");
  }

  typeOf(schema) {
    if (schema.$ref) return schema.$ref.split("/").pop();
    const alternatives = schema.oneOf ?? schema.anyOf;
    if (alternatives) return alternatives.map((one) => this.typeOf(one)).join(" or ");
    if (schema.enum) return schema.enum.join(" | ");
    const type = [schema.type ?? "any"].flat().filter((name) => name !== "null").join(" or ");
    return type === "array" ? `list of ${this.typeOf(schema.items ?? {})}` : type;
  }

  fields(schema) {
    const { properties = {}, required = [] } = this.resolve(schema);
    const asked = ([name]) => (required.includes(name) ? 0 : 1);
    const rows = Object.entries(properties).sort((one, other) => asked(one) - asked(other)).map(([name, field]) => el("tr", {},
      el("td", {}, el("code", {}, name), required.includes(name) ? "" : el("small", {}, " optional")),
      el("td", {}, this.typeOf(field)),
      el("td", {}, ...prose(field.description ?? ""))));
    return rows.length ? el("table", {}, ...rows) : undefined;
  }
}

async function send(method, path, parameters, body, output) {
  const query = new URLSearchParams();
  for (const input of parameters) if (input.value) query.set(input.name, input.value);
  const url = query.size ? `${path}?${query}` : path;
  output.hidden = false;
  output.textContent = "…";
  try {
    const headers = body === undefined ? {} : { "content-type": "application/json" };
    const answer = await fetch(url, { method: method.toUpperCase(), headers, body });
    const text = await answer.text();
    const shown = text.startsWith("{") || text.startsWith("[") ? JSON.stringify(JSON.parse(text), null, 2) : text;
    output.textContent = `HTTP ${answer.status}\n${shown}`;
  } catch (error) {
    output.textContent = String(error);
  }
}

function operation(document, method, path, described) {
  const schema = described.requestBody?.content?.["application/json"]?.schema;
  const isStream = Object.values(described.responses).some(({ content }) => content?.["text/event-stream"]);
  const inputs = (described.parameters ?? []).map(({ name, required }) =>
    el("input", { name, "aria-label": name, placeholder: required ? name : `${name} (optional)` }));
  const body = schema && el("textarea", { "aria-label": "Body", spellcheck: "false" }, document.example(schema));
  const output = el("pre", { hidden: true, tabindex: "0", "aria-label": "Answer", "aria-live": "polite" });
  const curl = `curl ${location.origin}${path}${method === "delete" ? " -X DELETE" : ""}` +
    (schema ? ` --json '${JSON.stringify(JSON.parse(document.example(schema)))}'` : method === "post" ? " -X POST" : "");
  const answers = Object.entries(described.responses).map(([status, { description }]) =>
    el("tr", {}, el("td", {}, status), el("td", {}, ...prose(description))));
  return el("details", { class: "operation", id: described.operationId },
    el("summary", {},
      el("span", { class: `method ${method}` }, method.toUpperCase()), el("code", {}, path),
      el("span", { class: "muted" }, ...prose(described.summary ?? ""))),
    el("div", {},
      described.description && el("p", {}, ...prose(described.description)),
      ...inputs, schema && document.fields(schema), body,
      el("table", {}, ...answers),
      el("pre", { "aria-label": "The same by curl", tabindex: "0" }, curl),
      isStream ? undefined : el("button", {
        type: "button", class: "primary", onclick: () => send(method, path, inputs, body?.value, output),
      }, "Send"),
      output));
}

async function show() {
  const [described, state] = await Promise.all(
    ["openapi.json", "state"].map(async (name) => (await fetch(`/simulator/${name}`)).json()));
  const document = new Document(described, state);
  byId("lead").replaceChildren(...prose(described.info.description));
  for (const tag of described.tags) {
    const operations = Object.entries(described.paths).flatMap(([path, methods]) =>
      METHODS.filter((method) => methods[method]?.tags?.includes(tag.name))
        .map((method) => operation(document, method, path, methods[method])));
    byId("operations").append(el("section", { "aria-label": tag.name },
      el("h2", {}, tag.name, " ", el("span", { class: "zh" }, tag.description)), ...operations));
  }
}

show();
