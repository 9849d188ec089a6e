// The list of models on the start page and on publishers' pages: search, filters, sorting, more rows, plots, and the
// choice of models to compare. The page has the first rows; site/models.js has all models, and is loaded when somebody
// is about to ask. The address has the state after the #, so that it can be linked to.
"use strict";

{
const { make } = listing;
const PAGE = 50; // rows that are shown until more are asked for
const SCREEN = 16; // rows that fill most windows: they are painted before the others are made
const MOST = 4; // models in a comparison
const NEAR = 28; // pixels between the pointer and a dot that it means
const FIELDS = ["find", "task", "variant", "dataset", "format", "licence", "publisher", "least", "most"];
const FIRST_DOWN = ["top1"]; // columns that are sorted downwards first
const form = document.getElementById("modelFilters");
// Not form.dataset, which is the field of that name.
const about = (name) => form.getAttribute(`data-${name}`);
const root = form ? about("root") : "";

// Loading -------------------------------------------------------------------------------------------------------------
let loading = null;

function load() {
  loading ??= new Promise((resolve, reject) => {
    const script = make("script", { src: about("models") });
    script.addEventListener("load", () => resolve(readModels()));
    script.addEventListener("error", () => {
      loading = null;
      reject(new Error("the list could not be loaded: check the connection, then try again"));
    });
    document.head.append(script);
  });
  return loading;
}

function readModels() {
  const models = listing.unpack(self.hubModels);
  const own = about("publisher");
  const listed = own ? models.filter((model) => model.publisher === own) : models;
  const words = new Map(); // texts that repeat are read once
  listed.forEach((model, rank) => {
    model.rank = rank;
    model.text = searchText(model, words);
    model.text.charCodeAt(0); // browsers join the parts of a text when they read it: now, and not at the first key
  });
  return listed;
}

// Searching -----------------------------------------------------------------------------------------------------------
// A text is a row of words in lower case with a blank around each, so that " cat" is the beginning of a word. A word of
// the query such as ViT-S/16 becomes several, which must follow each other.
function split(text) {
  if (/^[\x20-\x7e]*$/.test(text)) { // the most, and quickly
    return text.toLowerCase().replace(/[^a-z0-9]+/g, " ").trim();
  }
  const plain = text.normalize("NFKD").replace(/\p{M}+/gu, "").toLowerCase();
  return plain.split(/[^\p{L}\p{N}]+/u).filter(Boolean).join(" ");
}

// Returns a text that many models have, or a list of them, as words; `known` has those that were read before.
function readRepeated(value, known) {
  if (!known.has(value)) {
    const texts = Array.isArray(value) ? value : (value ?? "").split(" . ");
    known.set(value, texts.map(split).join(" . "));
  }
  return known.get(value);
}

function searchText(model, known) {
  const repeated = [
    model.publisherName, model.collection, model.architecture, model.dataset, model.licence, model.names,
    model.kinds, model.tasks, model.formats, model.marks,
  ].map((value) => readRepeated(value, known)).join(" . ");
  const modules = model.modules.map((module) => split(`${model.publisher} ${module}`)).join(" . ");
  return ` ${split(model.title)} . ${modules} . ${repeated} `;
}

// Other programs' names of the same network, as this page spells them.
function rename(word) {
  return word
    .replace(/^(?:hf[_-]hub:)?(?:timm|google)\//i, "")
    .replace(/^((?:vit|mixer)\w*_\d{3})\.\w+$/i, "$1") // timm's tag of the weights
    .replace(/^(R\d*)\+ViT[-_]/i, "ViT-$1+");
}

function readQuery(text) {
  const words = text.trim().split(/\s+/).map((word) => split(rename(word))).filter(Boolean);
  // "s" at the end may become "small"; before other words it is a word.
  return words.map((word, place) => (word.length <= 2 && place < words.length - 1 ? ` ${word} ` : ` ${word}`));
}

function makeTest(state) {
  const words = readQuery(state.find);
  const [least, most] = [Number(state.least) / 100, Number(state.most) * 1e6];
  return (model) =>
    words.every((word) => model.text.includes(word)) &&
    (!state.task || model.tasks.includes(state.task)) &&
    (!state.variant || model.architecture === state.variant || model.family === state.variant) &&
    (!state.dataset || model.dataset === state.dataset) &&
    (!state.format || model.formats.includes(state.format)) &&
    (!state.licence || model.licence === state.licence) &&
    (!state.publisher || model.publisher === state.publisher) &&
    (!state.least || (model.top1 !== null && model.top1 >= least - 1e-9)) &&
    (!state.most || (Boolean(model.parameters) && model.parameters <= most));
}

// Sorting; models without a value stay last, and of equal ones the title decides. -------------------------------------
const orders = new Map();

function valueOf(model, key) {
  return (key === "title" ? model.rank + 1 : key === "architecture" ? model.variant : model[key]) || null;
}

function sorted(models, sort) {
  if (!orders.has(sort)) {
    const [key, sign] = sort.startsWith("-") ? [sort.slice(1), -1] : [sort, 1];
    const collator = new Intl.Collator("en", { numeric: true });
    const keyed = models.map((model) => [valueOf(model, key), model]);
    keyed.sort(([a], [b]) => {
      if (a === null || b === null) {
        return (a === null) - (b === null);
      }
      return sign * (typeof a === "number" ? a - b : collator.compare(a, b));
    });
    orders.set(sort, keyed.map(([, model]) => model));
  }
  return orders.get(sort);
}

// Rows: the markup of `row` in lists.jinja ------------------------------------------------------------------------------
function addressOf(model, number = 0) {
  return `${root}${encodeURI(listing.pathOf(model, number))}.html`;
}

function breakable(text) {
  return text.split(/(?<=[/_])/).flatMap((part) => (/[/_]$/.test(part) ? [part, make("wbr")] : [part]));
}

function linkModule(model, module, number) {
  const versions = model.modules.map((name) => name.split("/")[1]);
  const text = model.kinds[number] + (new Set(versions).size > 1 ? `, version ${versions[number]}` : "");
  return make("a", { href: addressOf(model, number) }, text, make("span", { class: "unseen" }, ` of ${model.title}`));
}

function nameCell(model, isPictured) {
  const picture = model.picture
    ? [make("img", { src: root + encodeURI(model.picture), alt: "", width: 40, height: 40, loading: "lazy" })]
    : [];
  const thumb = { class: "thumb", href: addressOf(model), tabindex: -1, "aria-hidden": "true" };
  const name = make("div", {}, make("a", { class: "name", href: addressOf(model) }, model.title));
  if (model.isUnverified) {
    name.append(make("span", { class: "which" }, ", weights not verified"));
  }
  model.marks.forEach((word) => name.append(" ", make("span", { class: `mark ${word}` }, word)));
  name.append(
    make("span", { class: "parts" }, ...model.modules.map((module, number) => linkModule(model, module, number))),
    make("span", { class: "handle" }, ...breakable(`${model.publisher}/${model.stem}`)),
  );
  const whole = make("div", { class: "model" }, ...(isPictured ? [make("a", thumb, ...picture)] : []), name);
  return make("th", { scope: "row" }, whole);
}

function makeRow(model, isPictured) {
  const variant = make("td", { class: "wide" }, model.variant ?? "");
  if (model.variant && model.imageSize) {
    variant.append(make("span", { class: "at" }, `, ${model.imageSize} px`));
  }
  if (model.variant && model.family) {
    variant.append(make("span", { class: "how block" }, model.family));
  }
  const accuracy = model.top1 === null
    ? [make("span", { class: "none" }, "unknown")]
    : [`${listing.percent(model.top1)} `, make("span", { class: "how" }, model.origin)];
  return make("tr", { "data-model": model.id },
    nameCell(model, isPictured),
    variant,
    make("td", { class: "wide" }, model.dataset ?? ""),
    make("td", { class: "right" }, model.parameters ? listing.millions(model.parameters) : ""),
    make("td", { class: "right wider" }, listing.megabytes(model.download)),
    make("td", { class: "wider" }, model.licence ?? ""),
    make("td", { class: "right" }, ...accuracy));
}

// Plots ---------------------------------------------------------------------------------------------------------------
function readAxis(text, isLog) {
  const scale = isLog ? Math.log10 : Number;
  const [low, high, start, end] = text.split(" ").map(Number);
  return (value) => start + ((end - start) * (scale(value) - scale(low))) / (scale(high) - scale(low));
}

class Plot {
  constructor(figure) {
    this.figure = figure;
    this.dataset = figure.dataset.dataset;
    this.drawings = Array.from(figure.querySelectorAll(":scope > svg"), (svg) => ({
      svg, x: readAxis(svg.dataset.x, true), y: readAxis(svg.dataset.y, false), near: svg.querySelector(".near"),
    }));
    this.models = [];
    this.matches = new Set();
    this.tip = make("div", { class: "tip", hidden: "" });
    figure.append(this.tip);
    figure.addEventListener("pointerenter", () => prepare());
    figure.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && this.point(null));
    for (const drawing of this.drawings) {
      drawing.svg.addEventListener("pointermove", (event) => this.move(drawing, event));
      drawing.svg.addEventListener("click", (event) => this.click(drawing, event));
    }
  }

  // Shows which models match: the others fade.
  show(models, matches, dataset) {
    if (this.models.length === 0) {
      this.models = models.filter((model) => model.dataset === this.dataset && model.top1 !== null && model.parameters &&
        model.kinds[0] === "classifier");
    }
    this.matches = new Set(this.models.filter((model) => matches.has(model)));
    this.figure.hidden = Boolean(dataset) && dataset !== this.dataset;
    const isAll = this.matches.size === this.models.length;
    for (const drawing of this.drawings) {
      if (drawing.svg.classList.contains("dense")) {
        this.showDense(drawing, isAll);
        continue;
      }
      const ids = new Set(Array.from(this.matches, (model) => model.id));
      drawing.svg.querySelectorAll("[data-model]").forEach((dot) => dot.classList.toggle("out", !ids.has(dot.dataset.model)));
    }
  }

  showDense({ svg, x, y }, isAll) {
    svg.classList.toggle("some", !isAll);
    for (const origin of ["measured", "quoted"]) {
      const places = new Set();
      for (const model of isAll ? [] : this.matches) {
        if (model.origin === origin) {
          places.add(`M${Math.round(x(model.parameters))} ${Math.round(y(model.top1))}h0`);
        }
      }
      svg.querySelector(`.match.${origin}`).setAttribute("d", [...places].join(""));
    }
  }

  // Returns the matching model whose dot is nearest to an event, if it is near enough.
  nearest({ svg, x, y }, event) {
    const box = svg.getBoundingClientRect();
    const scale = box.width / svg.viewBox.baseVal.width;
    let [best, least] = [null, NEAR];
    for (const model of this.matches) {
      const away = Math.hypot(box.left + scale * x(model.parameters) - event.clientX, box.top + scale * y(model.top1) - event.clientY);
      if (away < least) {
        [best, least] = [model, away];
      }
    }
    return best;
  }

  mark(model) {
    for (const { near, x, y } of this.drawings) {
      near.classList.toggle("on", Boolean(model));
      near.setAttribute("cx", model ? x(model.parameters) : 0);
      near.setAttribute("cy", model ? y(model.top1) : 0);
    }
  }

  // Marks a dot and says what it is; null for none.
  point(model, drawing) {
    this.mark(model);
    this.tip.hidden = !model;
    this.figure.classList.toggle("pointed", Boolean(model));
    if (!model || !drawing) {
      return;
    }
    const { svg, x, y } = drawing;
    const scale = svg.clientWidth / svg.viewBox.baseVal.width || svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
    this.tip.replaceChildren(
      make("a", { href: addressOf(model) }, model.title),
      make("span", {}, `${listing.percent(model.top1)} ${model.origin}, ${listing.millions(model.parameters)} parameters`),
    );
    const [figure, box] = [this.figure.getBoundingClientRect(), svg.getBoundingClientRect()];
    const left = box.left - figure.left + scale * x(model.parameters);
    const top = box.top - figure.top + scale * y(model.top1);
    const room = figure.width - this.tip.offsetWidth - 4;
    this.tip.style.left = `${Math.max(4, Math.min(room, left - this.tip.offsetWidth / 2))}px`;
    this.tip.style.top = `${top > this.tip.offsetHeight + 24 ? top - this.tip.offsetHeight - 14 : top + 14}px`;
  }

  async move(drawing, event) {
    if (!models) {
      await prepare();
    }
    if (this.figure.matches(":hover")) { // still, when the list had to be loaded
      this.point(this.nearest(drawing, event), drawing);
    }
  }

  // A mouse has shown the name before; a finger shows it first, with a link.
  async click(drawing, event) {
    await prepare();
    const model = this.nearest(drawing, event);
    this.point(model, drawing);
    if (model && event.pointerType === "mouse") {
      location.href = addressOf(model);
    }
  }
}

// The list ------------------------------------------------------------------------------------------------------------
const table = document.querySelector("table.modules");
const part = (name) => document.getElementById(name);
const plots = Array.from(form ? document.querySelectorAll("figure.plot") : [], (figure) => new Plot(figure));
const rows = new Map(); // those that were drawn before, by model
let models = null; // all, once they are loaded
let limit = PAGE;
let sort = "";
let chosen = []; // ids, to compare
let drawn = 0; // how often rows were drawn

function readState() {
  return Object.fromEntries(FIELDS.map((name) => [name, form.elements[name]?.value ?? ""]));
}

// Loads the models, shows in the plots which match, and returns whether that was possible.
async function prepare() {
  try {
    if (!models) {
      models = await load();
      const known = new Set(models.map((model) => model.id));
      chosen = chosen.filter((id) => known.has(id));
      plots.forEach((plot) => plot.show(models, new Set(models), ""));
    }
    return true;
  } catch (error) {
    part("modelCount").textContent = error.message;
    return false;
  }
}

async function apply(isWhole = false) {
  if (models || (await prepare())) {
    draw(isWhole);
  }
  writeAddress();
}

// Shows the models that match. Unless all of it is to be there at once, the rows below the window and the dots of large plots
// follow when the rest is painted; another key before that spares them.
function draw(isWhole) {
  const state = readState();
  const matches = (sort ? sorted(models, sort) : models).filter(makeTest(state));
  const shown = matches.slice(0, limit);
  const first = isWhole ? shown.length : SCREEN;
  table.tBodies[0].replaceChildren(...shown.slice(0, first).map(rowOf));
  const all = listing.grouped(models.length);
  part("modelCount").textContent = matches.length === models.length ? all : `${listing.grouped(matches.length)} of ${all}`;
  const nothing = part("noModels");
  nothing.hidden = matches.length > 0;
  table.parentElement.hidden = matches.length === 0;
  nothing.querySelector("span").textContent = state.find.trim() ? ` “${state.find.trim()}”` : " these filters";
  offerMore(matches.length - shown.length);
  showSort();
  showChoice();
  const finish = () => {
    table.tBodies[0].append(...shown.slice(first).map(rowOf));
    showChoice();
    const set = new Set(matches);
    plots.forEach((plot) => plot.show(models, set, state.dataset));
  };
  drawn += 1;
  if (shown.length <= first) {
    finish();
  } else {
    const turn = drawn;
    requestAnimationFrame(() => setTimeout(() => turn === drawn && finish()));
  }
}

function rowOf(model) {
  if (!rows.has(model)) {
    const row = makeRow(model, table.classList.contains("pictured"));
    addChoice(row);
    rows.set(model, row);
  }
  return rows.get(model);
}

function offerMore(left) {
  part("moreModels").hidden = left <= 0;
  part("moreModels").textContent = `Show ${listing.grouped(Math.min(PAGE, left))} more of ${listing.grouped(left)}`;
}

function showSort() {
  for (const heading of table.tHead.querySelectorAll("[data-key]")) {
    const { key } = heading.dataset;
    if (sort === key || sort === `-${key}`) {
      heading.setAttribute("aria-sort", sort === key ? "ascending" : "descending");
    } else {
      heading.removeAttribute("aria-sort");
    }
  }
}

function makeSortable(heading) {
  const { key } = heading.dataset;
  const button = make("button", { type: "button" }, heading.textContent);
  heading.replaceChildren(button);
  button.addEventListener("click", () => {
    const [first, other] = FIRST_DOWN.includes(key) ? [`-${key}`, key] : [key, `-${key}`];
    sort = sort === first ? other : first;
    apply();
  });
}

// The address ---------------------------------------------------------------------------------------------------------
function writeAddress() {
  const state = { ...readState(), sort, compare: chosen.join(",") };
  const query = new URLSearchParams(Object.entries(state).filter(([, value]) => value)).toString();
  const plain = query.replaceAll("%2F", "/").replaceAll("%2C", ",");
  history.replaceState(null, "", plain ? `#${plain}` : location.pathname + location.search);
}

function readAddress() {
  const query = new URLSearchParams(location.hash.slice(1));
  for (const name of FIELDS.filter((field) => form.elements[field])) {
    form.elements[name].value = query.get(name) ?? "";
  }
  const keys = Array.from(table.tHead.querySelectorAll("[data-key]"), (heading) => heading.dataset.key);
  sort = keys.includes((query.get("sort") ?? "").replace(/^-/, "")) ? query.get("sort") : "";
  chosen = [...new Set((query.get("compare") ?? "").split(",").filter(Boolean))].slice(0, MOST);
}

// The choice of models to compare ---------------------------------------------------------------------------------------
function addChoice(row) {
  const name = row.querySelector(".name").textContent;
  const box = make("input", { type: "checkbox", "aria-label": `Compare ${name}` });
  box.addEventListener("change", () => {
    const { model } = row.dataset;
    chosen = box.checked ? [...chosen, model] : chosen.filter((id) => id !== model);
    showChoice();
    writeAddress();
  });
  row.append(make("td", { class: "pick" }, make("label", {}, box)));
}

function showChoice() {
  for (const row of table.tBodies[0].rows) {
    const box = row.querySelector(".pick input");
    box.checked = chosen.includes(row.dataset.model);
    box.disabled = !box.checked && chosen.length >= MOST;
  }
  const bar = part("chosenModels");
  bar.hidden = chosen.length === 0;
  const [text, link] = [bar.querySelector("p"), bar.querySelector("a")];
  const more = chosen.length < 2 ? ": choose another one" : chosen.length < MOST ? "" : ", the most";
  text.textContent = `${chosen.length} model${chosen.length === 1 ? "" : "s"} chosen${more}`;
  link.hidden = chosen.length < 2;
  link.href = `${about("comparison")}#models=${chosen.join(",")}`;
}

// The row under the pointer or the focus marks its dot.
function markDot(event) {
  const row = event.target.closest("tr[data-model]");
  const model = row && models?.find(({ id }) => id === row.dataset.model);
  plots.forEach((plot) => plot.mark(model && plot.models.includes(model) ? model : null));
}

function start() {
  table.tHead.querySelectorAll("[data-key]").forEach(makeSortable);
  table.tHead.rows[0].append(make("th", { scope: "col", class: "pick" }, make("span", {}, "Compare")));
  Array.from(table.tBodies[0].rows).forEach(addChoice);
  document.querySelectorAll(".pager").forEach((pager) => pager.remove());
  const count = Number(about("count"));
  part("modelCount").textContent = listing.grouped(count);
  offerMore(count - table.tBodies[0].rows.length);
  part("moreModels").addEventListener("click", async () => {
    const before = table.tBodies[0].rows.length;
    limit += PAGE;
    await apply(true);
    table.tBodies[0].rows[before]?.querySelector(".name").focus();
  });
  form.addEventListener("input", () => {
    limit = PAGE;
    apply();
  });
  form.addEventListener("reset", () => {
    limit = PAGE;
    setTimeout(apply); // when the fields are empty
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  part("noModels").querySelector("button").addEventListener("click", () => {
    form.reset();
    form.elements.find.focus();
  });
  part("chosenModels").querySelector("button").addEventListener("click", () => {
    chosen = [];
    showChoice();
    writeAddress();
    table.tHead.querySelector("button").focus();
  });
  for (const [target, type] of [[form, "focusin"], [form, "pointerenter"], [table, "pointerenter"], [table, "focusin"]]) {
    target.addEventListener(type, prepare, { once: true });
  }
  table.addEventListener("pointerover", markDot);
  table.addEventListener("focusin", markDot);
  table.addEventListener("pointerleave", () => plots.forEach((plot) => plot.mark(null)));
  addEventListener("keydown", (event) => event.key === "Escape" && plots.forEach((plot) => plot.point(null)));
  addEventListener("hashchange", () => {
    if (location.hash.includes("=")) { // another state, and not a place on the page
      readAddress();
      apply();
    }
  });
  form.hidden = false;
  readAddress();
  part("moreFilters").open = FIELDS.slice(1).some((name) => form.elements[name]?.value) || matchMedia("(min-width: 60rem)").matches;
  if (location.hash.includes("=")) {
    apply();
  }
}

if (form) {
  start();
}
}
