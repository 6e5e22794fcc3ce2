// Live curves: each metric of a job drawn by uPlot over environment steps, all with one cursor.
"use strict";

const PLOT_HEIGHT = 132;
const SPREAD = 1000;

function scaled(value, unit, digits) {
  for (const [factor, prefix] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (Math.abs(value) >= factor) return `${(value / factor).toPrecision(digits)} ${prefix}${unit}`;
  }
  return unit ? `${value} ${unit}` : Number(value.toPrecision(digits)).toString();
}

const WRITE = {
  number: (value) => (value === 0 ? "0" : Number(value.toPrecision(3)).toString()),
  rate: (value) => scaled(value, "", 3),
  size: (value) => scaled(value, "B", 4),
};

class Curves {
  constructor(root) {
    this.root = root;
    this.job = root.dataset.job;
    this.curves = [...root.querySelectorAll("figure[data-metric]")].map((figure) => new Curve(figure));
    new ResizeObserver(() => this.curves.forEach((curve) => curve.resize())).observe(root);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.curves.forEach((curve) => curve.redraw()));
  }

  // All points so far, thinned by the service to what a curve can show.
  async load() {
    const names = this.curves.map((curve) => curve.name).join(",");
    const answer = await fetch(`/jobs/${encodeURIComponent(this.job)}/metrics?names=${names}&spread=${SPREAD}&limit=10000`);
    if (!answer.ok) return;
    const { points } = await answer.json();
    for (const curve of this.curves) {
      const own = points.filter((point) => point.name === curve.name);
      curve.replace(own.map((point) => point.step), own.map((point) => point.value));
    }
  }

  // What a progress event says. A run that was resumed may stand before points that are drawn already.
  add(progress) {
    for (const curve of this.curves) curve.add(progress.global_step, progress[curve.name]);
    if (Math.max(...this.curves.map((curve) => curve.steps.length)) > 4 * SPREAD) this.load();
  }
}

class Curve {
  constructor(figure) {
    this.figure = figure;
    this.name = figure.dataset.metric;
    this.write = WRITE[figure.dataset.style];
    this.box = figure.querySelector(".plot");
    this.latest = figure.querySelector("output");
    this.title = figure.querySelector("strong").textContent;
    this.steps = [];
    this.values = [];
    this.plot = null;
  }

  replace(steps, values) {
    [this.steps, this.values] = [steps, values];
    this.show();
  }

  add(step, value) {
    while (this.steps.length && this.steps[this.steps.length - 1] >= step) { this.steps.pop(); this.values.pop(); }
    if (typeof value === "number") { this.steps.push(step); this.values.push(value); }
    this.show();
  }

  show() {
    const count = this.steps.length;
    this.figure.dataset.points = count;
    if (!count) return;
    if (this.plot) this.plot.setData([this.steps, this.values]); else this.draw();
    this.tell(count - 1);
    const at = this.steps[count - 1].toLocaleString("en");
    this.box.setAttribute("aria-label", `${this.title}: ${this.write(this.values[count - 1])} at step ${at}`);
  }

  tell(place) {
    if (this.values.length) this.latest.textContent = this.write(this.values[place ?? this.values.length - 1]);
  }

  draw() {
    const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif", gap: 2 };
    this.box.replaceChildren();
    this.box.setAttribute("role", "img");
    this.plot = new uPlot({
      width: Math.max(160, this.box.clientWidth),
      height: PLOT_HEIGHT,
      legend: { show: false },
      padding: [6, 20, 0, 0],
      cursor: { sync: { key: `job-${this.figure.parentElement.dataset.job}` }, y: false, drag: { x: false, y: false }, points: { size: 6 } },
      scales: { x: { time: false }, y: { range: (_, low, high) => (low === high ? [low - (Math.abs(low) || 1) / 10, high + (Math.abs(high) || 1) / 10] : uPlot.rangeNum(low, high, 0.08, false)) } },
      axes: [
        { ...axis, size: 22, space: 80, values: (_, ticks) => ticks.map((tick) => scaled(tick, "", 3)) },
        { ...axis, size: 60, space: 34, values: (_, ticks) => ticks.map((tick) => this.label(tick)) },
      ],
      series: [{}, { stroke: colour("--accent"), width: 1.5, points: { show: false } }],
      hooks: { setCursor: [(plot) => this.tell(plot.cursor.idx)] },
    }, [this.steps, this.values], this.box);
  }

  // Ticks are round already: only what floating point added is cut off.
  label(tick) {
    return this.write === WRITE.number ? String(Number(tick.toPrecision(6))) : this.write(tick);
  }

  redraw() {
    if (!this.plot) return;
    this.plot.destroy();
    this.draw();
  }

  resize() {
    const width = this.box.clientWidth;
    if (this.plot && width && width !== this.plot.width) this.plot.setSize({ width, height: PLOT_HEIGHT });
  }
}
