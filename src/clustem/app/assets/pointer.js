// SPDX-License-Identifier: GPL-3.0-or-later
// Tells the server where the mouse is, one message at a time: the next one goes when the last one
// was answered, so a slow line never queues up.
const state = (window.clustemPointer ??= { sent: source.tags[0] || 0, trips: [] });
if (what === "answer") {
  const answered = source.tags[0];
  if (answered !== state.sent) return;
  state.trips.push(performance.now() - state.since);
  if (state.trips.length > 500) state.trips.shift();
  state.waiting = false;
  if (state.next) { const [x, y] = state.next; state.next = null; send(x, y); }
  return;
}
const { x, y } = cb_obj;
if (x == null || y == null || !Number.isFinite(x) || !Number.isFinite(y)) return;
const late = state.waiting && performance.now() - state.since > 2000;
if (state.waiting && !late) state.next = [x, y];
else send(x, y);

function send(x, y) {
  state.sent += 1;
  state.waiting = true;
  state.since = performance.now();
  source.data = { x: [x], y: [y], n: [state.sent] };
}
