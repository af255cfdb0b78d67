/* The list of cases. Only the rows that can be seen are in the document, so a hundred thousand cost what fifty do. */
const list = { box: document.getElementById("rows"), tall: document.getElementById("tall"), shown: [], height: 58, active: -1 };

function drawRows() {
  const first = Math.max(0, Math.floor(list.box.scrollTop / list.height) - 4);
  const last = Math.min(list.shown.length, first + Math.ceil(list.box.clientHeight / list.height) + 9);
  const focused = list.tall.contains(document.activeElement);
  list.tall.style.height = list.shown.length * list.height + "px";
  const drawn = [];
  for (let place = first; place < last; place += 1) drawn.push(drawRow(place));
  list.tall.replaceChildren(...drawn);
  if (focused) focusRow(list.active, false);
}

function drawRow(place) {
  const number = list.shown[place], row = rows[number], rung = RUNGS[row[ROW.rung]];
  const item = el("li", { "aria-setsize": list.shown.length, "aria-posinset": place + 1 },
    el("a", { href: "#" + fragment({ anchor: "case-" + row[ROW.id] }), class: "row", "data-place": place,
      tabindex: place === Math.max(0, list.active) ? "0" : "-1", "aria-current": place === list.active && state.number === number ? "true" : null },
      el("span", { class: "number" }, String(number + 1)), badge("rung", rung),
      el("span", { class: "name" }, visible(row[ROW.id])),
      el("span", { class: "says" }, visible(row[ROW.reason] && rung !== "pass" ? row[ROW.reason] : row[ROW.says]))));
  item.style.top = place * list.height + "px";
  return item;
}

function focusRow(place, scroll) {
  if (!list.shown.length) return;
  list.active = Math.max(0, Math.min(list.shown.length - 1, place));
  if (scroll) {
    const top = list.active * list.height;
    if (top < list.box.scrollTop) list.box.scrollTop = top;
    if (top + list.height > list.box.scrollTop + list.box.clientHeight) list.box.scrollTop = top + list.height - list.box.clientHeight;
    drawRows();
  }
  const node = list.tall.querySelector(`[data-place="${list.active}"]`);
  if (node) { node.tabIndex = 0; node.focus({ preventScroll: true }); }
}

/* Marks the row of the case that is open and brings it into sight. */
function showOpened() {
  list.active = list.shown.indexOf(state.number);
  const top = list.active * list.height;
  const inSight = top >= list.box.scrollTop && top + list.height <= list.box.scrollTop + list.box.clientHeight;
  if (list.active >= 0 && !inSight) list.box.scrollTop = top - 2 * list.height;
  drawRows();
}

const MOVES = {
  ArrowDown: (place) => place + 1, ArrowUp: (place) => place - 1,
  PageDown: (place) => place + 8, PageUp: (place) => place - 8,
  Home: () => 0, End: () => list.shown.length - 1,
};

function showFound(text) {
  const { found, unknown } = search(text);
  list.shown = found;
  list.tall.style.height = list.shown.length * list.height + "px";
  list.box.scrollTop = 0;
  showOpened();
  const said = T("found", { n: found.length, all: rows.length });
  document.getElementById("found").textContent = unknown.length
    ? said + " " + T("unknown_field", { field: visible(unknown.join(", ")), known: Object.keys(FIELDS).join(", ") }) : said;
}

list.box.addEventListener("scroll", () => requestAnimationFrame(drawRows));
addEventListener("resize", () => requestAnimationFrame(drawRows));
list.tall.addEventListener("keydown", (event) => {
  const move = MOVES[event.key];
  if (!move || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  focusRow(move(Math.max(0, list.active)), true);
});
list.tall.addEventListener("focusin", (event) => {
  const place = event.target.dataset && event.target.dataset.place;
  if (place !== undefined) list.active = Number(place);
});
