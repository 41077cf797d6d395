"use strict";
(() => {
  const root = document.documentElement;
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  // charts take the colours of the page
  function themed() {
    const axis = { gridcolor: colour("--line"), zerolinecolor: colour("--line"), automargin: true };
    return { paper_bgcolor: "transparent", plot_bgcolor: "transparent", font: { color: colour("--text") }, xaxis: axis, yaxis: axis };
  }
  function merged(layout) {
    const base = themed();
    const narrow = window.innerWidth < 640;
    const legend = narrow ? { orientation: "h", y: -0.25 } : {};
    return {
      margin: { l: 60, r: 20, t: 10, b: 50 }, ...base, ...layout, legend: { ...legend, ...layout.legend },
      xaxis: { ...base.xaxis, ...layout.xaxis }, yaxis: { ...base.yaxis, ...layout.yaxis },
    };
  }
  const charts = [...document.querySelectorAll("script[data-for]")].map((script) => {
    const found = JSON.parse(script.textContent);
    return { ...found, place: document.getElementById(script.dataset.for), figure: script.parentElement };
  });
  function draw() {
    for (const chart of charts) {
      Plotly.react(chart.place, chart.data, merged(chart.layout), { responsive: true, displaylogo: false, displayModeBar: false });
    }
  }

  function theme(name) {
    root.dataset.theme = name;
    document.getElementById("theme").setAttribute("aria-pressed", String(name === "dark"));
    draw();
  }
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  theme(dark.matches ? "dark" : "light");
  dark.addEventListener("change", () => theme(dark.matches ? "dark" : "light"));
  document.getElementById("theme").addEventListener("click", () => theme(root.dataset.theme === "dark" ? "light" : "dark"));

  // commands
  async function copy(text, button) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  }
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.copy");
    if (button) copy(button.dataset.command, button);
  });
  for (const chart of charts) {
    const shown = chart.figure.querySelector(".command");
    if (!shown) continue;
    chart.place.on("plotly_click", (event) => {
      const name = event.points[0].customdata;
      if (!(name in chart.commands)) return;
      shown.hidden = false;
      shown.querySelector("code").textContent = chart.commands[name];
      shown.querySelector("button").dataset.command = chart.commands[name];
      for (const row of document.querySelectorAll("tbody tr")) {
        row.classList.toggle("chosen", row.cells[0].textContent.trim().split(" ")[0] === name);
      }
    });
  }

  // a link to a folded section opens it
  function unfold() {
    const place = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const details = place && place.querySelector("details");
    if (details) details.open = true;
  }
  window.addEventListener("hashchange", unfold);
  unfold();

  // tables
  const key = (cell) => cell.dataset.value === undefined ? cell.textContent.trim() : Number(cell.dataset.value);
  function compare(a, b) {
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1; // what is unknown stands last
    return typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });
  }
  for (const table of document.querySelectorAll("table")) {
    const body = table.tBodies[0];
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => {
        const rising = head.getAttribute("aria-sort") !== "ascending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", rising ? "ascending" : "descending");
        const sorted = [...body.rows].sort((x, y) => {
          const [a, b] = [key(x.cells[column]), key(y.cells[column])];
          return typeof a === typeof b && !rising ? -compare(a, b) : compare(a, b);
        });
        body.append(...sorted);
      });
    });
    const place = table.closest(".table");
    const input = place.querySelector("input");
    if (!input) continue;
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let count = 0;
      for (const row of body.rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
        count += row.hidden ? 0 : 1;
      }
      place.querySelector("output").textContent = words.length ? `${count} of ${body.rows.length} rows` : "";
    });
  }
})();
