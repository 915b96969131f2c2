// Draws what replay_bar.py sends: one slider and one button that move figures, a text and marks on two charts.
// Nothing here asks the server, so a move is drawn at once. Text only ever goes through textContent.

import { make } from "./elements.js";

const PACE = 160; // milliseconds a look is shown while it plays
const SETTLE = 400; // milliseconds after the last move before the link is told

function begin(root) {
  const button = make("button", "play");
  button.type = "button";
  const slider = make("input", "slider");
  Object.assign(slider, { type: "range", min: 0, step: 1, ariaLabel: "Step of the run" });
  const step = make("output", "step");
  const figures = make("div", "figures");
  const sample = make("p", "sample");
  const rows = make("div", "rows");
  const marks = make("div", "marks");
  root.replaceChildren(make("div", "bar", button, make("span", "name", "step"), slider, step), figures, sample, rows, marks);
  const state = { root, button, slider, step, figures, sample, rows, marks, timer: 0, told: 0, stop: new AbortController() };
  const { signal } = state.stop;
  button.onclick = () => (state.timer ? pause(state) : play(state));
  slider.oninput = () => (pause(state), move(state, slider.valueAsNumber));
  const again = () => requestAnimationFrame(() => mark(state));
  window.addEventListener("resize", again, { signal });
  state.observer = new ResizeObserver(again);
  state.observer.observe(document.body);
  return state;
}

function play(state) {
  if (state.at >= state.data.looks.length - 1) move(state, 0);
  state.timer = setInterval(() => {
    move(state, state.at + 1);
    if (state.at >= state.data.looks.length - 1) pause(state);
  }, PACE);
  name(state);
}

function pause(state) {
  clearInterval(state.timer);
  state.timer = 0;
  name(state);
}

function name(state) {
  const ended = state.at >= state.data.looks.length - 1;
  state.button.textContent = state.timer ? "❚❚ Pause" : ended ? "↻ Play again" : "▶ Play";
}

function move(state, at) {
  state.at = Math.min(Math.max(at, 0), state.data.looks.length - 1);
  paint(state);
  clearTimeout(state.told);
  state.told = setTimeout(() => state.timer || state.send(state.data.looks[state.at].step), SETTLE);
}

function figure([label, value, kind]) {
  return make("div", `figure ${kind}`, make("span", "label", label), make("b", "", value));
}

// All samples lie in one place, and one of them is seen: so nothing below moves when a longer one comes.
const sample = (look) => make("span", "", make("span", "what", "At this step it writes: "), make("span", "text", look.sample));

function paint(state) {
  const look = state.data.looks[state.at];
  state.slider.max = state.data.looks.length - 1;
  state.slider.value = state.at;
  state.slider.ariaValueText = `step ${look.step}`;
  state.step.textContent = look.name;
  state.figures.replaceChildren(...look.figures.map(figure));
  state.sample.children[state.shown]?.classList.remove("now");
  state.sample.children[(state.shown = state.at)].classList.add("now");
  state.rows.replaceChildren(...look.rows.map(figure));
  name(state);
  mark(state);
}

// The marks lie in this element, over the charts: a chart has fixed margins, so its width says where a step is.
function mark(state) {
  const own = state.marks.getBoundingClientRect();
  const { curve, map, looks } = state.data;
  const look = looks[state.at];
  const found = [];
  const place = (className, left, top, width, height) => {
    const element = make("div", className);
    Object.assign(element.style, { left: `${left - own.left}px`, top: `${top - own.top}px`, width: `${width}px`, height: `${height}px` });
    found.push(element);
  };
  const plot = (chart) => {
    const drawn = document.querySelector(`.st-key-${chart.key} .main-svg`)?.getBoundingClientRect();
    return drawn?.width ? drawn : null;
  };
  const lines = plot(curve);
  if (lines) {
    const width = lines.width - curve.left - curve.right;
    const height = lines.height - curve.top - curve.bottom;
    const x = lines.left + curve.left + (width * look.step) / curve.last;
    place("line", x - 1, lines.top + curve.top, 2, height);
    look.losses.forEach((loss, n) => {
      const y = lines.top + curve.top + height * (1 - loss / curve.high);
      place(`dot dot-${n}`, x - 6, y - 6, 12, 12);
    });
  }
  const cells = map && plot(map);
  if (cells) {
    map.tops.forEach((top, n) => {
      const width = ((cells.width - map.left - map.right) * map.widths[n]) / Math.max(...map.widths);
      place("frame", cells.left + map.left - 2, cells.top + top + look.row * map.row - 1, width + 4, map.row + 2);
    });
  }
  state.marks.replaceChildren(...found);
}

const states = new WeakMap();

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".replay");
  const state = states.get(root) ?? begin(root);
  states.set(root, state);
  const other = state.data?.run !== data.run;
  state.data = data;
  state.send = (step) => setTriggerValue("moved", step);
  if (other) {
    pause(state);
    state.at = data.at;
  }
  state.at = Math.min(state.at, data.looks.length - 1);
  if (other) state.sample.replaceChildren(...data.looks.map(sample));
  paint(state);
  // The charts come after this element, and are drawn when they are.
  const charts = new MutationObserver(() => mark(state));
  charts.observe(document.querySelector("[data-testid=stMain]") ?? document.body, { childList: true, subtree: true });
  state.charts?.disconnect();
  state.charts = charts;
  return () => {
    clearInterval(state.timer);
    charts.disconnect();
    state.observer.disconnect();
    state.stop.abort();
  };
}
