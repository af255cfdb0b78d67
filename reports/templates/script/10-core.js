"use strict";
/* Text of an endpoint reaches the page through textContent and nothing else; this file has the only ways to do it. */
const META = JSON.parse(document.getElementById("meta").textContent);
const RUNGS = META.rungs, LEVELS = META.levels;
const GLYPH = META.glyphs;

function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "on") { for (const [event, handler] of Object.entries(value)) node.addEventListener(event, handler); }
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

/* The reader's choices outlive the page where the browser lets a file keep them. */
const kept = {
  get(name) { try { return localStorage.getItem("obs-conformance-" + name); } catch { return null; } },
  set(name, value) { try { localStorage.setItem("obs-conformance-" + name, value); } catch { /* not allowed here */ } },
};

let language = "en";
function T(key, values) {
  const words = META.messages[language];
  const one = values && values.n === 1 && words[key + "_one"];
  const text = one || words[key];
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

function translate(root) {
  for (const node of root.querySelectorAll("[data-t]")) {
    node.textContent = T(node.dataset.t, JSON.parse(node.dataset.a || "{}"));
  }
  for (const node of root.querySelectorAll("[data-t-label]")) node.setAttribute("aria-label", T(node.dataset.tLabel, {}));
  for (const node of root.querySelectorAll("[data-t-placeholder]")) node.setAttribute("placeholder", T(node.dataset.tPlaceholder, {}));
}

function setLanguage(next) {
  language = next;
  kept.set("language", next);
  document.documentElement.lang = next === "zh" ? "zh-Hans" : "en";
  translate(document);
  document.dispatchEvent(new Event("language"));
}

/* Text and bytes, honest to look at: what cannot be seen is escaped, so nothing reads two ways. */
const UNSEEN = /[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\ufffe\uffff]|[\u{e0000}-\u{e0fff}]/gu;
function escaped(point) {
  const hex = point.toString(16);
  if (point <= 0xff) return "\\x" + hex.padStart(2, "0");
  return point <= 0xffff ? "\\u" + hex.padStart(4, "0") : "\\U" + hex.padStart(8, "0");
}
function visible(text) { return String(text).replace(UNSEEN, (found) => escaped(found.codePointAt(0))); }

const NAMED = { "\t": "\\t", "\n": "\\n", "\r": "\\r", "\\": "\\\\" };
function written(bytes) {
  return bytes.replace(/[^\x20-\x5b\x5d-\x7e]/g, (found) => NAMED[found] || escaped(found.charCodeAt(0)));
}

function bodyText(body, cut) {
  const bytes = Uint8Array.from(body, (unit) => unit.charCodeAt(0));
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes, { stream: cut });
    return /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/.test(text) ? null : visible(text.replace(/\\/g, "\\\\"));
  } catch { return null; }
}

function hexDump(body) {
  const rows = [];
  for (let at = 0; at < Math.min(body.length, 512); at += 16) {
    const row = Array.from(body.slice(at, at + 16), (unit) => unit.charCodeAt(0));
    const hex = row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ").padEnd(48);
    const ascii = row.map((byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : ".")).join("");
    rows.push(at.toString(16).padStart(8, "0") + "  " + hex + " " + ascii);
  }
  return rows.join("\n");
}

/* The packed parts of the page. */
function unpack(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at += 1) bytes[at] = binary.charCodeAt(at);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

const blocks = new Map();
async function caseAt(number) {
  let block = META.starts.length - 1;
  while (META.starts[block] > number) block -= 1;
  if (!blocks.has(block)) {
    if (blocks.size > 8) blocks.delete(blocks.keys().next().value);
    blocks.set(block, unpack(document.getElementsByClassName("evidence")[block].textContent));
  }
  const lines = (await blocks.get(block)).split("\n");
  return JSON.parse(lines[number - META.starts[block]]);
}

function badge(kind, value) {
  return el("span", { class: "badge " + value }, el("span", { "aria-hidden": "true" }, GLYPH[value] + " "), T(kind + "_" + value));
}

function announce(text) { document.getElementById("announcer").textContent = text; }

async function copy(text, button) {
  try { await navigator.clipboard.writeText(text); } catch {
    const area = el("textarea", { class: "away", "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    button.focus();
  }
  announce(T("copied"));
  const before = button.textContent;
  button.textContent = T("copied");
  setTimeout(() => { button.textContent = before; }, 1500);
}
