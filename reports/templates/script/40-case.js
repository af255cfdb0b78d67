/* One case: its verdict, its wire, how to do it again, what it means, where it stood before. */
const TABS = ["verdict", "wire", "reproduce", "explain", "history"];

function clauseLink(id) {
  return Object.hasOwn(META.clauses, id) ? el("a", { href: "#clause-" + encodeURIComponent(id), class: "chip" }, id) : el("span", { class: "chip" }, visible(id));
}
function clauseLinks(ids) { return el("span", { class: "chips" }, ids.map(clauseLink)); }

function scroller(label, child) { return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, child); }

function tabVerdict(item) {
  const out = [];
  if (item.reason) out.push(el("p", { class: "reason" }, visible(item.reason)));
  if (!item.checks.length) out.push(el("p", { class: "quiet" }, T("no_checks")));
  const steps = [...new Set(item.checks.map((check) => check.step))];
  for (const step of steps) {
    const checks = item.checks.filter((check) => check.step === step);
    const exchange = item.exchanges.find((one) => one.step === step);
    out.push(el("h4", {}, visible(step), exchange ? el("code", { class: "request" }, written(requestLine(exchange))) : null));
    out.push(scroller(visible(step), el("table", { class: "checks" },
      el("thead", {}, el("tr", {}, ["result", "looked_at", "wanted", "got", "clauses"].map((key) => el("th", { scope: "col" }, T("check_" + key))))),
      el("tbody", {}, checks.map((check) => el("tr", { class: check.held ? null : "unmet" },
        el("td", {}, badge("check", check.held ? "met" : check.level === "must" ? "unmet" : "weak")),
        el("th", { scope: "row" }, visible(check.subject)),
        el("td", {}, visible(check.wanted)),
        el("td", {}, visible(check.got), check.says ? el("p", { class: "difference" }, visible(check.says)) : null),
        el("td", {}, clauseLinks(check.clauses))))))));
    if (exchange && checks.some((check) => !check.held)) out.push(el("h5", {}, T("answer_marked")), wireHead(exchange.received.head, checks, visible(step)));
  }
  if (item.observations.length) {
    out.push(el("h4", {}, T("observed_here")), el("ul", {}, item.observations.map((seen) =>
      el("li", {}, visible(seen.step), " · ", visible(seen.name), ": ", el("code", {}, visible(seen.value)), " ", clauseLinks(seen.clauses)))));
  }
  return out;
}

function requestLine(exchange) { return exchange.sent.head.split("\r\n")[0]; }

/* The lines of a head with what ended each; those an unmet expectation looked at are marked and named. */
function headLines(head, checks) {
  const unmet = checks.filter((check) => !check.held);
  const wanted = new Map(unmet.filter((check) => /^header /i.test(check.subject)).map((check) => [check.subject.slice(7).trim().toLowerCase(), check]));
  const status = unmet.find((check) => check.subject === "status" || check.word === "refused");
  const parts = head.match(/[^\n]*\n|[^\n]+/g) || [];
  const texts = parts.map((part) => part.replace(/\r?\n$/, ""));
  let final = 0;
  texts.forEach((text, at) => { if (!text && texts.slice(at + 1).some(Boolean)) final = at + 1; });
  let name = "";
  const lines = texts.map((text, at) => {
    if (!/^[ \t]/.test(text)) name = text.includes(":") ? text.slice(0, text.indexOf(":")).trim().toLowerCase() : "";
    const why = at === final ? status : at > final ? wanted.get(name) : undefined;
    const end = parts[at].endsWith("\r\n") ? "CR LF" : parts[at].endsWith("\n") ? "LF" : T("no_line_end");
    return { text: written(text), end, why, name };
  });
  const came = new Set(lines.map((line) => line.name));
  const absent = [...wanted.entries()].filter(([header]) => !came.has(header)).map(([, check]) => check);
  return { lines, absent };
}

function wireHead(head, checks, label) {
  const { lines, absent } = headLines(head, checks);
  if (!lines.length) return el("p", { class: "quiet" }, T("no_head"));
  const flag = (check) => el("strong", { class: "flag" }, " ◀ " + T("not_met") + ": " + visible(check.wanted));
  const shown = lines.map((line) => {
    const text = line.text === "" ? "" : line.text;
    const end = el("span", { class: "end" }, line.end);
    return [line.why ? el("mark", {}, text, flag(line.why)) : text, " ", end, "\n"];
  });
  const missing = absent.map((check) => [el("mark", { class: "missing" }, "(" + T("no_line") + ") " + visible(check.subject.slice(7)), flag(check)), "\n"]);
  return el("pre", { class: "head", tabindex: "0", role: "region", "aria-label": label + " · " + T("head") }, shown.flat(), missing.flat());
}

function wireBody(message, label) {
  const cut = message.body.length < message.body_size;
  const size = T("body_size", { n: message.body_size.toLocaleString("en") });
  const facts = [size, message.body_sha256 ? el("code", { class: "digest" }, "SHA-256 " + visible(message.body_sha256)) : null,
    cut ? el("span", {}, T("body_cut", { n: message.body.length.toLocaleString("en") })) : null];
  const text = message.body ? bodyText(message.body, cut) : "";
  const shown = text === null ? hexDump(message.body) : text;
  return [el("p", { class: "facts" }, facts), shown ? el("pre", { class: text === null ? "body hex" : "body", tabindex: "0", role: "region", "aria-label": label + " · " + T("body") }, shown) : null];
}

function tabWire(item) {
  if (!item.exchanges.length) return [el("p", { class: "quiet" }, T("no_exchanges"))];
  return [el("p", { class: "quiet" }, T("wire_note")), ...item.exchanges.map((exchange) => {
    const checks = item.checks.filter((check) => check.step === exchange.step);
    const unmet = checks.some((check) => !check.held);
    const label = (direction) => visible(exchange.step) + " · " + T(direction);
    return el("section", { class: "exchange" + (unmet ? " unmet" : ""), "aria-label": visible(exchange.step) },
      el("h4", {}, visible(exchange.step), el("span", { class: "quiet" }, " · ", visible(exchange.outcome), " · ", exchange.ms.toFixed(1) + " ms"),
        exchange.continued === true ? el("span", { class: "quiet" }, " · ", T("continued")) : null,
        exchange.continued === false ? el("span", { class: "quiet" }, " · ", T("not_continued")) : null),
      el("div", { class: "pair" },
        el("div", {}, el("h5", {}, T("sent")), wireHead(exchange.sent.head, [], label("sent")), wireBody(exchange.sent, label("sent"))),
        el("div", {}, el("h5", {}, T("received")), wireHead(exchange.received.head, checks, label("received")), wireBody(exchange.received, label("received")))));
  })];
}

function tabReproduce(item) {
  const out = [el("p", {}, T("reproduce_note"))];
  const forms = el("div", { class: "forms", role: "group", "aria-label": T("forms") });
  const holder = el("div", {});
  const buttons = Object.keys(FORMS).map((form) => el("button", { type: "button", "data-form": form, "aria-pressed": String(form === state.form),
    on: { click: () => { state.form = form; showForm(); } } }, T("form_" + form)));
  const showForm = () => {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.form === state.form));
    const { text, why } = FORMS[state.form](item);
    if (text === null) { holder.replaceChildren(el("p", { class: "notice" }, T("form_impossible", { why: T(why) }))); return; }
    const button = el("button", { type: "button", class: "copy", on: { click: () => copy(text, button) } }, T("copy"));
    holder.replaceChildren(el("div", { class: "code" }, button,
      el("pre", { tabindex: "0", role: "region", "aria-label": T("form_" + state.form), id: "reproduction" }, visible(text))));
  };
  forms.append(...buttons);
  showForm();
  return [...out, forms, holder];
}

function tabExplain(item) {
  const unmet = new Set(item.checks.filter((check) => !check.held).flatMap((check) => check.clauses));
  const ordered = [...item.cites].sort((one, other) => Number(unmet.has(other)) - Number(unmet.has(one)));
  const out = ordered.filter((id) => Object.hasOwn(META.clauses, id)).map((id) => {
    const clause = META.clauses[id];
    return el("section", { class: "why" + (unmet.has(id) ? " unmet" : ""), "aria-label": id },
      el("h4", {}, clauseLink(id), " ", el("span", { class: "level" }, T("level_" + clause.level)), " ", unmet.has(id) ? badge("check", "unmet") : null),
      el("p", {}, visible(clause.says)),
      el("dl", {}, [["consequence", clause.consequence], ["causes", clause.causes], ["fix", clause.fix]].flatMap(([key, text]) =>
        text ? [el("dt", {}, T(key)), el("dd", {}, visible(text))] : [])));
  });
  const proofs = item.proofs || [];
  const list = proofs.length
    ? el("ul", {}, proofs.map((proof) => el("li", {}, el("code", {}, visible(proof.name)), " ", visible(proof.says))))
    : el("p", { class: "quiet" }, T("no_proofs"));
  return [...out, el("section", { class: "why", "aria-label": T("proof") }, el("h4", {}, T("proof")), el("p", { class: "quiet" }, T("proof_note")), list)];
}

function tabHistory(item) {
  if (!META.previous) return [el("p", { class: "quiet" }, T("no_history"))];
  const changed = wasOf.get(item.id), fresh = META.changes.new_cases.includes(item.id);
  const before = fresh ? el("span", {}, T("not_there")) : badge("rung", changed || item.rung);
  const different = META.changes.differently.includes(item.id);
  return [el("table", {}, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, T("run")), el("th", { scope: "col" }, T("outcome")))),
    el("tbody", {},
      el("tr", {}, el("th", { scope: "row" }, visible(META.previous)), el("td", {}, before)),
      el("tr", {}, el("th", { scope: "row" }, visible(META.started)), el("td", {}, badge("rung", item.rung))))),
    el("p", {}, different ? T("fails_differently") : changed || fresh ? "" : T("as_before"))];
}

/* Moves the page only if the case would begin out of sight. */
function bringUp(detail) {
  const { top } = detail.getBoundingClientRect();
  if (top < 0 || top > innerHeight * 0.6) detail.scrollIntoView({ block: "start" });
}

const PANELS = { verdict: tabVerdict, wire: tabWire, reproduce: tabReproduce, explain: tabExplain, history: tabHistory };

async function openCase(number) {
  const detail = document.getElementById("detail");
  if (number < 0) { detail.replaceChildren(el("p", { class: "quiet empty" }, T("choose_case"))); return; }
  let item;
  try { item = await caseAt(number); } catch (error) { detail.replaceChildren(el("p", { role: "alert" }, T("unreadable") + " " + error.message)); return; }
  if (state.number !== number) return;
  const tabs = el("div", { role: "tablist", class: "tabs", "aria-label": T("parts") }, TABS.map((tab) => el("button", {
    type: "button", role: "tab", id: "tab-" + tab, "aria-controls": "panel", "aria-selected": String(tab === state.tab), tabindex: tab === state.tab ? "0" : "-1",
    on: { click: () => go({ tab }) } }, T("tab_" + tab))));
  tabs.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const next = event.key === "Home" ? 0 : event.key === "End" ? TABS.length - 1 : step ? (TABS.indexOf(state.tab) + step + TABS.length) % TABS.length : null;
    if (next === null) return;
    event.preventDefault();
    state.focusTab = true;
    go({ tab: TABS[next] });
  });
  const link = location.href.split("#")[0] + "#case-" + encodeURIComponent(item.id);
  const button = el("button", { type: "button", class: "copy-link", on: { click: () => copy(link, button) } }, T("copy_link"));
  detail.replaceChildren(
    el("header", { class: "case-head" },
      el("h3", { id: "case-title", tabindex: "-1" }, el("span", { class: "number" }, T("number", { n: number + 1 })), " ", visible(item.id), " ", badge("rung", item.rung)),
      el("p", { class: "claim" }, visible(item.says)),
      el("p", { class: "facts" }, el("span", { class: "level" }, T("level_" + item.level)), el("span", {}, visible(item.area)),
        el("code", {}, visible(item.file) + ":" + item.line), el("span", {}, item.duration_ms.toFixed(1) + " ms"), button),
      causeOf.has(number) ? el("p", { class: "facts" }, el("a", { href: "#R" + causeOf.get(number) }, T("shares_cause", { n: causeOf.get(number) }))) : null,
      clauseLinks(item.cites)),
    tabs, el("div", { role: "tabpanel", id: "panel", "aria-labelledby": "tab-" + state.tab, tabindex: "0" }, PANELS[state.tab](item)));
  if (state.focusTab) { state.focusTab = false; document.getElementById("tab-" + state.tab).focus(); }
  if (state.focusCase) { state.focusCase = false; document.getElementById("case-title").focus({ preventScroll: true }); bringUp(detail); }
}
