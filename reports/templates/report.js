"use strict";
// Tables sort by a click on a column's head, are filtered by words, and are copied as LaTeX;
// without this script they are read as they are, and both files are links.
const FILTERED = 8;

for (const [number, table] of document.querySelectorAll("table").entries()) {
  const packed = table.closest(".scroll").parentElement.querySelector("script.rows");
  if (!packed) {
    prepare(table, number);
    continue;
  }
  const folded = table.closest("details");
  const open = () => {
    if (table.tBodies[0].rows.length) return;
    build(table, JSON.parse(packed.textContent));
    prepare(table, number);
  };
  folded.addEventListener("toggle", () => folded.open && open());
  window.addEventListener("beforeprint", open);
}

function prepare(table, number) {
  const body = table.tBodies[0];
  if (!body || body.rows.length < 3) return;
  table.querySelectorAll("tr.heads th").forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sort(table, head, column));
  });
  if (body.rows.length >= FILTERED) addFilter(table, number);
}

// Rows as the template sets them; text from the data is only ever set as text.
function build(table, rows) {
  const heads = [...table.querySelectorAll("tr.heads th")].map((head) => head.classList);
  const made = rows.map((cells) => {
    const row = document.createElement("tr");
    cells.forEach((packed, column) => {
      const [text, sort, sub, mark, tone] = Array.isArray(packed) ? packed : [packed];
      const cell = document.createElement(column ? "td" : "th");
      if (!column) cell.scope = "row";
      cell.append(text);
      const numeric = heads[column].contains("number");
      const code = heads[column].contains("code");
      if (numeric) cell.classList.add("number");
      if (code) cell.classList.add("digest");
      if (text.length > 60 && !code) cell.classList.add("prose");
      if (tone) cell.classList.add(tone);
      if (sort !== null && sort !== undefined) cell.dataset.sort = sort;
      if (mark) cell.append(Object.assign(document.createElement("sup"), { textContent: `(${mark})` }));
      if (sub) cell.append(Object.assign(document.createElement("small"), { textContent: sub }));
      row.append(cell);
    });
    return row;
  });
  table.tBodies[0].append(...made);
}

function sort(table, head, column) {
  const falls = head.getAttribute("aria-sort") === "descending";
  const numeric = head.classList.contains("number");
  const up = numeric ? falls : head.getAttribute("aria-sort") !== "ascending";
  for (const other of table.querySelectorAll("tr.heads th")) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  const key = (row) => {
    const cell = row.cells[column];
    return numeric ? parseFloat(cell.dataset.sort ?? "NaN") : cell.textContent.trim();
  };
  const words = new Intl.Collator("en", { numeric: true });
  const order = (a, b) => (numeric ? a - b : words.compare(a, b));
  const rows = [...table.tBodies[0].rows].map((row) => ({ row, key: key(row) }));
  rows.sort((a, b) => {
    // Cells without a value stay last, whichever way the column is sorted.
    const gaps = Number.isNaN(a.key) - Number.isNaN(b.key);
    return gaps || (up ? order(a.key, b.key) : order(b.key, a.key));
  });
  table.tBodies[0].append(...rows.map(({ row }) => row));
}

function addFilter(table, number) {
  const rows = [...table.tBodies[0].rows];
  const line = document.createElement("p");
  const label = document.createElement("label");
  const input = document.createElement("input");
  const said = document.createElement("span");
  line.className = "filter";
  input.type = "search";
  input.id = `filter-${number}`;
  label.htmlFor = input.id;
  const unseen = document.createElement("span");
  unseen.className = "unseen";
  unseen.textContent = ` in “${table.caption.textContent.trim()}”`;
  label.append("Rows with", unseen);
  said.setAttribute("role", "status");
  line.append(label, input, said);
  // Above a table that is longer than a screen, else below it, beside its files.
  const scroll = table.closest(".scroll");
  if (rows.length > 24) scroll.before(line);
  else scroll.parentElement.querySelector(".take").before(line);
  let texts = null;
  input.addEventListener("input", () => {
    // Read once, at the first letter: ten thousand rows cost a moment then, and none before.
    texts ??= rows.map((row) =>
      [...row.cells].map((cell) => cell.textContent).join(" ").toLocaleLowerCase("en"),
    );
    const wanted = input.value.toLocaleLowerCase("en").split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, place) => {
      row.hidden = !wanted.every((word) => texts[place].includes(word));
      if (!row.hidden) shown += 1;
    });
    const all = rows.length.toLocaleString("en");
    said.textContent = wanted.length ? `${shown.toLocaleString("en")} of ${all} rows` : "";
  });
}

for (const link of document.querySelectorAll("a.latex")) {
  if (!navigator.clipboard) break;
  const button = document.createElement("button");
  const said = document.createElement("span");
  button.type = "button";
  button.textContent = "Copy LaTeX";
  button.setAttribute("aria-label", `Copy ${link.getAttribute("aria-label")}`);
  said.setAttribute("role", "status");
  link.after(button, said);
  button.addEventListener("click", async () => {
    const [, data] = link.getAttribute("href").split(/,(.*)/s);
    try {
      await navigator.clipboard.writeText(decodeURIComponent(data));
      said.textContent = "copied";
    } catch {
      said.textContent = "the browser refused: save the file instead";
    }
  });
}

// A clip is in the page once, whatever the number of its players; two are never heard at a time.
for (const again of document.querySelectorAll("audio[data-as]")) {
  again.src = document.getElementById(again.dataset.as).src;
}
document.addEventListener(
  "play",
  (event) => {
    for (const other of document.querySelectorAll("audio")) {
      if (other !== event.target) other.pause();
    }
  },
  true,
);

// On a narrow page the contents start folded; on paper nothing is.
const contents = document.querySelector("nav details");
if (contents && window.matchMedia("(max-width: 74rem)").matches) contents.open = false;
const folded = [];
window.addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("main details:not([open])")) {
    part.open = true;
    folded.push(part);
  }
});
window.addEventListener("afterprint", () => {
  for (const part of folded.splice(0)) part.open = false;
});
