// What token_strip.py sends, unpacked: numbers for the eye, the step of a colour, the figure under a token.

const LOSSES = 16; // nats: the scale of losses, unless the text has larger ones
const MARKS = { " ": "·", "\n": "↵", "\t": "⇥" };

// Numbers as in gptloss/numbers.py; a test compares them.
export function grouped(number) {
  return String(Math.round(number)).replace(/\B(?=(\d{3})+$)/g, ",");
}

function power(log, digits = 2) {
  const log10 = log / Math.LN10;
  let exponent = Math.floor(log10);
  let mantissa = (10 ** (log10 - exponent)).toFixed(digits);
  if (mantissa.startsWith("10")) [mantissa, exponent] = [(1).toFixed(digits), exponent + 1];
  return `${mantissa}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
}

export function probaText(log, digits = 2) {
  if (log > Math.log(0.99995)) {
    const rest = -Math.expm1(log);
    const [mantissa, exponent] = rest.toExponential(1).split("e-");
    return rest > 0 ? `1 - ${Number(mantissa)}e-${exponent.padStart(2, "0")}` : "1.0000";
  }
  return log >= Math.log(0.001) ? Math.exp(log).toPrecision(Math.max(4, digits + 1)) : power(log, digits);
}

export function oddsText(log) {
  if (-log < Math.LN10) return `1 in ${Math.exp(-log).toFixed(2)}`;
  return `1 in ${-log < Math.log(1e12) ? grouped(Math.exp(-log)) : power(-log)}`;
}

export const inUnits = (nats, units) => (units === "bits" ? nats / Math.LN2 : nats);
const BYTES = /^<[0-9A-F]{2}( [0-9A-F]{2})*>$/;
export const visible = (text) => (BYTES.test(text) ? text : text.replace(/[ \n\t]/g, (blank) => MARKS[blank]));

function unpack(text, Kind) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let k = 0; k < binary.length; k++) bytes[k] = binary.charCodeAt(k);
  return new Kind(bytes.buffer);
}

export function unpacked(data) {
  const words = data.words.split("\r");
  const texts = unpack(data.texts, Int32Array);
  const tops = unpack(data.top_texts, words.length <= 1 << 16 ? Uint16Array : Int32Array);
  const givens = unpack(data.givens, Int32Array);
  const titles = data.titles.split("\r");
  const logs = unpack(data.log_probas, Float32Array);
  const topLogs = unpack(data.top_log_probas, Float32Array);
  return {
    ks: unpack(data.ks, Int32Array),
    ranks: unpack(data.ranks, Int32Array),
    entropies: unpack(data.entropies, Float32Array),
    logs,
    range: logs.reduce((most, log) => (-log > most ? 4 * Math.ceil(-log / 4) : most), LOSSES),
    v: data.v,
    lnV: Math.log(data.v),
    text: (n) => words[texts[n]],
    label: (n) => visible(words[texts[n]]),
    given: (n) => visible(words[givens[n] ?? 0]),
    title: (n) => titles[n] ?? "",
    top: (n) => Array.from({ length: data.width }, (_, k) => n * data.width + k)
      .filter((k) => !Number.isNaN(topLogs[k]))
      .map((k) => [visible(words[tops[k]]), topLogs[k]]),
  };
}

const linear = (part) => Math.min(8, Math.max(0, Math.floor(9 * part)));

// The step of a token, 0 to 8; classes are spread over all nine.
export const STEP = {
  loss: (cells, n) => linear(-cells.logs[n] / cells.range),
  probability: (cells, n) => [0, 1, 3, 4, 5, 7, 8][Math.min(6, Math.max(0, Math.floor(-cells.logs[n] / Math.LN10)))],
  rank: (cells, n) => [0, 2, 4, 6, 8][[1, 10, 100, 1000, Infinity].findIndex((most) => cells.ranks[n] <= most)],
  entropy: (cells, n) => linear(cells.entropies[n] / cells.lnV),
};

export const FIGURE = {
  loss: (cells, n, units) => inUnits(-cells.logs[n], units).toFixed(2),
  probability: (cells, n) => probaText(cells.logs[n], 1),
  rank: (cells, n) => grouped(cells.ranks[n]),
  entropy: (cells, n, units) => inUnits(cells.entropies[n], units).toFixed(2),
};

export function spoken(cells, n, units) {
  const loss = `loss ${inUnits(-cells.logs[n], units).toFixed(4)} ${units}`;
  return [cells.title(n), `token ${cells.label(n)}`, loss, `rank ${grouped(cells.ranks[n])}`].filter(Boolean).join(", ");
}
