// SPDX-License-Identifier: GPL-3.0-or-later
// Keeps a scale bar in the lower left corner of the image that figure.tags names (left, right, top,
// bottom), as far as it is in view, and shorter than it: at least the share that the bar's own tag
// names. Bokeh takes the next length of 1, 2, 5 ... above what it is asked for.
const bar = figure.center.find((part) => part.type === "ScaleBar");
const [left, right, , bottom] = figure.tags;
if (bar == null || bottom == null) return;
const { x_range: x, y_range: y } = figure;
const begin = Math.max(left, Math.min(x.start, x.end));
const end = Math.min(right, Math.max(x.start, x.end));
const length = (bar.tags[0] * Math.max(end - begin, 0)) / Math.abs(x.end - x.start);
const at = [begin, Math.min(bottom, Math.max(y.start, y.end))];
if (String(at) !== String(bar.location)) bar.location = at;
if (length > 0 && length !== bar.bar_length) bar.bar_length = length;
