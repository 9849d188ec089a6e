// The comparison of models: a column for each that the address names after #models=, from site/models.js.
"use strict";

{
const { make } = listing;
const MOST = 4;
const place = document.getElementById("comparison");
const { root } = place.dataset;

const addressOf = (model, number = 0) => `${root}${encodeURI(listing.pathOf(model, number))}.html`;
const how = (text) => make("span", { class: "how block" }, text);
const known = (value, write) => (value === null || value === undefined ? [make("span", { class: "none" }, "unknown")] : write(value));

function linkModules(model) {
  return [make("ul", {}, ...model.modules.map((module, number) =>
    make("li", {}, make("a", { href: addressOf(model, number) }, model.kinds[number]), ` version ${module.split("/")[1]}`)))];
}

// The rows: their heading, and what a model's cell has.
const ROWS = [
  ["Top-1 accuracy", (model) => known(model.top1, (top1) => [
    make("strong", {}, listing.percent(top1)), ` ${model.origin}`,
    ...(model.interval ? [how(`95 % interval ${listing.percent(model.interval[0])} to ${listing.percent(model.interval[1])}`)] : []),
    how(model.where),
  ])],
  ["Data set", (model) => known(model.dataset, (text) => [text])],
  ["Architecture", (model) => known(model.architecture || null, (text) => [text])],
  ["Input", (model) => known(model.imageSize, (side) => [`${side}x${side} pixels`])],
  ["Parameters", (model) => known(model.parameters, (count) => [listing.grouped(count)])],
  ["Download", (model) => [listing.megabytes(model.download)]],
  ["Unpacked", (model) => known(model.unpacked, (bytes) => [listing.megabytes(bytes)])],
  ["Speed", (model) => known(model.speed, (speed) => [
    `${speed >= 10 ? listing.grouped(speed) : speed.toPrecision(2)} images/s`, how("during evaluation, on the publisher's machine"),
  ])],
  ["Formats", (model) => [make("ul", {}, ...model.formats.map((title) => make("li", {}, title)))]],
  ["TensorFlow", (model) => known(model.tensorflow, (version) => [`${version} or newer`])],
  ["Licence", (model) => known(model.licence, (text) => [text])],
  ["Weights", (model) => known(model.weights, (text) => [text])],
  ["Publisher", (model) => [make("a", { href: `${root}${encodeURI(`${model.publisher}/${model.publisher}`)}.html` }, model.publisherName)]],
  ["Modules", linkModules],
];

function readIds() {
  const ids = new URLSearchParams(location.hash.slice(1)).get("models") ?? "";
  return [...new Set(ids.split(",").filter(Boolean))];
}

function remove(id) {
  const left = readIds().filter((other) => other !== id);
  location.hash = left.length ? `models=${left.join(",")}` : "models=";
}

function headOf(model) {
  const button = make("button", { type: "button", "aria-label": `Remove ${model.title}` }, "Remove");
  button.addEventListener("click", () => remove(model.id));
  const picture = model.picture ? [make("img", { src: root + encodeURI(model.picture), alt: "", width: 40, height: 40 })] : [];
  const marks = model.marks.flatMap((word) => [" ", make("span", { class: `mark ${word}` }, word)]);
  return make("th", { scope: "col" }, ...picture, make("a", { href: addressOf(model) }, model.title), ...marks, how(model.id), button);
}

function tableOf(models) {
  const head = make("tr", {}, make("td"), ...models.map(headOf));
  const body = ROWS.map(([name, write]) =>
    make("tr", {}, make("th", { scope: "row" }, name), ...models.map((model) => make("td", {}, ...write(model)))));
  const table = make("table", { class: "comparison" }, make("thead", {}, head), make("tbody", {}, ...body));
  return make("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "Comparison" }, table);
}

// What a reader should know before comparing the figures.
function noticesOf(models, missing) {
  const datasets = new Set(models.map((model) => model.dataset));
  const origins = new Set(models.map((model) => model.origin).filter(Boolean));
  const notices = missing.map((id) => `This hub lists no model ${id}.`);
  if (datasets.size > 1) {
    notices.push("These models have the classes of different data sets: their accuracies cannot be compared.");
  } else if (origins.size > 1) {
    notices.push("Some accuracies were measured on the published files, others are reported by others: they may be of different images.");
  }
  if (models.filter((model) => model.speed !== null).length > 1) {
    notices.push("Speeds were measured on publishers' machines, which may differ.");
  }
  return notices.map((text) => make("p", { class: "notice" }, text));
}

function show() {
  const ids = readIds();
  const models = listing.unpack(self.hubModels);
  const byId = new Map(models.map((model) => [model.id, model]));
  const listed = ids.map((id) => byId.get(id)).filter(Boolean).slice(0, MOST);
  const missing = ids.filter((id) => !byId.has(id)).slice(0, MOST);
  const back = make("a", { href: `${root}index.html${listed.length ? `#compare=${listed.map(({ id }) => id).join(",")}` : ""}` },
    listed.length ? (listed.length < MOST ? "Add or change models" : "Change models") : "Choose models");
  const advice = listed.length > 1 ? "The address of this page keeps the choice." : "Choose two to four models in the list, by their boxes in the column Compare.";
  place.replaceChildren(
    make("p", { class: "lede" }, `${advice} `, back),
    ...noticesOf(listed, missing),
    ...(listed.length ? [tableOf(listed)] : []),
  );
}

if (self.hubModels) {
  addEventListener("hashchange", () => location.hash.includes("=") && show());
  show();
} else {
  place.append(make("p", { class: "notice warning" }, "The list of models could not be loaded: check the connection, then reload the page."));
}
}
