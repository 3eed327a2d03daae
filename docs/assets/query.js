/* Questions about variants, `top1>78 macs<500M`, as effcc/catalog/query.py reads them; a test holds the two equal.
   What is typed or comes in a link is parsed once, into terms, or refused with every problem at its place. */
(() => {
  "use strict";

  const FIELDS = {
    name: { unit: "text" },
    summary: { unit: "text" },
    experts: { unit: "count" },
    pixels: { unit: "pixels" },
    params: { unit: "count" },
    macs: { unit: "count" },
    latency: { unit: "ms" },
    top1: { unit: "percent", result: "top1", kind: "" },
    top5: { unit: "percent", result: "top5", kind: "" },
    dataset: { unit: "text", result: "dataset", kind: "" },
    "claimed.top1": { unit: "percent", result: "top1", kind: "claimed" },
    "claimed.top5": { unit: "percent", result: "top5", kind: "claimed" },
    "claimed.params": { unit: "count" },
    "claimed.flops": { unit: "count" },
    "measured.top1": { unit: "percent", result: "top1", kind: "measured" },
    "measured.top5": { unit: "percent", result: "top5", kind: "measured" },
  };
  const ALIASES = { "computed.params": "params", "computed.macs": "macs", "measured.latency": "latency" };
  const MAX_LENGTH = 1000;
  const BLANK = " \\t\\r\\n\\u00a0";
  const TERM = new RegExp(
    `(?<minus>-?)(?:"(?<quoted>[^"]*)(?<end>"?)|(?<word>(?:[^${BLANK}"<>=:!]|!(?!=))*)` +
      `(?:[${BLANK}]*(?<operator>!=|<=|>=|[<>=:])[${BLANK}]*` +
      `(?:"(?<inner>[^"]*)(?<innerEnd>"?)|(?<value>[^${BLANK}"]*)))?)`,
    "y",
  );
  const IS_BLANK = new RegExp(`[${BLANK}]`);
  const IS_FIELD = /^[A-Za-z][A-Za-z0-9_.]{0,39}$/;
  const DIGITS =
    /^([-+]?)([0-9]{1,3}(?:,[0-9]{3})+|[0-9]*)(?:\.([0-9]*))?(?:e([-+]?[0-9]{1,2}))?(k|m|g|b|t|%|ms|px|)$/i;
  const POWERS = {
    count: { "": 0, k: 3, m: 6, g: 9, b: 9, t: 12 },
    percent: { "": -2, "%": -2 },
    ms: { "": -3, ms: -3 },
    pixels: { "": 0, px: 0 },
  };
  const EXAMPLES = {
    count: "20000000, 20M or 2e7",
    percent: "78, 78.5 or 78%",
    ms: "20, 9.5 or 20ms",
    pixels: "224 or 224px",
  };
  const own = (object, key) => (Object.hasOwn(object, key) ? object[key] : undefined);

  /** A text as { query } or, if it cannot be read, { problems: [{ at, key, message }] }. */
  function parse(text) {
    if ([...text].length > MAX_LENGTH) {
      return { problems: [{ at: 1, key: "", message: "longer than 1,000 characters; shorten it" }] };
    }
    const problems = [];
    const plain = [];
    const turned = [];
    for (const written of writtenTerms(text)) {
      const term = readTerm(written);
      if (term.problem) {
        const at = [...text.slice(0, term.at)].length + 1;
        problems.push({ at, key: term.key, message: term.problem });
      } else {
        (written.minus ? turned : plain).push(term);
      }
    }
    if (problems.length) {
      return { problems: problems.sort((a, b) => a.at - b.at) };
    }
    const aboutResults = plain.filter(isAboutResults);
    const groups = plain.filter((term) => !isAboutResults(term)).map((term) => [term]);
    for (const kind of ["", "claimed", "measured"]) {
      const group = aboutResults.filter(({ field }) => field !== "dataset" && FIELDS[field].kind === kind);
      if (group.length) groups.push(group);
    }
    return { query: { datasets: aboutResults.filter((term) => term.field === "dataset"), groups, turned } };
  }

  function* writtenTerms(text) {
    let at = 0;
    while (at < text.length) {
      if (IS_BLANK.test(text[at])) {
        at += 1;
        continue;
      }
      TERM.lastIndex = at;
      const [whole, found] = ((match) => [match[0], match.groups])(TERM.exec(text));
      const { quoted, inner } = found;
      const end = at + whole.length;
      const quotes = inner === undefined ? 0 : 1 + found.innerEnd.length;
      const length = quotes + (inner ?? found.value ?? "").length;
      yield {
        at,
        minus: found.minus === "-",
        word: quoted ?? found.word,
        operator: found.operator ?? (quoted === undefined ? "" : '"'),
        value: inner ?? (found.value || undefined),
        valueAt: end - length,
        closed: found.end !== "" && found.innerEnd !== "",
      };
      at = end;
    }
  }

  function readTerm(written) {
    const at = written.at + (written.minus ? 1 : 0);
    const wrong = (where, key, problem) => ({ at: where, key, problem });
    const { word, operator, value } = written;
    if (!written.closed) {
      return wrong(operator === '"' ? at : written.valueAt, "", "the quote that begins here does not end");
    }
    if (operator === "" || operator === '"') {
      if (!word && !operator) return wrong(written.at, "", "a term has to follow the minus");
      return { field: "", operator: ":", text: word.toLowerCase() };
    }
    if (!word) {
      return wrong(at, "", `a field has to stand before ${operator}; to look for it, put it in quotes`);
    }
    const key = own(ALIASES, word) ?? word;
    if (!own(FIELDS, key)) {
      const shown = IS_FIELD.test(word) ? word : "";
      return wrong(at, shown, `no such field${nearest(shown, Object.keys(FIELDS))}`);
    }
    if (value === undefined) return wrong(at, word, `a value has to follow ${operator}`);
    if (FIELDS[key].unit !== "text") return readNumber(written, key);
    if (/[<>]/.test(operator)) return wrong(at, word, "words have no order; use :, = or !=");
    return { field: key, operator, text: value.toLowerCase() };
  }

  function readNumber({ value, valueAt, word, operator }, key) {
    const { unit } = FIELDS[key];
    const wrong = (problem) => ({ at: valueAt, key: word, problem });
    const match = DIGITS.exec(value);
    const digits = match ? match[2] + (match[3] ?? "") : "";
    const suffix = match ? match[5].toLowerCase() : "";
    if (!digits || own(POWERS[unit], suffix) === undefined) {
      return wrong(`no number here; write it as ${EXAMPLES[unit]}`);
    }
    // In decimal, so that 77.32 % is the number that 0.7732 is.
    const power = POWERS[unit][suffix] + Number(match[4] ?? 0) - (match[3] ?? "").length;
    const number = Number(`${match[1]}${digits.replaceAll(",", "")}e${power}`);
    const half = Number(`5e${power - 1}`);
    if (!Number.isFinite(number) || !Number.isFinite(half)) return wrong("no number that large; shorten it");
    if (unit === "percent" && suffix !== "%" && number > 0 && number < 0.01) {
      return wrong("accuracies are in percent: write 78, or put % behind it if that little is meant");
    }
    return { field: key, operator, number, low: number - half, high: number + half };
  }

  function nearest(word, known) {
    let best = [0, ""];
    for (const name of known) {
      const alike = likeness(name, word.toLowerCase());
      if (alike > best[0] || (alike === best[0] && name > best[1])) best = [alike, name];
    }
    return best[0] >= 0.7 ? `; did you mean '${best[1]}'?` : `; there are: ${known.join(", ")}`;
  }

  // The share of letters in common (J. W. Ratcliff and D. E. Metzener, 1988), as Python's difflib has it.
  function likeness(a, b) {
    const common = (aLow, aHigh, bLow, bHigh) => {
      let [size, i, j] = [0, aLow, bLow];
      for (let x = aLow; x < aHigh; x += 1) {
        for (let y = bLow; y < bHigh; y += 1) {
          let length = 0;
          while (x + length < aHigh && y + length < bHigh && a[x + length] === b[y + length]) length += 1;
          if (length > size) [size, i, j] = [length, x, y];
        }
      }
      return size && size + common(aLow, i, bLow, j) + common(i + size, aHigh, j + size, bHigh);
    };
    return (2 * common(0, a.length, 0, b.length)) / (a.length + b.length);
  }

  const isAboutResults = (term) => own(FIELDS, term.field)?.result !== undefined;

  function matches(query, row) {
    const counting = row.results.filter((of) => query.datasets.every((term) => meets(term, of.dataset)));
    if (query.datasets.length && !counting.length) return false;
    return (
      query.groups.every((group) => isMet(group, row, counting)) &&
      !query.turned.some((term) => isMet([term], row, counting))
    );
  }

  function isMet(group, row, results) {
    const { field } = group[0];
    if (!field) return meets(group[0], row.name) || meets(group[0], row.summary);
    if (!isAboutResults(group[0])) return meets(group[0], row[field]);
    const { kind } = FIELDS[field];
    const isMetBy = (of) => group.every((term) => meets(term, of[FIELDS[term.field].result]));
    return results.some((of) => (!kind || of.kind === kind) && isMetBy(of));
  }

  function meets(term, value) {
    if (value === null) return false;
    if (typeof value === "string") {
      const here = value.toLowerCase();
      if (term.operator === ":") return here.includes(term.text);
      return (here === term.text) === (term.operator === "=");
    }
    switch (term.operator) {
      case "<":
        return value < term.number;
      case ">":
        return value > term.number;
      case "<=": // all that = takes too
        return value <= term.high;
      case ">=":
        return value >= term.low;
      case "!=":
        return !(term.low <= value && value <= term.high);
      default:
        return term.low <= value && value <= term.high;
    }
  }

  /** What to sort by, as { sort } in the field's own name or, if there is no such figure, as { problem }. */
  function readSort(text) {
    const name = text.replace(/^-/, "");
    const field = own(ALIASES, name) ?? name;
    const known = Object.keys(FIELDS).filter((of) => FIELDS[of].unit !== "text" || of === "name");
    if (known.includes(field)) return { sort: text.startsWith("-") ? `-${field}` : field };
    return { problem: `no such figure${nearest(IS_FIELD.test(name) ? name : "", known)}` };
  }

  /** Rows by a figure or by name as `readSort` gives it, `-params` from the largest down, unknown ones last. */
  function ordered(rows, sort) {
    if (!sort) return rows;
    const down = sort.startsWith("-");
    const field = sort.replace(/^-/, "");
    const { result, kind } = FIELDS[field];
    const key = (row) => {
      if (!result) return row[field];
      const found = row.results.filter((of) => (!kind || of.kind === kind) && of[result] !== null);
      return found.length ? Math.max(...found.map((of) => of[result])) : null;
    };
    const known = rows.map((row) => [key(row), row]).filter(([value]) => value !== null);
    const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
    known.sort(([a], [b]) => (down ? compare(b, a) : compare(a, b)));
    return [...known.map(([, row]) => row), ...rows.filter((row) => key(row) === null)];
  }

  globalThis.effccQuery = Object.freeze({ parse, matches, readSort, ordered });
})();
