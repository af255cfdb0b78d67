/* The query language: words, field:value, field:one,other, "words in quotes", and - before any of them for "not". */
const ROW = { id: 0, rung: 1, level: 2, area: 3, says: 4, reason: 5, cites: 6, headers: 7 };
const rows = [];
const causeOf = new Map();
const wasOf = new Map(Object.entries(META.was));

const FIELDS = {
  status: (row, value) => RUNGS[row[ROW.rung]].replace(/_/g, "-").startsWith(value.replace(/_/g, "-")),
  level: (row, value) => LEVELS[row[ROW.level]].startsWith(value),
  area: (row, value) => row[ROW.area].toLowerCase() === value,
  clause: (row, value) => row[ROW.cites].some((id) => id.toLowerCase() === value || id.toLowerCase().endsWith("-" + value)),
  header: (row, value) => row[ROW.headers].includes(value),
  id: (row, value) => row[ROW.id].toLowerCase().includes(value),
  cause: (_, value, number) => String(causeOf.get(number)) === value.replace(/^r/, ""),
  was: (row, value) => (wasOf.get(row[ROW.id]) || "").replace(/_/g, "-").startsWith(value.replace(/_/g, "-")),
};

function parseQuery(text) {
  const terms = [], unknown = [];
  for (const [, minus, field, quoted, plain] of text.matchAll(/(-)?(?:([A-Za-z]+):)?(?:"([^"]*)"?|(\S+))/g)) {
    const value = (quoted === undefined ? plain : quoted).toLowerCase();
    const name = field && field.toLowerCase();
    if (name && !FIELDS[name]) { unknown.push(field); continue; }
    const values = name ? value.split(",").filter(Boolean) : [value];
    terms.push({ not: Boolean(minus), name, values });
  }
  return { terms, unknown };
}

function holds(term, row, number) {
  const found = term.name
    ? term.values.some((value) => FIELDS[term.name](row, value, number))
    : (row[ROW.id] + "\n" + row[ROW.says] + "\n" + row[ROW.reason]).toLowerCase().includes(term.values[0]);
  return found !== term.not;
}

function search(text) {
  const { terms, unknown } = parseQuery(text);
  const found = [];
  for (let number = 0; number < rows.length; number += 1) {
    if (terms.every((term) => holds(term, rows[number], number))) found.push(number);
  }
  return { found, unknown };
}
