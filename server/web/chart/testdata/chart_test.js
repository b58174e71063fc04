"use strict";
const assert = require("node:assert");
const chart = require("../chart.js");

const same = (got, want) => assert.deepStrictEqual(got, want);
same(chart.ticks(0, 10, 5), [0, 2, 4, 6, 8, 10]);
same(chart.ticks(-1.2, 1, 5), [-1, -0.5, 0, 0.5, 1]);
same(chart.ticks(0, 1, 10), [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]);
same(chart.ticks(0, 3 * 2 ** 20, 6, true), [0, 1, 2, 3, 4, 5, 6].map(k => k * 2 ** 19));
same(chart.logTicks(0.9, 40), [1, 2, 5, 10, 20]);
same(chart.logTicks(0.01, 5000), [0.01, 0.1, 1, 10, 100, 1000]);
assert(chart.logTicks(1e-9, 1e9).length <= 8);

same(chart.words("ms", 1234), "1.234 s");
same(chart.words("ms", 0.25), "250 µs");
same(chart.words("B", 1536), "1.5 KB");
same(chart.words("", 16e6), "16M");
same(chart.words("", 0), "0");
same([0, 1, 2, 3, 5].map(v => chart.place({ nines: true }, v)), ["0 %", "90 %", "99 %", "99.9 %", "99.999 %"]);
same(chart.place({ nines: true }, 1.30103), "95.000 %");

const points = [[0, 1], [1, 5], [4, 2]];
same([-1, 0.4, 0.6, 2.4, 2.6, 9].map(x => chart.nearest(points, x)[0]), [0, 0, 1, 1, 4, 4]);

const c = { title: "a <b> & c", x: "seconds", unit: "ms", lines: [{ label: "p50", points }, { label: "\"x\"", points: [[1, 3]] }] };
const svg = chart.svg(c, 540, 280);
assert(!svg.includes("<b>") && !svg.includes("NaN") && !svg.includes("Infinity"), svg);
same(svg.split("<path ").length, 3);
for (const label of ["p50", "seconds", "2 ms", "4 ms"]) assert(svg.includes(">" + label + "<"), label);
const tip = chart.tip(c, 3.5);
same(tip.x, 4);
assert(tip.html.includes("4 s") && tip.html.includes("<b>2 ms</b>") && tip.html.includes("<b>3 ms</b>"), tip.html);

// One point, all values alike, and nothing but zeros are drawn too.
for (const log of [false, true]) for (const p of [[[3, 7]], [[1, 7], [2, 7]], [[1, log ? 1 : 0]]])
  assert(!/NaN|Infinity/.test(chart.svg({ title: "t", x: "x", log, lines: [{ label: "l", points: p }] }, 300, 280)));
console.log("passed");
