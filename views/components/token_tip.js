// The legend, and what is said of the token under the pointer. Text only ever goes through textContent.

import { make } from "./elements.js";
import { grouped, inUnits, oddsText, probaText } from "./token_cells.js";

const DECADES = ["≥ 0.1", "≥ 0.01", "≥ 0.001", "≥ 1e-04", "≥ 1e-05", "≥ 1e-06", "less"];
const SPACINGS = [1, 2, 4, 5, 8, 10, 20, 40, 50, 80, 100]; // between two marks of a scale, at most five of them
const RANKS = ["1", "2 to 10", "11 to 100", "101 to 1,000", "over 1,000"];

function tick(part, text) {
  const element = make("span", "", text);
  element.style.left = `${100 * part}%`;
  element.style.translate = `${-100 * part}%`;
  return element;
}

export function legend({ colour, units }, cells) {
  const swatches = (names, steps) =>
    make("div", "swatches", ...names.map((name, k) => make("span", `swatch s${steps[k]}`, name)));
  const scale = (what, most, last) => {
    const step = SPACINGS.find((size) => most / size <= 5) ?? most / 4;
    const room = last ? 0.65 * most : most;
    const ticks = [0, 1, 2, 3, 4, 5].map((k) => k * step).filter((value) => value <= room);
    const marks = ticks.map((value) => tick(value / most, String(value)));
    if (last) marks.push(tick(1, last));
    const bar = swatches(Array(9).fill(""), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    return [make("span", "what", what), make("div", "scale", bar, make("div", "ticks", ...marks))];
  };
  const lnV = inUnits(cells.lnV, units);
  const log = units === "bits" ? "log₂ V" : "ln V";
  const parts = {
    loss: () => scale(`Loss in ${units}`, inUnits(cells.range, units)),
    probability: () => [make("span", "what", "Probability"), swatches(DECADES, [0, 1, 3, 4, 5, 7, 8])],
    rank: () => [make("span", "what", "Rank"), swatches(RANKS, [0, 2, 4, 6, 8])],
    entropy: () => scale(`Entropy in ${units}`, lnV, `${log} = ${lnV.toFixed(2)}`),
  };
  return make("div", "legend", ...parts[colour]());
}

function likeliest(cells, n) {
  const top = cells.top(n);
  const first = top.length ? Math.exp(top[0][1]) : 1;
  const isIt = ([word, log]) => word === cells.label(n) && Math.abs(log - cells.logs[n]) < 1e-3;
  const lines = top.map((entry, k) => {
    const [word, log] = entry;
    const kind = isIt(entry) ? " true" : "";
    const bar = make("span", `bar${kind}`);
    bar.style.width = `${(100 * Math.exp(log)) / first}%`;
    const rank = make("span", `place${kind}`, kind ? `✓ ${k + 1}` : String(k + 1));
    return [rank, make("span", `word${kind}`, word), make("span", `proba${kind}`, probaText(log)), bar];
  });
  const what = top.some(isIt) ? "The likeliest here, ✓ this token" : "The likeliest here";
  return make("div", "likely", make("span", "what", what), ...lines.flat());
}

export function tip(cells, n, units) {
  const log = cells.logs[n];
  const word = make("span", "word", cells.label(n));
  const given = cells.given(n) ? [make("span", "word given", cells.given(n)), make("span", "arrow", "→")] : [];
  const facts = [
    ["loss", `${inUnits(-log, units).toFixed(4)} ${units}`],
    ["probability", `${probaText(log)}, ${oddsText(log)}`],
    ["rank", `${grouped(cells.ranks[n])} of ${grouped(cells.v)}`],
    ["entropy", `${inUnits(cells.entropies[n], units).toFixed(4)} ${units}`],
  ];
  const list = make("dl", "", ...facts.flatMap(([what, value]) => [make("dt", "", what), make("dd", "", value)]));
  const parts = [make("div", "head", make("span", "", cells.title(n)), ...given, word), list];
  return [...parts, ...(cells.top(n).length ? [likeliest(cells, n)] : [])];
}

// Below the token if there is room, else above it; never beyond the edges of the window.
function place(box, rect) {
  const [width, height] = [box.offsetWidth, box.offsetHeight];
  const { clientWidth, clientHeight } = document.documentElement;
  const left = Math.max(8, Math.min(rect.left, clientWidth - width - 8));
  const above = rect.top - height - 6;
  const below = rect.bottom + 6;
  const top = below + height <= clientHeight - 8 ? below : above >= 8 ? above : Math.max(8, clientHeight - height - 8);
  box.style.left = `${left}px`;
  box.style.top = `${top}px`;
}

// A token that runs over the end of a line has two boxes, of which the first may be a mere blank.
export function boxOf(element) {
  const boxes = [...element.getClientRects()].sort((one, other) => other.width - one.width);
  return boxes[0] ?? element.getBoundingClientRect();
}

export function show(state, n) {
  const { cells, box, data } = state;
  const seen = cells.ks[n] >= 0 ? n : -1;
  if (seen === state.seen) return;
  state.seen = seen;
  if (seen < 0) return box.hidePopover();
  box.replaceChildren(...tip(cells, n, data.units));
  box.showPopover();
  place(box, boxOf(state.tokens[n]));
}

// When something scrolls, the tip stays with its token, and goes when that is out of sight.
export function follow(state) {
  if (state.seen < 0) return;
  const token = boxOf(state.tokens[state.seen]);
  const view = state.text.getBoundingClientRect();
  if (token.bottom < view.top || token.top > view.bottom) show(state, -1);
  else place(state.box, token);
}
