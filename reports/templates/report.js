"use strict";
// Tables sort by a click on a column's head; without this script they are read as they are.
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  if (!body || body.rows.length < 3) continue;
  table.querySelectorAll("tr.heads th").forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sort(table, head, column));
  });
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
  const order = (a, b) => (numeric ? a - b : a.localeCompare(b, "en", { numeric: true }));
  const rows = [...table.tBodies[0].rows].map((row) => ({ row, key: key(row) }));
  rows.sort((a, b) => {
    // Cells without a value stay last, whichever way the column is sorted.
    const gaps = Number.isNaN(a.key) - Number.isNaN(b.key);
    return gaps || (up ? order(a.key, b.key) : order(b.key, a.key));
  });
  table.tBodies[0].append(...rows.map(({ row }) => row));
}

// On a narrow page the contents start folded; on paper nothing is.
const contents = document.querySelector("nav details");
if (window.matchMedia("(max-width: 74rem)").matches) contents.open = false;
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
