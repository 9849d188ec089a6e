// Adds what pages cannot do by themselves: buttons that copy, columns that sort, tabs, "Try it" on modules' pages. start.js
// does so for lists of models. Without these scripts all of the content is there, sorted by title.
"use strict";

// Copy buttons. A page opened from a disk has no clipboard API in some browsers; there the text is selected and copied by
// the old command.
function copyText(text, element) {
  if (navigator.clipboard) {
    return navigator.clipboard.writeText(text);
  }
  const range = document.createRange();
  range.selectNodeContents(element);
  getSelection().removeAllRanges();
  getSelection().addRange(range);
  return document.execCommand("copy") ? Promise.resolve() : Promise.reject(new Error("copying is not allowed here"));
}

function addCopyButton(block) {
  const code = block.querySelector("code");
  const label = block.querySelector("pre").getAttribute("aria-label");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  const reset = () => {
    button.textContent = "Copy";
    button.setAttribute("aria-label", `Copy: ${label}`);
  };
  const show = (message) => {
    button.textContent = message;
    button.setAttribute("aria-label", message);
    setTimeout(reset, 2000);
  };
  reset();
  button.addEventListener("click", () => {
    copyText(code.textContent.trimEnd(), code).then(() => show("Copied"), () => show("Press Ctrl+C"));
  });
  block.append(button);
}

document.querySelectorAll(".code").forEach(addCopyButton);

// Sortable tables: the name of each column becomes a button. Rows without a value stay last.
function valueOf(row, column) {
  const cell = row.cells[column];
  if (cell.dataset.value === undefined) {
    return cell.textContent.trim().toLowerCase() || null;
  }
  return cell.dataset.value === "" ? null : Number(cell.dataset.value);
}

function sortBy(table, column, direction) {
  const sign = direction === "ascending" ? 1 : -1;
  const keyed = Array.from(table.tBodies[0].rows, (row) => [valueOf(row, column), row]);
  const collator = new Intl.Collator("en", { numeric: true });
  keyed.sort(([a], [b]) => {
    if (a === null || b === null) {
      return (a === null) - (b === null);
    }
    return sign * (typeof a === "number" ? a - b : collator.compare(a, b));
  });
  table.tBodies[0].append(...keyed.map(([, row]) => row));
}

function makeSortable(table) {
  const headings = Array.from(table.tHead.rows[0].cells);
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent;
    heading.replaceChildren(button);
    button.addEventListener("click", () => {
      const direction = heading.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
      headings.forEach((cell) => cell.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", direction);
      sortBy(table, column, direction);
    });
  });
}

document.querySelectorAll("table.sortable").forEach(makeSortable);

// Returns the element that the address names after its #; null where it names none, or is no text.
function findTarget() {
  try {
    return location.hash ? document.getElementById(decodeURIComponent(location.hash.slice(1))) : null;
  } catch {
    return null;
  }
}

// Tabs: the sections of a block become panels, one of which is shown; arrow keys, Home and End move between their names. A
// link to a heading opens its tab. Printing shows all of them.
function makeTabs(block) {
  const panels = Array.from(block.querySelectorAll(":scope > .tab"));
  const list = document.createElement("div");
  list.className = "tablist";
  list.setAttribute("role", "tablist");
  list.setAttribute("aria-label", "Ways to run it");
  const tabs = panels.map((panel) => {
    const heading = panel.querySelector("h3");
    const tab = document.createElement("button");
    tab.type = "button";
    tab.id = `tab-${heading.id}`;
    tab.textContent = heading.textContent;
    tab.setAttribute("role", "tab");
    panel.id = `panel-${heading.id}`;
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", tab.id);
    tab.setAttribute("aria-controls", panel.id);
    return tab;
  });
  const select = (chosen) => tabs.forEach((tab, number) => {
    tab.setAttribute("aria-selected", String(number === chosen));
    tab.tabIndex = number === chosen ? 0 : -1;
    panels[number].hidden = number !== chosen;
  });
  const follow = () => {
    const target = findTarget();
    const number = target ? panels.findIndex((panel) => panel.contains(target)) : -1;
    if (number >= 0) {
      select(number);
      target.scrollIntoView();
    }
  };
  tabs.forEach((tab, number) => tab.addEventListener("click", () => select(number)));
  list.addEventListener("keydown", (event) => {
    const at = tabs.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (to !== undefined) {
      const next = (to + tabs.length) % tabs.length;
      select(next);
      tabs[next].focus();
      event.preventDefault();
    }
  });
  list.append(...tabs);
  block.prepend(list);
  block.dataset.ready = "";
  select(0);
  follow();
  addEventListener("hashchange", follow);
}

document.querySelectorAll(".tabs").forEach(makeTabs);

// A link into a folded section opens it; printing opens all.
function openFolded() {
  const target = findTarget();
  for (let fold = target && target.closest("details"); fold; fold = fold.parentElement.closest("details")) {
    fold.open = true;
  }
}

addEventListener("hashchange", openFolded);
addEventListener("beforeprint", () => document.querySelectorAll("main details").forEach((fold) => { fold.open = true; }));
openFolded();

// "Try it": the script and the model are loaded by the click.
const FROM_DISK =
  "This page was opened from a disk, where browsers let no page load a model. Run “python -m http.server” in the hub's" +
  " folder, and open the address that it prints.";

async function loadTrial(section) {
  const { open } = await import("./try.js").catch(() => {
    throw new Error("A script of this page could not be loaded: check the connection, then reload the page.");
  });
  await open(section);
}

function offerTrial(section) {
  const [button, progress, state, panel] = ["button", "progress", ".state", ".panel"].map((name) => section.querySelector(name));
  if (location.protocol === "file:") {
    button.disabled = true;
    state.textContent = FROM_DISK;
    return;
  }
  button.addEventListener("click", async () => {
    panel.hidden = progress.hidden = false;
    button.hidden = true;
    state.classList.remove("problem");
    state.textContent = "Loading the model…";
    try {
      await loadTrial(section);
      panel.disabled = false;
    } catch (error) {
      state.textContent = error.message;
      state.classList.add("problem");
      button.hidden = false;
    }
    progress.hidden = true;
    if (document.activeElement === document.body) { // the button that had the focus was hidden
      (panel.disabled ? button : panel.querySelector("button")).focus();
    }
  });
}

document.querySelectorAll(".trial").forEach(offerTrial);
