// Runs once in each part of the report that can be pressed; `element` and `trigger` are Gradio's. What is inside is
// replaced while an evaluation runs, so the listeners sit on the container.
const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-cell], [data-open]");
  if (!button) return;
  const which = Number(button.dataset.which);
  if (button.dataset.cell) trigger("cell", { truth: Number(button.dataset.cell[0]), predicted: Number(button.dataset.cell[1]), which });
  else trigger("open", { index: Number(button.dataset.open), which });
});

// Arrow keys, Home and End move within a matrix; the tab key leaves it, and comes back to where one was.
element.addEventListener("keydown", (event) => {
  const button = event.target.closest("[data-cell]");
  if (!button) return;
  let [row, column] = [...button.dataset.cell].map(Number);
  if (event.key in STEPS) [row, column] = [row + STEPS[event.key][0], column + STEPS[event.key][1]];
  else if (event.key === "Home") column = 0;
  else if (event.key === "End") column = 9;
  else return;
  event.preventDefault();
  const table = button.closest("table");
  const next = table.querySelector(`[data-cell="${row}${column}"]`);
  if (!next) return;
  for (const each of table.querySelectorAll('[data-cell][tabindex="0"]')) each.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
});
