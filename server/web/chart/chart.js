// Lines as SVG, with the values under the pointer. A chart is
//   { title, x, nines, unit, log, lines: [{ label, points: [[x, y], …] }, …] }
// with ascending x; the Go package beside this file says what each member means.
const chart = (() => {
  "use strict";
  const top = 46, bottom = 44, right = 14;
  const escape = s => String(s).replace(/[&<>"']/g, c => `&#${c.charCodeAt(0)};`);
  const round = v => String(+v.toPrecision(4));
  const colour = i => `var(--chart-${i % 6})`;

  // words writes a value with its unit.
  function words(unit, v) {
    let steps = [[1e9, "G"], [1e6, "M"], [1e3, "k"]];
    if (unit === "B") steps = [[2 ** 30, " GB"], [2 ** 20, " MB"], [2 ** 10, " KB"], [1, " B"]];
    if (unit === "ms") steps = [[1e3, " s"], [1, " ms"], [1e-3, " µs"]];
    for (const [size, name] of steps) if (Math.abs(v) >= size) return round(v / size) + name;
    return round(v);
  }

  // place writes a place on the axis: seconds, or a percentile.
  function place(c, v) {
    if (!c.nines) return round(v);
    if (Number.isInteger(v)) return v < 3 ? ["0 %", "90 %", "99 %"][v] : "99." + "9".repeat(v - 2) + " %";
    return (100 - 100 * 10 ** -v).toFixed(Math.min(5, Math.ceil(v) + 1)) + " %";
  }

  // ticks are round numbers from low to high, about `most` of them at most; bytes are
  // round in powers of two.
  function ticks(low, high, most, bytes) {
    const rough = Math.max((high - low) / most, Number.MIN_VALUE);
    let step;
    if (bytes) step = 2 ** Math.ceil(Math.log2(rough));
    else {
      const ten = 10 ** Math.floor(Math.log10(rough));
      step = ten * [1, 2, 5, 10].find(k => k * ten >= rough * (1 - 1e-9));
    }
    const out = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++)
      out.push(+(k * step).toPrecision(12));
    return out;
  }

  // logTicks are powers of ten, with 2 and 5 between them where there are few.
  function logTicks(low, high) {
    const from = Math.floor(Math.log10(low) + 1e-9), to = Math.ceil(Math.log10(high) - 1e-9), out = [];
    const each = high / low <= 100 ? [1, 2, 5] : [1], skip = Math.max(1, Math.ceil((to - from) / 6));
    for (let k = from; k <= to; k += skip) for (const m of each) {
      const v = +(m * 10 ** k).toPrecision(12);
      if (v >= low * 0.999 && v <= high * 1.001) out.push(v);
    }
    return out;
  }

  // layout says where everything stands: scales are functions from values to pixels.
  function layout(c, width, height) {
    const xs = c.lines.flatMap(l => l.points.map(p => p[0])), ys = c.lines.flatMap(l => l.points.map(p => p[1]));
    const least = v => v.reduce((a, b) => Math.min(a, b)), most = v => v.reduce((a, b) => Math.max(a, b));
    let [x0, x1, y0, y1] = [least(xs), most(xs), least(ys), most(ys)];
    if (x0 === x1) x1 = x0 + 1;
    if (c.log) [y0, y1] = y0 === y1 ? [y0 / 2, y1 * 2] : [y0 / 1.1, y1 * 1.1];
    else [y0, y1] = [Math.min(0, y0), y1 > 0 ? y1 * 1.08 : 1];
    const yTicks = c.log ? logTicks(y0, y1) : ticks(y0, y1, 6, c.unit === "B");
    const left = 14 + 7 * most([3, ...yTicks.map(v => words(c.unit, v).length)]);
    let xTicks = ticks(x0, x1, Math.max(2, Math.floor((width - left) / 70)));
    if (c.nines) xTicks = xTicks.filter(Number.isInteger);
    const f = c.log ? Math.log : v => v;
    const x = v => left + (v - x0) / (x1 - x0) * (width - left - right);
    const y = v => height - bottom - (f(v) - f(y0)) / (f(y1) - f(y0)) * (height - top - bottom);
    return { x, y, x0, x1, xTicks, yTicks, left, width, height };
  }

  // svg is the chart as text.
  function svg(c, width, height) {
    const at = layout(c, width, height), px = v => v.toFixed(1), out = [];
    const foot = height - bottom, end = px(width - right), middle = px((at.left + width - right) / 2);
    out.push(`<text class="chart-title" x="0" y="15">${escape(c.title)}</text>`);
    let legend = 0;
    c.lines.forEach((l, i) => {
      out.push(`<rect x="${legend}" y="26" width="14" height="4" style="fill:${colour(i)}"/>`,
        `<text x="${legend + 19}" y="32">${escape(l.label)}</text>`);
      legend += 34 + 7 * l.label.length;
    });
    for (const v of at.yTicks) out.push(
      `<line class="chart-grid" x1="${px(at.left)}" x2="${end}" y1="${px(at.y(v))}" y2="${px(at.y(v))}"/>`,
      `<text x="${px(at.left - 6)}" y="${px(at.y(v) + 4)}" text-anchor="end">${escape(words(c.unit, v))}</text>`);
    for (const v of at.xTicks) out.push(
      `<line class="chart-grid" x1="${px(at.x(v))}" x2="${px(at.x(v))}" y1="${foot}" y2="${foot + 4}"/>`,
      `<text x="${px(at.x(v))}" y="${foot + 18}" text-anchor="middle">${escape(place(c, v))}</text>`);
    out.push(`<text x="${middle}" y="${height - 6}" text-anchor="middle">${escape(c.x)}</text>`);
    c.lines.forEach((l, i) => out.push(`<path class="chart-line" style="stroke:${colour(i)}" d="${
      l.points.map((p, k) => (k ? "L" : "M") + px(at.x(p[0])) + " " + px(at.y(p[1]))).join("")}"/>`));
    out.push(`<line class="chart-cursor" y1="${top}" y2="${foot}" visibility="hidden"/>`);
    return `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escape(c.title)}">${out.join("")}</svg>`;
  }

  // nearest is the point whose x is closest.
  function nearest(points, x) {
    let low = 0, high = points.length - 1;
    while (low < high) {
      const mid = (low + high) >> 1;
      if (points[mid][0] < x) low = mid + 1; else high = mid;
    }
    return low > 0 && x - points[low - 1][0] <= points[low][0] - x ? points[low - 1] : points[low];
  }

  // tip says what all lines have near a place on the axis.
  function tip(c, x) {
    const all = c.lines.map(l => nearest(l.points, x));
    const here = all.reduce((a, b) => Math.abs(b[0] - x) < Math.abs(a[0] - x) ? b : a)[0];
    const dot = i => `<span style="color:${colour(i)}">●</span>`;
    const row = (l, i) => `${dot(i)} ${escape(l.label)} <b>${words(c.unit, all[i][1])}</b>`;
    const rows = c.lines.map((l, i) => `<div>${row(l, i)}</div>`);
    return { x: here, html: `<div>${escape(place(c, here))}${c.nines ? "" : " s"}</div>${rows.join("")}` };
  }

  // draw shows a chart in an element, which it fills, and follows its width.
  function draw(element, c) {
    element.classList.add("chart");
    let width = 0;
    const paint = () => {
      const now = Math.max(280, Math.round(element.clientWidth || 540));
      if (now === width) return;
      width = now;
      const at = layout(c, width, 280);
      element.innerHTML = svg(c, width, 280) + `<div class="chart-tip" hidden></div>`;
      const [picture, box] = element.children, cursor = picture.querySelector(".chart-cursor");
      const hide = () => { box.hidden = true; cursor.setAttribute("visibility", "hidden"); };
      picture.addEventListener("pointerleave", hide);
      picture.addEventListener("pointermove", e => {
        const r = picture.getBoundingClientRect(), place = (e.clientX - r.left) / r.width * width;
        const share = (place - at.left) / (width - at.left - right);
        if (share < 0 || share > 1) return hide();
        const t = tip(c, at.x0 + share * (at.x1 - at.x0)), px = at.x(t.x);
        cursor.setAttribute("x1", px); cursor.setAttribute("x2", px); cursor.setAttribute("visibility", "visible");
        box.innerHTML = t.html; box.hidden = false;
        box.style.left = Math.min(px + 12, Math.max(0, width - box.offsetWidth)) + "px";
        if (px + 12 + box.offsetWidth > width) box.style.left = Math.max(0, px - 12 - box.offsetWidth) + "px";
      });
    };
    paint();
    if (typeof ResizeObserver !== "undefined") new ResizeObserver(paint).observe(element);
  }
  return { draw, svg, tip, ticks, logTicks, words, place, nearest };
})();
if (typeof module !== "undefined") module.exports = chart;
