// SPDX-License-Identifier: GPL-3.0-or-later
// Asks again and again whether the server answers, says so where it does not, and comes back to the
// session when it does: the server keeps that, and gives the same one to the same browser.
(() => {
  const PAUSE = 500, PATIENCE = 1700; // between two questions, and for an answer [ms]
  const bar = document.getElementById("gone");
  let missed = 0, cut = false, watched = null;

  function watch() { // a lost websocket does not come back by itself
    const page = window.Bokeh?.documents?.[0];
    if (!page || page === watched) return;
    watched = page;
    page.on_event("connection_lost", () => { cut = true; });
  }

  async function ask() {
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), PATIENCE);
    let status = 0, late = false;
    try { status = (await fetch("alive", { cache: "no-store", signal: stop.signal })).status; }
    catch (_) { late = stop.signal.aborted; }
    clearTimeout(timer);
    missed = status ? 0 : missed + (late ? 2 : 1);
    bar.hidden = missed < 2 && !cut;
    if (status && cut) { location.reload(); return; }
    watch();
    setTimeout(ask, PAUSE);
  }
  ask();
})();
