// SPDX-License-Identifier: GPL-3.0-or-later
// Shows what figure.tags names (left, right, top, bottom) as large as it fits, in equal units. Where
// it also names the width of an image's pixel, each takes as many whole dots of the screen as fit,
// and the image begins at a whole dot, so that no dot mixes two colors and all pixels are alike.
const [left, right, top, bottom, pixel] = figure.tags;
const width = figure.inner_width, height = figure.inner_height;
if (!(width > 0 && height > 0) || bottom == null) return;
// Other ranges may have wider labels, which leave another size, and so on: not for ever.
const now = performance.now(), size = String([figure.tags, width, height]);
const [last, before, at, turns] = figure.clustem_sizes ?? ["", "", 0, 0];
const again = size === before && size !== last && now - at < 1000 ? turns + 1 : 0;
figure.clustem_sizes = [size, last, now, again];
if (again > 5) return;
const dots = window.devicePixelRatio || 1;
let unit = Math.max(Math.abs(right - left) / width, Math.abs(bottom - top) / height);
const fitting = (pixel / unit) * dots;
if (fitting >= 2) unit = (pixel * dots) / Math.floor(fitting + 1e-6);
const begin = (from, to, size) => {
  const margin = (size - Math.abs(to - from) / unit) / 2;
  return from - Math.sign(to - from) * (Math.floor(margin * dots) / dots) * unit;
};
const x = begin(left, right, width), y = begin(top, bottom, height);
const x_end = x + Math.sign(right - left) * unit * width;
const y_end = y + Math.sign(bottom - top) * unit * height;
figure.x_range.setv({ start: x, end: x_end, reset_start: x, reset_end: x_end });
figure.y_range.setv({ start: y_end, end: y, reset_start: y_end, reset_end: y });
