// Line charts in SVG, drawn in real pixels: text is never stretched, colours follow the theme by themselves.

const SVG = "http://www.w3.org/2000/svg";
const TOP = 8, BOTTOM = 18, RIGHT = 2;
const COLOURS = 8;

function svg(tag, attributes, parent) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  parent?.append(element);
  return element;
}

export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

export function colour(index) {
  return `c${index % COLOURS}`;
}

/** The least of 1, 2, 2.5, 5 times a power of ten that is not below the value. */
function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 5, 10].find((step) => step * power >= value * 0.9999) * power;
}

/** All charts share a crosshair: what happened at the same time is seen at once. */
class Crosshair {
  charts = new Set();
  at = null;

  move(at) {
    this.at = at;
    for (const chart of this.charts) chart.point();
  }
}

export const crosshair = new Crosshair();

export class Chart {
  /**
   * title, unit: said above it.  floor: the scale never ends below that, or noise would look like drama.
   * format(value): as text.  names: labels of series whose keys are no words.
   */
  constructor({ title, unit, floor, format, small = false }) {
    this.floor = floor;
    this.format = format;
    this.small = small;
    this.unit = make("small", { textContent: unit });
    this.plot = make("div", { className: "plot" });
    this.legend = make("ul", { className: "legend" });
    this.element = make("figure", { className: "chart" },
      make("figcaption", {}, make("h2", { textContent: title }), this.unit), this.plot, this.legend);
    this.title = title;
    this.picture = svg("svg", { role: "img" }, this.plot);
    this.series = [];
    this.times = [];
    this.plot.addEventListener("pointermove", (event) => this.pointed(event));
    this.plot.addEventListener("pointerleave", () => crosshair.move(null));
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.plot);
    crosshair.charts.add(this);
  }

  remove() {
    crosshair.charts.delete(this);
    this.observer.disconnect();
    this.element.remove();
  }

  /** times in ms, ascending; series: {label, values, colour, filled}; from and until: what is shown; gap: ms that part a line. */
  show(times, series, from, until, gap) {
    Object.assign(this, { times, series, from, until, gap });
    this.draw();
  }

  draw() {
    const width = this.plot.clientWidth, height = this.plot.clientHeight;
    if (!width || this.until === undefined) return;
    this.picture.replaceChildren();
    this.picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.first = this.times.findIndex((time) => time >= this.from);
    if (this.first < 0) this.first = this.times.length;
    let most = this.floor;
    for (const { values } of this.series) {
      for (let i = this.first; i < values.length; i++) if (values[i] > most) most = values[i];
    }
    const top = ceiling(most);
    const ticks = this.small ? [0, top] : [0, top / 2, top];
    const left = 8 + 6.4 * Math.max(...ticks.map((tick) => this.format(tick).length));
    const bottom = height - BOTTOM, x0 = left, x1 = width - RIGHT;
    this.x = (time) => x0 + ((time - this.from) / (this.until - this.from)) * (x1 - x0);
    this.time = (x) => this.from + ((x - x0) / (x1 - x0)) * (this.until - this.from);
    this.y = (value) => bottom - (value / top) * (bottom - TOP);
    for (const tick of ticks) {
      const y = Math.round(this.y(tick)) + 0.5;
      svg("line", { x1: x0, x2: x1, y1: y, y2: y, class: tick ? "grid" : "base" }, this.picture);
      svg("text", { x: left - 6, y: y + 4, "text-anchor": "end" }, this.picture).textContent = this.format(tick);
    }
    this.label(bottom);
    for (const series of this.series) this.line(series, bottom);
    this.marks = svg("g", {}, this.picture);
    this.point();
  }

  label(bottom) {
    const span = (this.until - this.from) / 60_000;
    const step = span > 12 ? 5 : span > 4 ? 1 : 0.5;
    for (let back = 0; back <= span + 0.01; back += step) {
      const x = this.x(this.until - back * 60_000);
      const anchor = back === 0 ? "end" : back > span - 0.01 ? "start" : "middle";
      if (this.small && back && back < span) continue;
      const crowded = this.x(this.until) - this.x(this.until - step * 60_000) < 75;
      if (anchor === "start" && crowded) continue; // it would run into its neighbour
      svg("text", { x, y: bottom + 14, "text-anchor": anchor }, this.picture).textContent =
        back === 0 ? "now" : step < 1 ? `−${back * 60} s` : `−${back} min`;
    }
  }

  line({ values, colour: name, filled }, bottom) {
    let path = "", area = "", run = [];
    const finish = () => {
      if (!run.length) return;
      // A lonely value is a dot: a line of no length with round ends.
      path += `M${run.length > 1 ? run.join("L") : `${run[0]}h.01`}`;
      if (filled && run.length > 1) {
        area += `M${run[0].split(" ")[0]} ${bottom}L${run.join("L")}L${run.at(-1).split(" ")[0]} ${bottom}Z`;
      }
      run = [];
    };
    for (let i = this.first; i < this.times.length; i++) {
      const value = values[i];
      if (i > this.first && this.times[i] - this.times[i - 1] > this.gap) finish();
      if (value === null || value === undefined) finish();
      else run.push(`${this.x(this.times[i]).toFixed(1)} ${this.y(value).toFixed(1)}`);
    }
    finish();
    if (area) svg("path", { d: area, class: `area ${name}` }, this.picture);
    if (path) svg("path", { d: path, class: `curve ${name}` }, this.picture);
  }

  pointed(event) {
    if (!this.time) return;
    const time = this.time(event.clientX - this.plot.getBoundingClientRect().left);
    crosshair.move(Math.min(Math.max(time, this.from), this.until));
  }

  /** The sample that the crosshair is at; without one, the last. */
  index() {
    const last = this.times.length - 1;
    if (crosshair.at === null || last < 0) return last;
    let best = last;
    for (let i = this.first; i <= last; i++) {
      if (Math.abs(this.times[i] - crosshair.at) < Math.abs(this.times[best] - crosshair.at)) best = i;
    }
    return best;
  }

  point() {
    if (!this.marks) return;
    const index = this.index();
    this.marks.replaceChildren();
    const values = this.series.map(({ values }) => values[index] ?? null);
    if (crosshair.at !== null && index >= 0 && this.times[index] >= this.from) {
      const x = this.x(this.times[index]);
      svg("line", { x1: x, x2: x, y1: TOP, y2: this.y(0), class: "cross" }, this.marks);
      values.forEach((value, i) => {
        if (value !== null) svg("circle", { cx: x, cy: this.y(value), r: 3.5, class: `dot ${this.series[i].colour}` }, this.marks);
      });
    }
    const said = values.map((value) => (value === null ? "–" : this.format(value)));
    this.legend.replaceChildren(...this.series.map(({ label, colour: name }, i) =>
      make("li", {}, make("i", { className: `key ${name}` }), `${label} `, make("b", { textContent: said[i] }))));
    this.picture.setAttribute("aria-label",
      `${this.title}: ${this.series.map(({ label }, i) => `${label} ${said[i]}`).join(", ")}`);
  }
}
