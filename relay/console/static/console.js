// What pages do beyond HTML: keep themselves up to date, copy, and show the live feed.
"use strict";

const main = document.getElementById("main");

// A page with data-refresh is fetched again, unless somebody reads closely: a selection, an open
// <details>, a focus within.
async function refresh() {
  const isBusy = document.hidden || String(getSelection()) !== ""
    || main.querySelector("details[open]") || main.contains(document.activeElement) && document.activeElement !== main;
  if (!isBusy) {
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (answer.ok && !answer.redirected) {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("main");
        const left = [...main.querySelectorAll(".wide")].map((each) => each.scrollLeft);
        main.replaceChildren(...fresh.childNodes);
        main.querySelectorAll(".wide").forEach((each, index) => { each.scrollLeft = left[index] ?? 0; });
      }
    } catch {
      document.title = "not reachable · relay";
    }
  }
  setTimeout(refresh, 1000 * main.dataset.refresh);
}
if (main.dataset.refresh) setTimeout(refresh, 1000 * main.dataset.refresh);

// <button data-copy="ID"> copies the text of the element with that id.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
  button.textContent = "Copied";
});
