/* What the fragment says is what is shown: #overview, #clause-ID, #R1, #case-ID, #17, with &tab= and &q= behind it. */
const state = { view: "overview", number: -1, tab: "verdict", form: "curl", query: "", focusTab: false, focusCase: false };
const VIEWS = [...document.querySelectorAll("main > section.view")].map((node) => node.id);
const numbers = new Map();

function fragment({ anchor, tab, query }) {
  const parts = [encodeURIComponent(anchor)];
  if (tab && tab !== "verdict") parts.push("tab=" + tab);
  const asked = query === undefined ? state.query : query;
  if (asked) parts.push("q=" + encodeURIComponent(asked));
  return parts.join("&");
}
function readFragment() {
  const parts = location.hash.slice(1).split("&");
  const plainly = (text) => { try { return decodeURIComponent(text); } catch { return text; } };
  const named = /^(q|tab)=/, given = {};
  for (const part of parts.filter((one) => named.test(one))) given[part.slice(0, part.indexOf("="))] = plainly(part.slice(part.indexOf("=") + 1));
  return { anchor: named.test(parts[0]) ? "cases" : plainly(parts[0]) || "overview", ...given };
}
function go(change) {
  const anchor = state.number >= 0 ? "case-" + rows[state.number][ROW.id] : state.view;
  location.hash = fragment({ anchor, tab: state.tab, ...change });
}

function showView(view) {
  state.view = view;
  for (const id of VIEWS) document.getElementById(id).hidden = id !== view;
  for (const link of document.querySelectorAll("nav.views a")) {
    if (link.hash === "#" + view) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
  }
}

function follow() {
  const { anchor, tab, q } = readFragment();
  state.tab = TABS.includes(tab) ? tab : "verdict";
  const number = /^\d+$/.test(anchor) ? Number(anchor) - 1 : anchor.startsWith("case-") ? numbers.get(anchor.slice(5)) : undefined;
  const target = document.getElementById(anchor);
  if (anchor === "cases" || number !== undefined) {
    showView("cases");
    const asked = q || "", changed = asked !== state.query || !list.shown.length;
    state.query = asked;
    const opened = number !== undefined && number < rows.length ? number : -1;
    if (opened !== state.number && opened >= 0 && !state.focusTab) state.focusCase = true;
    state.number = opened;
    document.getElementById("query").value = asked;
    if (changed) showFound(asked); else showOpened();
    openCase(opened);
    document.getElementById("cases").classList.toggle("opened", opened >= 0);
    return;
  }
  const section = target && target.closest("section.view");
  showView(section ? section.id : "overview");
  for (let node = target; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
  for (const marked of document.querySelectorAll(".arrived")) marked.classList.remove("arrived");
  if (target && target !== section) {
    target.classList.add("arrived");
    target.scrollIntoView({ block: "start" });
    target.setAttribute("tabindex", "-1");
    target.focus({ preventScroll: true });
  } else if (section) scrollTo(0, 0);
}

function wire() {
  const query = document.getElementById("query");
  let waiting = 0;
  query.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      state.number = -1;
      history.replaceState(null, "", "#" + fragment({ anchor: "cases", query: query.value }));
      follow();
    }, 60);
  });
  query.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "Enter") { event.preventDefault(); focusRow(Math.max(0, list.active), true); }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(INPUT|TEXTAREA)$/.test(document.activeElement.tagName)) {
      event.preventDefault();
      if (state.view !== "cases") location.hash = "cases";
      setTimeout(() => query.focus(), 30);
    }
  });
  document.getElementById("language").addEventListener("click", () => setLanguage(language === "en" ? "zh" : "en"));
  document.getElementById("theme").addEventListener("click", () => {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const now = document.documentElement.dataset.theme || (dark ? "dark" : "light");
    document.documentElement.dataset.theme = now === "dark" ? "light" : "dark";
    kept.set("theme", document.documentElement.dataset.theme);
  });
  document.addEventListener("language", () => { if (rows.length) { showFound(state.query); openCase(state.number); } });
  addEventListener("hashchange", follow);
}

async function start() {
  document.documentElement.classList.add("live");
  const theme = kept.get("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  wire();
  const wanted = kept.get("language") || (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en");
  if (wanted === "zh") setLanguage("zh");
  const anchor = readFragment().anchor;
  if (!/^\d+$|^case-|^cases$/.test(anchor)) follow(); else showView("cases");
  for (const row of JSON.parse(await unpack(document.getElementById("index").textContent))) rows.push(row);
  rows.forEach((row, number) => numbers.set(row[ROW.id], number));
  META.causes.forEach((members, at) => { for (const number of members) causeOf.set(number - 1, at + 1); });
  if (state.view === "cases") follow();
  if (VIEWS.includes(readFragment().anchor)) scrollTo(0, 0);  // past the browser's own jump to a section's top
  document.documentElement.dataset.ready = "yes";
}
start();
