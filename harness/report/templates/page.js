(function () {
  "use strict";
  // On a phone a row becomes a card in which each figure needs the name of its column.
  for (const table of document.querySelectorAll(".table table")) {
    const names = Array.from(table.querySelectorAll("thead th"), (cell) => cell.textContent);
    if (names.length < 4 || table.classList.contains("runs")) continue;
    table.classList.add("stacked");
    for (const row of table.querySelectorAll("tbody tr"))
      Array.from(row.cells).forEach((cell, at) => { if (cell.tagName === "TD") cell.dataset.label = names[at]; });
  }
  // Paper cannot unfold what is folded, and is narrower than the charts may be drawn.
  const paper = 700, charts = document.querySelector(".timeline");
  addEventListener("beforeprint", () => {
    document.querySelectorAll("details").forEach((part) => { part.open = true; });
    if (charts) charts.style.zoom = Math.min(1, paper / charts.clientWidth);
  });
  addEventListener("afterprint", () => { if (charts) charts.style.zoom = ""; });
})();
