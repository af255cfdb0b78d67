"use strict";
(() => {
  const evidence = JSON.parse(document.getElementById("evidence").textContent);
  const letters = JSON.parse(document.getElementById("runs").textContent);
  const dialog = document.getElementById("exchange");

  const element = (name, text) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    return made;
  };

  const unpack = async (packed) => {
    const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return JSON.parse(await new Response(stream).text());
  };

  const state = new URLSearchParams(location.hash.slice(1));
  const remember = (name, value) => {
    if (value) state.set(name, value);
    else state.delete(name);
    history.replaceState(null, "", `#${state}`);
  };

  const show = async (run, id) => {
    const seen = await unpack(evidence[run][id]);
    remember("open", `${letters[run]} ${id}`);
    document.getElementById("exchange-title").textContent = `${letters[run]}: ${id}, ${seen.rung.replaceAll("_", " ")}`;
    const body = document.getElementById("exchange-body");
    body.replaceChildren(element("p", seen.says));
    if (seen.reason) body.append(element("p", seen.reason));
    if (seen.unmet.length) {
      const list = element("ul");
      list.append(...seen.unmet.map((line) => element("li", line)));
      body.append(element("h3", "Not met"), list);
    }
    for (const exchange of seen.exchanges) {
      const pair = element("div");
      pair.className = "pair";
      pair.append(element("pre", exchange.sent), element("pre", exchange.received));
      const heading = element("h3", `${exchange.step}: ${exchange.outcome}${exchange.unmet ? " ◀ not met" : ""}`);
      if (exchange.unmet) heading.className = "fail";
      body.append(heading, pair);
    }
    if (!seen.exchanges.length) body.append(element("p", "Nothing was exchanged."));
    dialog.showModal();
    body.querySelector("h3.fail")?.scrollIntoView();
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.case !== undefined) show(Number(button.dataset.run), button.dataset.case);
    if (button.classList.contains("more")) {
      const open = button.getAttribute("aria-expanded") !== "true";
      button.setAttribute("aria-expanded", String(open));
      for (const row of button.closest("tbody").querySelectorAll(".case")) row.hidden = !open;
    }
  });

  const filter = document.getElementById("filter");
  const only = document.getElementById("only");
  const groups = [...document.querySelectorAll("#matrix tbody")].map((group) => [group, group.textContent.toLowerCase()]);
  const apply = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const [group, text] of groups) {
      const fits = words.every((word) => text.includes(word)) && (!only.checked || text.includes("≠"));
      group.hidden = !fits;
      count += fits;
    }
    document.getElementById("shown").textContent = `${count} of ${groups.length} clauses`;
    remember("filter", filter.value);
    remember("only", only.checked ? "1" : "");
  };
  filter.value = state.get("filter") ?? "";
  only.checked = state.get("only") === "1";
  dialog.addEventListener("close", () => remember("open", ""));
  filter.addEventListener("input", apply);
  only.addEventListener("change", apply);
  if (filter.value || only.checked) apply();
  const [letter, id] = (state.get("open") ?? "").split(" ");
  const run = letters.indexOf(letter);
  if (run >= 0 && Object.hasOwn(evidence[run], id)) show(run, id);
  document.documentElement.dataset.ready = "yes";
})();
