// Shows what figure.tags names (left, right, top, bottom) as large as it fits, in equal units.
const [left, right, top, bottom] = figure.tags;
const width = figure.inner_width, height = figure.inner_height;
if (!(width > 0 && height > 0) || bottom == null) return;
const unit = Math.max(Math.abs(right - left) / width, Math.abs(bottom - top) / height);
const x = (left + right) / 2, y = (top + bottom) / 2;
const w = (unit * width) / 2 * Math.sign(right - left), h = (unit * height) / 2 * Math.sign(bottom - top);
figure.x_range.setv({ start: x - w, end: x + w, reset_start: x - w, reset_end: x + w });
figure.y_range.setv({ start: y + h, end: y - h, reset_start: y + h, reset_end: y - h });
