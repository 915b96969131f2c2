// Draws what token_strip.py sends. Text from visitors and models only ever goes through textContent.

import { make } from "./elements.js";
import { FIGURE, STEP, spoken, unpacked, visible } from "./token_cells.js";
import { boxOf, follow, legend, show, tip } from "./token_tip.js";

const NAMED = 24;
const BLOCK = 60; // tokens, before a paragraph is a block of its own that is laid out only when it is in sight
const LONG = 24; // characters of a chip, before the rest is cut off
const READ = "nothing before it: read only, not predicted";

// One element a token, without listeners: the strip listens for all of them.
const blank = make("span", "token");
blank.setAttribute("role", "option");

// Of several blanks all but the first, and those that begin a line, keep their width.
function running(cells, n) {
  const before = n ? cells.text(n - 1).slice(-1) : "\n";
  const kept = (before + cells.text(n)).replace(/(?<=[ \n\t]) /g, "\u00a0").slice(before.length);
  return kept.replaceAll("\n", "↵").replaceAll("\t", "\u00a0".repeat(4));
}

function token(cells, n, flow) {
  const element = blank.cloneNode(false);
  const shown = flow ? running(cells, n) : cells.label(n);
  const given = cells.given(n);
  if (given) element.append(make("span", "given", given), make("span", "arrow", " → "));
  element.append(shown);
  if (!shown.trim()) element.setAttribute("aria-label", cells.label(n));
  if (cells.ks[n] < 0) {
    element.setAttribute("aria-disabled", "true");
    element.title = READ;
  } else {
    element.setAttribute("aria-selected", "false");
    element.dataset.k = cells.ks[n];
  }
  return element;
}

function chips(row, name) {
  const list = make("div", "list", ...row.flatMap((chip) => [chip, " "]));
  if (!name) return [list];
  const head = make("span", "rowname", name);
  head.ariaHidden = "true";
  const line = make("div", "row", head, list);
  line.role = "group";
  line.ariaLabel = name;
  return [line];
}

// Blocks end where a line ends. What is out of sight is not laid out; --guess is its height until it is seen.
function paragraphs(row, name, textOf) {
  const blocks = name ? [make("div", "rowname", name)] : [];
  let part = [];
  let letters = 0;
  const close = () => {
    const block = make("div", "block", ...part);
    block.dir = "auto";
    block.style.setProperty("--guess", `${Math.ceil(letters / 90) * 2}rem`);
    blocks.push(block);
    [part, letters] = [[], 0];
  };
  row.forEach((element, k) => {
    const text = textOf(k);
    const lines = text.split("\n").length - 1;
    letters += text.length + 60 * lines;
    part.push(element, ...(lines ? ["\n".repeat(lines)] : []));
    if (lines && part.length > BLOCK) close();
  });
  if (part.length) close();
  return blocks;
}

function draw(state, data) {
  state.cells = unpacked(data);
  const { cells } = state;
  state.tokens = Array.from(cells.ks, (_, n) => token(cells, n, data.flow));
  state.numbers = new Map(state.tokens.map((element, n) => [element, n]));
  state.places = new Map(Array.from(cells.ks, (k, n) => [k, n]));
  state.places.delete(-1);
  let from = 0;
  const lines = data.rows.flatMap((length, i) => {
    const row = state.tokens.slice(from, (from += length));
    const name = data.rows.length > 1 ? `row ${data.numbers[i]}` : "";
    return data.flow ? paragraphs(row, name, (k) => cells.text(from - length + k)) : chips(row, name);
  });
  const scrolled = state.text.scrollTop;
  state.text.replaceChildren(...lines);
  state.text.scrollTop = scrolled;
}

function paint(state, data) {
  const { cells, tokens } = state;
  const step = STEP[data.colour];
  const figure = data.figures && FIGURE[data.colour ?? "loss"];
  const named = data.named && state.places.size <= NAMED;
  state.root.className = ["strip", data.flow ? "flow" : "chips", figure ? "figures" : "", named ? "named" : "", data.mono ? "mono" : ""].join(" ");
  tokens.forEach((element, n) => {
    const long = !data.flow && element.textContent.length > LONG ? " long" : "";
    if (cells.ks[n] < 0) return (element.className = `token read${long}`);
    element.className = `token${step ? ` shade s${step(cells, n)}` : ""}${long}`;
    if (figure) element.dataset.figure = figure(cells, n, data.units);
    if (named) element.dataset.name = cells.title(n);
    if (!data.flow) element.ariaLabel = spoken(cells, n, data.units);
  });
  state.legend.replaceChildren(...(step && data.legend ? [legend(data, cells)] : []));
}


const beside = (one, other) => one.parentElement === other.parentElement;

// What comes after the chosen chip in its row is paler: it has not been read yet.
function mark(state) {
  const { text, cells, data } = state;
  const n = state.places.get(state.at);
  const element = state.tokens[n];
  if (state.marked) {
    state.marked.classList.remove("on");
    state.marked.ariaSelected = "false";
  }
  state.marked = element;
  if (!data.flow) state.tokens.forEach((chip, m) => chip.classList.toggle("later", m > n && beside(chip, element)));
  if (!element) return text.removeAttribute("aria-activedescendant");
  element.classList.add("on");
  element.ariaSelected = "true";
  element.ariaLabel = spoken(cells, n, data.units);
  element.id = `token-${state.at}`;
  text.setAttribute("aria-activedescendant", element.id);
}

function reveal(state) {
  if (!state.marked) return;
  const view = state.text.getBoundingClientRect();
  const token = boxOf(state.marked);
  if (token.top < view.top + 4) state.text.scrollTop -= view.top + view.height / 4 - token.top;
  if (token.bottom > view.bottom - 4) state.text.scrollTop += token.bottom - view.bottom + view.height / 4;
}

function choose(state, n) {
  if (!(state.cells.ks[n] >= 0)) return;
  state.at = state.cells.ks[n];
  chosen.set(state.data.key, [state.at, state.turn]);
  mark(state);
  reveal(state);
  show(state, n);
  state.send(state.at);
}

// The token nearest above or below, on the next line that has any.
function vertical(state, order, from, direction) {
  const here = boxOf(state.tokens[order[from]]);
  let best, top;
  let nearest = Infinity;
  for (let k = from + direction; k in order; k += direction) {
    const box = boxOf(state.tokens[order[k]]);
    const beyond = direction > 0 ? box.top > here.bottom - 2 : box.bottom < here.top + 2;
    if (!beyond) continue;
    top ??= box.top;
    if (Math.abs(box.top - top) > 4) break;
    const away = Math.abs(box.left + box.right - here.left - here.right);
    if (away < nearest) [nearest, best] = [away, order[k]];
  }
  return best;
}

function walk(state, event) {
  const order = [...state.places.values()];
  const from = order.indexOf(state.places.get(state.at));
  const ways = {
    ArrowLeft: () => order[from - 1],
    ArrowRight: () => order[from + 1],
    ArrowUp: () => (from < 0 ? order[0] : vertical(state, order, from, -1)),
    ArrowDown: () => (from < 0 ? order[0] : vertical(state, order, from, 1)),
    Home: () => order[0],
    End: () => order.at(-1),
  };
  if (!(event.key in ways) || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  event.stopPropagation();
  choose(state, ways[event.key]());
}

function begin(root) {
  const text = make("div", "text");
  Object.assign(text, { tabIndex: 0, role: "listbox", ariaLabel: "Tokens" });
  const box = make("div", "tip");
  Object.assign(box, { popover: "manual", role: "tooltip" });
  const state = { root, text, box, legend: make("div"), at: -1, seen: -1, hushed: -1, stop: new AbortController() };
  root.replaceChildren(state.legend, text, box);
  listen(state);
  return state;
}

function listen(state) {
  const { root, text } = state;
  const { signal } = state.stop;
  const numberOf = (event) => state.numbers.get(event.target.closest(".token")) ?? -1;
  const hide = () => show(state, -1);
  const hover = (n) => {
    if (n !== state.hushed) show(state, n);
    if (n !== state.hushed) state.hushed = -1;
  };
  const escape = (event) => {
    if (event.key !== "Escape") return;
    state.hushed = state.seen; // not again before the pointer has been elsewhere
    hide();
  };
  text.onpointermove = (event) => event.pointerType === "mouse" && hover(numberOf(event));
  text.onpointerleave = (event) => event.pointerType === "mouse" && hover(-1);
  text.onclick = (event) => choose(state, numberOf(event));
  text.onfocus = () => text.matches(":focus-visible") && show(state, state.places.get(state.at) ?? -1);
  text.onblur = hide;
  text.onscroll = () => follow(state);
  text.onkeydown = (event) => walk(state, event);
  document.addEventListener("scroll", () => follow(state), { signal, capture: true, passive: true });
  window.addEventListener("resize", () => follow(state), { signal });
  document.addEventListener("keydown", escape, { signal });
  document.addEventListener("pointerdown", (event) => event.composedPath().includes(root) || hide(), { signal });
}

const states = new WeakMap();
// Key of a strip -> what the visitor chose, and after which telling: for a strip that was away and comes back.
const chosen = new Map();

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".strip");
  const state = states.get(root) ?? begin(root);
  states.set(root, state);
  state.data = data;
  state.send = (k) => data.asks && setTriggerValue("chosen", k);

  const tokens = `${data.digest} ${data.flow}`;
  const look = JSON.stringify([data.colour, data.figures, data.units, data.named, data.legend]);
  const again = tokens !== state.drawn;
  if (again) draw(state, data);
  if (again || look !== state.look) paint(state, data);
  const told = data.at[1] !== state.turn;
  const since = chosen.get(data.key);
  [state.at, state.turn] = since?.[1] === data.at[1] ? since : data.at;
  [state.drawn, state.look] = [tokens, look];
  mark(state);
  if (again || told) reveal(state);
  return () => state.stop.abort();
}
