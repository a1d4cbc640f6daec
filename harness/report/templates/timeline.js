(function () {
  "use strict";
  const data = JSON.parse(document.getElementById("chart-data").textContent);
  const item = { docid: "report", roots: data.roots, root_ids: Object.keys(data.roots) };
  Bokeh.embed.embed_items({ report: data.document }, [item]).then(function (views) {
    const figures = Array.from(views[0].roots || views[0]).map((view) => view.model);
    const range = figures[0].x_range;
    const buttons = document.querySelectorAll(".zoom button");
    // A finger scrolls the page; a mouse drags a range of time.
    if (matchMedia("(pointer: fine)").matches) {
      for (const figure of figures) figure.toolbar.active_drag = figure.toolbar.tools[0];
    }
    const press = () => buttons.forEach((button) => button.setAttribute("aria-pressed",
      String(Math.abs(button.dataset.start - range.start) < 0.01 && Math.abs(button.dataset.end - range.end) < 0.01)));
    buttons.forEach((button) => button.addEventListener("click", () =>
      range.setv({ start: Number(button.dataset.start), end: Number(button.dataset.end) })));
    range.change.connect(press);
    press();
  });
})();
