"use strict";
(() => {
  const grid = document.getElementById("grid");
  const cards = Array.from(grid.children, (card) => ({
    card,
    keys: card.dataset.sort.split(" ; ").map((text) => (text === "" ? NaN : Number(text))),
  }));
  if (!cards.length) return;
  const sort = document.getElementById("sort");
  const direction = document.getElementById("direction");
  const onlyInside = document.getElementById("only-inside");
  const onlyNovel = document.getElementById("only-novel");
  const shown = document.getElementById("shown");
  let descending = false;

  const update = () => {
    const key = Number(sort.value);
    // Unknown values come last, whichever way the order runs.
    const compare = (a, b) => {
      const x = a.keys[key], y = b.keys[key];
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y) || a.keys[0] - b.keys[0];
      return (descending ? y - x : x - y) || a.keys[0] - b.keys[0];
    };
    let count = 0;
    for (const { card } of [...cards].sort(compare)) {
      card.hidden = (onlyInside.checked && card.dataset.inside !== "inside") || (onlyNovel.checked && card.dataset.novel !== "yes");
      count += card.hidden ? 0 : 1;
      grid.append(card);
    }
    shown.textContent = count < cards.length ? `${count} of ${cards.length} cards` : "";
  };

  const copy = async (text) => {
    if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
    // Pages opened from a file have no clipboard API in some browsers.
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  };

  direction.addEventListener("click", () => {
    descending = !descending;
    direction.textContent = descending ? "descending" : "ascending";
    direction.setAttribute("aria-pressed", String(descending));
    update();
  });
  document.getElementById("controls").addEventListener("submit", (event) => event.preventDefault());
  for (const control of [sort, onlyInside, onlyNovel]) control.addEventListener("change", update);
  grid.addEventListener("click", async (event) => {
    const button = event.target.closest("button.text");
    if (!button) return;
    await copy(button.dataset.text);
    button.classList.add("copied");
    setTimeout(() => button.classList.remove("copied"), 1200);
  });
  update();
})();
