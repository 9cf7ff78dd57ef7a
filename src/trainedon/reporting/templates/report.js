"use strict";
// The page is whole without this. It sorts, filters and pages the table of all pictures, and enlarges pictures.
// What comes from a run is read and written as text alone, never as markup.
const PAGE = 50;
const byId = (id) => document.getElementById(id);
const made = (tag, text, kind) => {
  const element = document.createElement(tag);
  element.textContent = text;
  if (kind) element.className = kind;
  return element;
};

function pictureTable(table) {
  const body = table.tBodies[0], tools = byId("tools"), pager = byId("pager"), told = byId("told");
  const search = byId("search"), selects = [...tools.querySelectorAll("select")];
  const lines = [...body.rows].map((row, place) => ({
    row, place, cells: [...row.cells].map((cell) => cell.textContent.trim()), text: row.textContent.toLowerCase(),
    full: [...row.querySelectorAll("[title]")].map((one) => one.title.toLowerCase()).join("\n"),
  }));
  let order = lines, found = lines, page = 0;

  const number = (text) => parseFloat(text.replace(/\s/g, "").replaceAll("−", "-").replace(",", "."));
  const compare = (column, numeric) => (a, b) => {
    const [x, y] = [a.cells[column], b.cells[column]];
    if (!numeric) return x.localeCompare(y, document.documentElement.lang, { numeric: true });
    const [m, n] = [number(x), number(y)];
    return Number.isNaN(m) || Number.isNaN(n) ? Number.isNaN(m) - Number.isNaN(n) : m - n;
  };

  const kind = (one, select) => one.cells[select.dataset.column].split(":")[0]; // without a reason behind

  function show() {
    const last = Math.max(0, Math.ceil(found.length / PAGE) - 1);
    page = Math.min(Math.max(page, 0), last);
    const wanted = new Set(found), open = new Set(found.slice(page * PAGE, (page + 1) * PAGE));
    for (const one of lines) {
      one.row.classList.toggle("out", !wanted.has(one));
      one.row.classList.toggle("off", wanted.has(one) && !open.has(one));
    }
    const [first, end] = [found.length ? page * PAGE + 1 : 0, Math.min((page + 1) * PAGE, found.length)];
    told.textContent = told.dataset.said.replace("{first}", first).replace("{last}", end)
      .replace("{found}", found.length).replace("{all}", lines.length);
    const [before, after] = pager.querySelectorAll("button");
    before.disabled = page === 0;
    after.disabled = page === last;
  }
  function filter() {
    const asked = search.value.trim().toLowerCase();
    found = order.filter((one) => (one.text.includes(asked) || one.full.includes(asked))
      && selects.every((select) => !select.value || kind(one, select) === select.value));
    page = 0;
    show();
  }
  function sortBy(head, column, numeric) {
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const by = compare(column, numeric);
    order = [...lines].sort((a, b) => {
      const missing = numeric && (Number.isNaN(number(a.cells[column])) || Number.isNaN(number(b.cells[column])));
      return (up || missing ? by(a, b) : by(b, a)) || a.place - b.place;
    });
    body.append(...order.map((one) => one.row));
    filter();
  }

  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = made("button", head.textContent.trim());
    button.type = "button";
    button.addEventListener("click", () => sortBy(head, column, "number" in head.dataset));
    head.replaceChildren(button);
  });
  for (const select of selects) {
    const values = [...new Set(lines.map((one) => kind(one, select)))];
    select.append(...values.map((value) => made("option", value)));
    select.parentElement.hidden = values.length < 2;
    select.addEventListener("change", filter);
  }
  search.addEventListener("input", filter);
  pager.querySelectorAll("button").forEach((button, after) => button.addEventListener("click", () => {
    page += after ? 1 : -1;
    show();
  }));
  tools.hidden = pager.hidden = false;
  show();
  return (row) => { // the page of the table that a row is on
    const place = found.findIndex((one) => one.row === row);
    if (place >= 0) { page = Math.floor(place / PAGE); show(); }
  };
}

function zoom(dialog) {
  const image = document.createElement("img"), caption = dialog.querySelector("p"), file = dialog.querySelector("a");
  let group = [], place = 0;
  function show() {
    const link = group[place], own = link.querySelector("img");
    image.src = own.src;
    image.alt = own.alt;
    image.className = own.className;
    dialog.prepend(image);
    caption.textContent = own.alt;
    file.href = link.href;
    file.hidden = link.getAttribute("href").startsWith("#"); // a copy of the page that no files lie beside
  }
  const step = (by) => { place = (place + by + group.length) % group.length; show(); };
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a.zoom");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    group = [...link.closest(".figures, .pair, .best").querySelectorAll("a.zoom")];
    place = group.indexOf(link);
    show();
    dialog.showModal();
  });
  dialog.addEventListener("click", (event) => { if (event.target !== file) dialog.close(); });
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowRight") step(1);
    if (event.key === "ArrowLeft") step(-1);
  });
}

const table = byId("every"), turnTo = table ? pictureTable(table) : null;
zoom(byId("zoom"));
function reveal() { // an address that ends in a picture leads to it, folded away or not
  const target = byId(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let fold = target.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  if (turnTo && target.matches("#every tr")) turnTo(target);
  target.scrollIntoView();
}
addEventListener("hashchange", reveal);
if (location.hash) reveal();
