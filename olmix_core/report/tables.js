// Tables whose columns sort: a button in each heading, numbers as numbers.
"use strict";
document.querySelectorAll("table.sortable").forEach((table) => {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = heading.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const up = heading.getAttribute("aria-sort") === "descending";
      const value = (row) => row.cells[column].dataset.sort ?? row.cells[column].textContent.trim();
      const numeric = heading.classList.contains("number");
      const key = numeric ? (row) => (value(row) === "" ? -Infinity : Number(value(row))) : value;
      const order = [...table.tBodies[0].rows].sort((a, b) => {
        const [x, y] = [key(a), key(b)];
        return (numeric ? x - y : x.localeCompare(y)) * (up ? 1 : -1);
      });
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", up ? "ascending" : "descending");
      table.tBodies[0].append(...order);
    });
  });
});
