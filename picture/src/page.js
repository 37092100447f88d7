"use strict";
// Steps through a run. Without this everything is there to be read.
for (const run of document.querySelectorAll(".run")) {
  const rows = [...run.querySelectorAll("tbody tr[data-row]")];
  const drawn = [...run.querySelectorAll("svg [data-row], svg [data-from]")];
  const cursor = run.querySelector("svg .cursor");
  const controls = run.querySelector(".controls");
  const output = controls.querySelector("output");
  let at = 0;
  const number = (element) => Number(element.dataset.row || element.dataset.from);
  const told = (row) => {
    const cells = [...row.cells].map((cell) => cell.textContent.trim());
    const [label, agent, step, changes, held] = cells;
    const said = ["row " + label + " of " + rows.length + ": " + agent + ": " + step];
    if (changes) said.push("changes " + changes);
    said.push(held ? "held now: " + held : "nothing is held");
    return said.join("; ");
  };
  const show = (to) => {
    at = Math.max(0, Math.min(rows.length, to));
    run.classList.toggle("stepping", at > 0);
    for (const element of drawn) {
      element.classList.toggle("later", at > 0 ? number(element) > at : false);
      element.classList.toggle("now", at > 0 ? number(element) === at : false);
    }
    for (const row of rows) row.classList.toggle("now", number(row) === at);
    output.textContent = at > 0 ? told(rows[at - 1]) : "all " + rows.length + " rows";
    const now = run.querySelector("svg .row.now");
    if (now === null) return;
    cursor.setAttribute("y1", now.dataset.y);
    cursor.setAttribute("y2", now.dataset.y);
    now.scrollIntoView({ block: "nearest", inline: "nearest" });
  };
  const ways = {
    first: () => show(1),
    back: () => show(at === 0 ? rows.length : at - 1),
    forth: () => show(at + 1),
    last: () => show(rows.length),
    all: () => show(0),
  };
  const keys = {
    Home: "first", ArrowLeft: "back", ArrowUp: "back", ArrowRight: "forth", ArrowDown: "forth", End: "last", Escape: "all",
  };
  controls.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) ways[button.value]();
  });
  controls.addEventListener("keydown", (event) => {
    if (!Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    ways[keys[event.key]]();
  });
  for (const row of rows) {
    row.cells[0].addEventListener("click", () => show(number(row)));
  }
  controls.hidden = false;
  show(0);
}
// Finds scenarios: every word must be there.
for (const find of document.querySelectorAll(".find")) {
  const items = [...document.querySelectorAll(".zoo li")].map((item) => [item, item.textContent.toLowerCase()]);
  const search = find.querySelector("input[type=search]");
  const seen = find.querySelector("output");
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter((word) => word.length > 0);
    const tone = find.querySelector("input[type=radio]:checked").value;
    let count = 0;
    for (const [item, text] of items) {
      const shown = [tone === "all" || item.dataset.tone === tone, ...words.map((word) => text.includes(word))].every(Boolean);
      item.hidden = !shown;
      if (shown) count += 1;
    }
    for (const file of document.querySelectorAll(".file")) {
      file.hidden = file.querySelector("li:not([hidden])") === null;
    }
    seen.textContent = count + " of " + items.length + " scenarios";
  };
  find.addEventListener("input", filter);
  find.hidden = false;
  filter();
}
