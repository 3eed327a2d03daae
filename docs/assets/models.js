/* The table of models: asked, sorted, and what is shown kept in the address, to be sent and gone back to.
   Without this script it is a plain table. */
(() => {
  "use strict";

  const { parse, matches, readSort, ordered } = globalThis.effccQuery;
  const table = document.querySelector(".models table");
  if (!table) return;
  const heads = [...table.tHead.rows[0].cells];
  const columns = heads.map((head) => head.querySelector("[data-field]").dataset.field);
  const body = table.tBodies[0];
  const rows = [...body.rows].map(readRow);

  function readRow(element) {
    const row = { element, results: [] };
    columns.forEach((field, number) => {
      const cell = element.cells[number];
      const values = [...cell.querySelectorAll("data")];
      const [kind, of] = field.split(".");
      if (of) {
        row.results.push(...values.map((value) => readResult(kind, value)));
      } else if (field === "name") {
        row.name = cell.querySelector("a").textContent;
        row.summary = cell.querySelector("small").textContent;
      } else if (values.length) {
        row[field] = Number(values[0].value);
      } else {
        row[field] = cell.textContent.trim() ? Number(cell.textContent) : null;
      }
    });
    const figure = (field) => element.cells[columns.indexOf(field)].querySelector("data");
    row["claimed.params"] = numberOf(figure("params").dataset.claimed);
    row["claimed.flops"] = numberOf(figure("macs").dataset.claimed);
    return row;
  }

  function readResult(kind, value) {
    const dataset = value.nextElementSibling.textContent;
    const top1 = numberOf(value.getAttribute("value") ?? undefined);
    return { kind, dataset, top1, top5: numberOf(value.dataset.top5) };
  }

  function numberOf(text) {
    return text === undefined ? null : Number(text);
  }

  // What is asked and how it is sorted; the elements that say so.
  const view = { q: "", sort: "" };
  const [form, box, count, wrong, none] = controls();
  const SLICE = 50; // rows that are shown at a time
  let inOrder = rows;
  let missorted = ""; // what is wrong with what an address says of the order
  let lastRead = parse("").query;
  let revealLater = 0;
  let rememberLater = 0;
  let isTyping = false;

  function controls() {
    const make = (tag, attributes, ...children) => {
      const element = document.createElement(tag);
      for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
      element.append(...children);
      return element;
    };
    const input = make("input", {
      id: "models-query",
      type: "search",
      placeholder: "top1>78 dataset:ImageNet",
      autocomplete: "off",
      autocapitalize: "off",
      spellcheck: "false",
      "aria-describedby": "models-wrong",
    });
    const said = make("output", { for: "models-query" });
    const problems = make("div", { id: "models-wrong", class: "models-wrong", "aria-live": "polite" });
    const label = make("label", { for: "models-query" }, "Filter");
    const help = make("button", { type: "button", class: "models-help" }, "Help");
    help.addEventListener("click", () => {
      const details = document.querySelector(".models ~ details");
      details.open = true;
      details.querySelector("summary").focus();
      details.scrollIntoView();
    });
    const parts = [label, input, help, said, problems];
    const search = make("form", { class: "models-filter", role: "search", "aria-label": "Models" }, ...parts);
    const all = make("button", { type: "button" }, "Show all");
    const empty = make("p", { class: "models-none", hidden: "" }, "No variant meets all of this. ", all);
    all.addEventListener("click", () => {
      input.focus();
      go({ ...view, q: "" });
    });
    return [search, input, said, problems, empty];
  }

  /** Bring the page to what is asked; of questions that cannot be read, to the one before. */
  function show() {
    const { query, problems = [] } = parse(view.q);
    const told = problems.map(({ at, key, message }) => `At character ${at}: ${key && `${key}: `}${message}`);
    if (missorted) told.push(`The address, sort: ${missorted}`);
    wrong.replaceChildren(
      ...told.map((text) => {
        const line = document.createElement("p");
        line.textContent = text;
        return line;
      }),
    );
    box.setAttribute("aria-invalid", String(problems.length > 0));
    lastRead = query ?? lastRead;
    const asked = inOrder.filter((row) => matches(lastRead, row));
    reveal(asked);
    const shown = asked.length;
    const total = `${rows.length.toLocaleString("en")} variant${rows.length === 1 ? "" : "s"}`;
    count.value = shown === rows.length ? total : `${shown.toLocaleString("en")} of ${total}`;
    none.hidden = shown > 0;
  }

  // To lay out a thousand rows takes longer than a key should wait: the first ones are shown at once,
  // the others slice by slice, and not at all if something else is asked meanwhile.
  function reveal(asked) {
    clearTimeout(revealLater);
    const wanted = new Set(asked);
    for (const row of rows) if (!wanted.has(row)) row.element.hidden = true;
    const next = (from) => {
      for (const row of asked.slice(from, from + SLICE)) row.element.hidden = false;
      const further = asked.findIndex((row, number) => number >= from + SLICE && row.element.hidden);
      if (further > 0) revealLater = setTimeout(next, 0, further);
    };
    next(0);
  }

  function sort() {
    inOrder = ordered(rows, view.sort);
    // What is hidden is moved quickly.
    if (rows.length > SLICE) for (const row of rows) row.element.hidden = true;
    body.append(...inOrder.map((row) => row.element));
    heads.forEach((head, number) => {
      const direction = { [columns[number]]: "ascending", [`-${columns[number]}`]: "descending" }[view.sort];
      if (direction) head.setAttribute("aria-sort", direction);
      else head.removeAttribute("aria-sort");
    });
  }

  /** Show something else, and remember what was shown. */
  function go(next) {
    const isSorted = next.sort !== view.sort;
    missorted = "";
    Object.assign(view, next);
    if (box.value !== view.q) box.value = view.q;
    if (isSorted) sort();
    show();
    remember("pushState");
  }

  function remember(how) {
    clearTimeout(rememberLater);
    const said = new URLSearchParams();
    if (view.q) said.set("q", view.q);
    if (view.sort) said.set("sort", view.sort);
    const hash = String(said) && `#${said}`;
    if (hash !== location.hash) history[how](null, "", hash || location.pathname + location.search);
  }

  // An address that says nothing of the table, such as a heading's, leaves it as it is.
  function recall() {
    const said = new URLSearchParams(location.hash.slice(1));
    if (location.hash && !said.has("q") && !said.has("sort")) return;
    clearTimeout(rememberLater);
    isTyping = false;
    const wanted = said.get("sort");
    const { sort: field = "", problem = "" } = wanted ? readSort(wanted) : {};
    missorted = problem;
    view.q = said.get("q") ?? "";
    const isSorted = field !== view.sort;
    view.sort = field;
    if (box.value !== view.q) box.value = view.q;
    if (isSorted) sort();
    show();
  }

  // Every pause in typing is remembered, but only the first as a step to go back over.
  function typed() {
    view.q = box.value;
    missorted = "";
    show();
    clearTimeout(rememberLater);
    rememberLater = setTimeout(() => {
      remember(isTyping ? "replaceState" : "pushState");
      isTyping = true;
    }, 300);
  }

  function settled() {
    if (box.value !== view.q) typed();
    remember(isTyping ? "replaceState" : "pushState");
    isTyping = false;
  }

  heads.forEach((head, number) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const field = columns[number];
      go({ ...view, sort: { [field]: `-${field}`, [`-${field}`]: "" }[view.sort] ?? field });
    });
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    settled();
  });
  box.addEventListener("input", typed);
  box.addEventListener("change", settled);
  window.addEventListener("popstate", recall);
  const place = document.querySelector(".models");
  place.prepend(form);
  place.append(none);
  show();
  recall();
})();
