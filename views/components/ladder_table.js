// Draws what ladder_table.py sends. Text from visitors and models only ever goes through textContent.

import { make } from "./elements.js";

const SVG = "http://www.w3.org/2000/svg";

function shape(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function miniature(column) {
  const svg = shape("svg", { viewBox: "0 0 100 30", preserveAspectRatio: "none", role: "img" });
  svg.setAttribute("aria-label", `the probabilities from most to least likely, target at ${column.rank}`);
  const last = column.curve.length - 1;
  const points = column.curve.map((height, k) => `${(100 * k) / last},${(30 - 28 * height).toFixed(1)}`);
  svg.append(shape("polygon", { class: "area", points: `0,30 ${points.join(" ")} 100,30` }));
  const x = 100 * column.place;
  svg.append(shape("line", { class: "target", x1: x, x2: x, y1: 0, y2: 30 }));
  return svg;
}

function token([label, id], kind) {
  const chip = make("span", `token ${kind}`, label);
  chip.title = `${label} (id ${id})`;
  return make("span", "pair", chip, make("span", "id", String(id)));
}

const figure = (text) => make("span", "figure", text);
const under = (text) => make("span", "under", text);

function bar(length) {
  const element = make("div", "bar");
  element.style.width = `${(5.6 * Math.max(0.02, length)).toFixed(3)}rem`;
  return element;
}

// The rows of the table: the number of the step (0: none), title, subtitle, what stands in a column, the note at the right.
const ROWS = [
  [0, "Input", () => "read so far", (c) => [token(c.input, "")], () => ""],
  [0, "Target", () => "what comes next", (c) => [token(c.target, "target")], () => ""],
  [0, "Output", () => "the model’s first choice", (c) => [token(c.output, "output")], (data) => data.notes.output],
  [1, "Logit", () => "score of the target", (c) => [figure(c.logit)], (data) => data.notes.logit],
  [2, "Softmax", (data) => data.all, (c) => [miniature(c), under(c.rank)], (data) => data.notes.softmax],
  [3, "Target probability", () => "the model’s bet", (c) => [figure(c.proba), under(c.odds)], (data) => data.notes.proba],
  [4, "Log", (data) => data.log, (c) => [figure(c.log), bar(c.bar)], (data) => data.notes.log],
];
const OTHER = [0, "", (data) => `${data.other}, beside it`, (c, data) => [make("span", `other ${data.other}`, c.other)], () => ""];

// A step of the table or of the result as a button that explains it, where the page can; else as text.
function stepName(number, title, explain) {
  if (!number) return title;
  const text = `${number} · ${title}`;
  if (!explain) return text;
  const button = make("button", "explain", text);
  button.type = "button";
  button.dataset.step = number;
  button.onclick = () => explain(number);
  return button;
}

function table(data, choose, explain) {
  const startsRow = (k) => k > 0 && data.columns[k].row !== data.columns[k - 1].row;
  const line = (head, kind, cellOf, note) => {
    const row = make("tr", kind, head);
    data.columns.forEach((column, k) => {
      if (startsRow(k)) row.append(make("td", "sep"));
      const cell = cellOf(column, k);
      cell.dataset.k = column.k;
      row.append(cell);
    });
    row.append(make("td", "note", note));
    return row;
  };

  const name = (column, k) => {
    const button = make("button", "pick", "p", make("sub", "", column.name));
    button.type = "button";
    button.dataset.k = column.k;
    button.setAttribute("aria-label", `p ${column.name}, target ${column.target[0]}`);
    button.onclick = () => choose(column.k);
    const first = k === 0 || startsRow(k);
    const cell = make("th", "cell", make("span", "rowname", first ? `row ${column.row}` : ""), button);
    cell.scope = "col";
    return cell;
  };

  const rows = data.other ? ROWS.toSpliced(-1, 0, OTHER) : ROWS;
  const body = rows.map(([number, title, subtitle, cells, note]) => {
    const head = make("th", "step", stepName(number, title, explain), make("small", "", subtitle(data)));
    head.scope = "row";
    if (number) head.dataset.step = number;
    const cellOf = (column) => {
      const cell = make("td", "cell", ...cells(column, data));
      cell.onclick = () => choose(column.k);
      return cell;
    };
    return line(head, number || title ? "" : "beside", cellOf, note(data));
  });

  const head = make("thead", "", line(make("td", "step"), "names", name, ""));
  return make("div", "scroll", make("table", "", head, make("tbody", "", ...body)));
}

function pages(data, choose) {
  const from = data.columns[0].k;
  const to = data.columns.at(-1).k;
  const step = (text, k, off) => {
    const button = make("button", "", text);
    button.type = "button";
    button.disabled = off;
    button.onclick = () => choose(k);
    return button;
  };
  return make(
    "div",
    "pages",
    step("← earlier", from - 1, from === 0),
    `columns ${from + 1} to ${to + 1} of ${data.count}; the mean is over all ${data.count}`,
    step("later →", to + 1, to + 1 === data.count),
  );
}

function flatten(data) {
  const many = data.count > 24;
  const boxes = (from, count) =>
    make("div", "list", ...Array.from({ length: count }, (_, k) => {
      const box = make("span", "box");
      box.dataset.k = from + k;
      return box;
    }));
  let from = 0;
  const rows = data.rows.map((count) => boxes((from += count) - count, count));
  return make(
    "div",
    `flatten${many ? " many" : ""}`,
    make("span", "what", "Flatten ", make("small", "", "rows become one list")),
    make("div", "stack", ...rows),
    make("span", "shape", data.shapes[0]),
    make("span", "arrow", "→"),
    boxes(0, data.count),
    make("span", "shape", data.shapes[1]),
  );
}

function result(data, explain) {
  const badge = make(
    "span",
    data.agrees ? "badge" : "badge differs",
    data.agrees ? `✓ ${data.equals} F.cross_entropy` : `✗ ${data.both[0]} here, ${data.both[1]} by F.cross_entropy`,
  );
  const part = (number, title, ...value) => {
    const element = make("span", "part", stepName(number, title, explain), " ", ...value);
    element.dataset.step = number;
    return element;
  };
  const power = make("span", "", `${data.base}`, make("sup", "", "loss"), " = perplexity ");
  badge.title =
    `${data.both[0]} by hand, ${data.both[1]} by torch.nn.functional.cross_entropy in float64, ` +
    `${data.float32} in float32; in nats`;
  return make(
    "div",
    "result",
    part(5, "Mean", make("small", "", data.count === 1 ? "of one log " : `of ${data.count} logs `), make("b", "", data.mean)),
    make("span", "arrow", "→"),
    part(6, "Minus", "cross-entropy loss ", make("b", "loss", data.loss)),
    make("span", "arrow", "→"),
    part(7, "Power", power, make("b", "", data.perplexity)),
    badge,
  );
}

function markStep(root, step) {
  for (const element of root.querySelectorAll("[data-step]")) {
    const on = Number(element.dataset.step) === step;
    element.classList.toggle("explained", on);
    if (element.matches("button")) element.setAttribute("aria-expanded", on);
  }
  root.querySelector(".flatten").hidden = step !== 1;
}

function mark(root, at) {
  for (const element of root.querySelectorAll("[data-k]")) {
    const on = Number(element.dataset.k) === at;
    element.classList.toggle("on", on);
    if (element.matches("button")) {
      element.tabIndex = on ? 0 : -1;
      element.setAttribute("aria-pressed", on);
    }
  }
}

function reveal(root, at, focus) {
  const button = root.querySelector(`button[data-k="${at}"]`);
  if (!button) return;
  if (focus) button.focus({ preventScroll: true });
  const scroll = root.querySelector(".scroll");
  const column = button.parentElement;
  const left = column.offsetLeft - root.querySelector(".step").offsetWidth;
  const right = Math.min(column.offsetLeft + column.offsetWidth + 32, scroll.scrollWidth); // clear of the fade
  if (left < scroll.scrollLeft) scroll.scrollLeft = left;
  if (right > scroll.scrollLeft + scroll.clientWidth) scroll.scrollLeft = right - scroll.clientWidth;
}

// Fades the right edge while there are columns beyond it.
function fade(scroll) {
  scroll.classList.toggle("more", scroll.scrollLeft + scroll.clientWidth < scroll.scrollWidth - 24);
}

const states = new WeakMap();

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".ladder");
  const state = states.get(root) ?? { drawn: null, at: 0, focus: false };
  states.set(root, state);

  const choose = (k) => {
    if (k < 0 || k >= state.count) return;
    state.focus = root.contains(root.getRootNode().activeElement);
    state.at = k;
    mark(root, k);
    reveal(root, k, state.focus);
    setTriggerValue("chosen", k);
  };

  const explain = data.explains && ((number) => setTriggerValue("step", number));

  root.onkeydown = (event) => {
    const step = { ArrowUp: data.step - 1, ArrowDown: data.step + 1 }[event.key];
    if (explain && step >= 0 && step <= 7 && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      event.stopPropagation();
      return explain(step);
    }
    const target = { ArrowLeft: state.at - 1, ArrowRight: state.at + 1, Home: 0, End: state.count - 1 }[event.key];
    if (target === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    choose(target);
  };

  state.count = data.count;
  state.at = data.at;
  const drawn = JSON.stringify({ ...data, at: 0, step: 0 });
  if (drawn !== state.drawn) {
    state.drawn = drawn;
    const scrolled = root.querySelector(".scroll")?.scrollLeft ?? 0;
    const parts = [table(data, choose, explain), result(data, explain), flatten(data)];
    if (data.count > data.columns.length) parts.unshift(pages(data, choose));
    root.replaceChildren(...parts);
    const scroll = root.querySelector(".scroll");
    scroll.scrollLeft = scrolled;
    scroll.onscroll = () => fade(scroll);
    new ResizeObserver(() => fade(scroll)).observe(scroll);
    mark(root, data.at);
    reveal(root, data.at, state.focus);
  } else {
    mark(root, data.at);
    const focused = root.getRootNode().activeElement;
    reveal(root, data.at, root.contains(focused) && focused.matches("button.pick"));
  }
  markStep(root, data.step);
}
