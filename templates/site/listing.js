// What the start page, publishers' pages and the comparison share: reading site/models.js, and writing figures as the
// templates do.
"use strict";

const listing = (() => {
  // Returns an element; its children are elements or texts, which are never read as markup.
  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }

  // Returns the models of site/models.js as objects; pipeline/hub/catalogue.py says what the fields are.
  function unpack({ fields, tabled, values, rows, publishers }) {
    const columns = fields.map((field) => [field, tabled.includes(field)]);
    return rows.map((row) => {
      const model = {};
      columns.forEach(([field, isTabled], column) => {
        model[field] = isTabled ? values[row[column]] : row[column];
      });
      model.id = `${model.publisher}/${model.modules[0].split("/")[0]}`;
      model.publisherName = publishers[model.publisher] ?? model.publisher;
      return model;
    });
  }

  // Returns a number with some decimals as Python writes it: of two that are equally near, the one with an even digit.
  function fixed(value, decimals) {
    const text = value.toFixed(decimals);
    const isTie = /^50*$/.test(value.toFixed(decimals + 60).slice(text.length + (decimals === 0)));
    const even = isTie && Number(text.at(-1)) % 2 ? value - 0.5 * 10 ** -decimals : Number(text);
    const [whole, part] = (isTie ? even.toFixed(decimals) : text).split(".");
    const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",");
    return part === undefined ? grouped : `${grouped}.${part}`;
  }

  return {
    make,
    unpack,
    grouped: (count) => fixed(count, 0),
    percent: (share) => `${fixed(100 * share, 2)} %`,
    millions: (count) => `${fixed(count / 1e6, 1)} M`,
    megabytes: (bytes) => `${fixed(bytes / 1e6, 1)} MB`,
    pathOf: (model, number = 0) => `${model.publisher}/${model.modules[number]}`,
  };
})();
