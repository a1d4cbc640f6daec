(function () {
  "use strict";
  const data = JSON.parse(document.getElementById("chart-data").textContent);
  const item = { docid: "report", roots: data.roots, root_ids: Object.keys(data.roots) };
  Bokeh.embed.embed_items({ report: data.document }, [item]).then(function () {
    const figures = Bokeh.documents[0].roots();
    const strip = figures[0];
    const range = strip.x_range;
    const place = document.getElementById("chart-strip");
    const buttons = document.querySelectorAll(".zoom button");
    // A finger scrolls the page; a mouse drags a range of time.
    if (matchMedia("(pointer: fine)").matches) {
      for (const figure of figures) figure.toolbar.active_drag = figure.toolbar.tools[0];
    }
    // A phase's name is shown where it fits; a fault has a row of its own.
    const bars = strip.renderers[0].data_source;
    const names = Array.from(bars.data.text);
    const fit = () => {
      const pixels = (place.clientWidth - 68) / (range.end - range.start);
      const text = names.map((name, row) =>
        bars.data.y[row] > 0 || (bars.data.right[row] - bars.data.left[row]) * pixels > name.length * 7 + 8 ? name : "");
      if (text.join("|") !== Array.from(bars.data.text).join("|")) bars.data = { ...bars.data, text };
    };
    const press = () => buttons.forEach((button) => button.setAttribute("aria-pressed",
      String(Math.abs(button.dataset.start - range.start) < 0.01 && Math.abs(button.dataset.end - range.end) < 0.01)));
    buttons.forEach((button) => button.addEventListener("click", () =>
      range.setv({ start: Number(button.dataset.start), end: Number(button.dataset.end) })));
    range.change.connect(() => { press(); fit(); });
    addEventListener("resize", fit);
    press();
    fit();
  });
})();
