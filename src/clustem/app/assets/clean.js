// SPDX-License-Identifier: GPL-3.0-or-later
// Bokeh clears its canvases from half a dot on, so that what once was in the first row and column
// of dots stays, and does not paint anew what a change of the layout has moved. Both leave ghosts:
// ticks beside an axis, pieces of frames and of former maps. A lasso that begins outside the frame,
// where Bokeh starts none, is an error at each of its moves.
(() => {
  const LABELS = { // for who cannot see the canvases
    map: "Map; the arrow keys move its cursor in the field above", study: "All maps at one scale",
    spectrum: "Spectrum under the cursor", here: "Pattern under the cursor", center: "Center of its cluster",
    cloud: "Data space", centers: "Centers of the clusters", memberships: "Membership maps",
    sweep: "Scores over the number of clusters", lineage: "Clusters over their number",
    "side-left": "Left clustering", "side-right": "Right clustering", detector: "Mean pattern",
  };
  const owner = (view, name) => {
    let found = view;
    while (found && !Object.hasOwn(found, name)) found = Object.getPrototypeOf(found);
    return found;
  };
  function mend() {
    const views = window.Bokeh?.index?.all_views ? [...window.Bokeh.index.all_views()] : [];
    const figure = views.find((view) => view.canvas_view?.primary);
    const lasso = views.find((view) => view.model.type === "LassoSelectTool");
    if (!figure || !lasso) { setTimeout(mend, 200); return; }
    const layer = owner(figure.canvas_view.primary, "clear"), plot = owner(figure, "_after_layout");
    if (!layer || !plot) return; // another Bokeh
    layer.clear = function () {
      this.ctx.save();
      this.ctx.setTransform(1, 0, 0, 1, 0, 0);
      this.ctx.clearRect(0, 0, this.ctx.canvas.width, this.ctx.canvas.height);
      this.ctx.restore();
    };
    const laid = plot._after_layout;
    plot._after_layout = function (...given) {
      laid.apply(this, given);
      const box = this.frame?.bbox, { inner_width, inner_height } = this.model;
      const place = String([box?.left, box?.top, inner_width, inner_height]);
      if (this.clustem_place === place) return; // nothing has moved
      this.clustem_place = place;
      requestAnimationFrame(() => this.request_repaint());
    };
    const selects = owner(lasso, "_pan");
    for (const step of selects ? ["_pan", "_pan_end"] : []) {
      const done = selects[step];
      selects[step] = function (...given) {
        if (this._is_selecting !== false) done.apply(this, given);
      };
    }
    for (const view of views) {
      view.request_repaint?.();
      const label = LABELS[view.model.name];
      if (!label || !view.el) continue;
      view.el.setAttribute("role", "img");
      view.el.setAttribute("aria-label", label);
    }
  }
  mend();
})();
