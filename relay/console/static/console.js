// What pages do beyond HTML: keep themselves up to date, copy, and show the live feed.
"use strict";

const main = document.getElementById("main");

// A page with data-refresh is fetched again, unless somebody reads closely: a selection, an open
// <details>, a focus within.
async function refresh() {
  if (!document.hidden) {
    const isBusy = String(getSelection()) !== "" || main.querySelector("details[open]")
      || main.contains(document.activeElement) && document.activeElement !== main;
    say(await update(isBusy));
  }
  setTimeout(refresh, 1000 * main.dataset.refresh);
}

// Fetches the page and shows what it has now, unless that would disturb somebody. Returns why it
// could not, or "".
async function update(isBusy) {
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(20_000) });
    if (answer.redirected) return "You are logged out; load the page again to log in.";
    if (!answer.ok) return `The console answers ${answer.status}; this page is out of date. It tries again.`;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("main");
    if (!isBusy) {
      const left = [...main.querySelectorAll(".wide")].map((each) => each.scrollLeft);
      main.replaceChildren(...fresh.childNodes);
      main.querySelectorAll(".wide").forEach((each, index) => { each.scrollLeft = left[index] ?? 0; });
    }
    return "";
  } catch {
    return "The console does not answer; this page is out of date. It tries again.";
  }
}

// Says above the page what is wrong with it; nothing if text is "".
function say(text) {
  const stale = document.getElementById("stale");
  if (stale.textContent !== text) stale.textContent = text;
  stale.hidden = text === "";
}
if (main.dataset.refresh) setTimeout(refresh, 1000 * main.dataset.refresh);

// <button data-copy="ID"> copies the text of the element with that id.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
  button.textContent = "Copied";
});

// The feed: rows come on top, up to 500; they wait while somebody reads. A row that is shown has its
// key in `shown`: after a connection some come again.
const feed = document.getElementById("feed");
if (feed) {
  const state = document.getElementById("feed-state");
  const left = document.getElementById("feed-left");
  const more = document.getElementById("feed-more");
  const shown = new Set([...feed.rows].map((row) => row.dataset.key));
  const tones = { accepted: "good", handshake: "good", published: "plain", quarantined: "warn" };
  let waiting = [];
  let leftOut = 0;
  let unseen = 0;

  const isReading = () => feed.matches(":hover") || feed.contains(document.activeElement)
    || scrollY > 80 || String(getSelection()) !== "";

  const cell = (row, text, name) => {
    const made = row.insertCell();
    made.textContent = text;
    if (name) made.className = name;
    return made;
  };
  const show = () => {
    document.getElementById("feed-empty")?.remove();
    for (const each of waiting) {
      const row = feed.insertRow(0);
      row.dataset.key = each.key;
      cell(row, each.time.slice(11, 23), "time");
      cell(row, each.source);
      const chip = document.createElement("span");
      chip.className = `chip ${tones[each.verdict] ?? "bad"}`;
      chip.textContent = each.verdict;
      cell(row, "").append(chip);
      cell(row, each.reason);
      cell(row, each.type.slice(0, 80));
      cell(row, each.conversation.slice(0, 48), "id");
      cell(row, each.status, "n");
      cell(row, each.duration_ms && Number(each.duration_ms).toFixed(1), "n");
      const open = cell(row, "", "open");
      if (each.id) {
        const link = document.createElement("a");
        link.href = `/event/${encodeURIComponent(each.id)}`;
        link.textContent = "Open";
        link.setAttribute("aria-label", `Open ${each.id}`);
        open.append(link);
      }
    }
    while (feed.rows.length > 500) {
      shown.delete(feed.rows[500].dataset.key);
      feed.deleteRow(500);
    }
    waiting = [];
    more.hidden = true;
  };
  const count = (number) => number.toLocaleString("en");
  const sayLeftOut = () => {
    const parts = [];
    if (leftOut) parts.push(`${count(leftOut)} more, not shown`);
    if (unseen) parts.push(`${count(unseen)} requests too many to look at`);
    left.textContent = parts.map((part) => `· ${part}`).join(" ");
  };
  more.addEventListener("click", show);

  // A browser tries again by itself, but not after an answer that is no feed, such as of a proxy
  // that has no console behind it, or of a console that wants to know who is asking.
  const connect = () => {
    const source = new EventSource(feed.dataset.stream);
    source.addEventListener("error", async () => {
      state.textContent = "connection lost; trying again";
      if (source.readyState === EventSource.CLOSED) {
        say(await update(true));
        setTimeout(connect, 5000);
      }
    });
    source.addEventListener("rows", (event) => {
      const data = JSON.parse(event.data);
      say("");
      state.textContent = data.error || "live";
      const fresh = data.rows.filter((row) => !shown.has(row.key));
      for (const row of fresh) shown.add(row.key);
      waiting = waiting.concat(fresh);
      const surplus = waiting.splice(0, Math.max(0, waiting.length - 500));
      for (const row of surplus) shown.delete(row.key);
      leftOut += data.more + surplus.length;
      unseen += data.unseen;
      sayLeftOut();
      if (!isReading()) show();
      else if (waiting.length) {
        more.textContent = `${waiting.length} new`;
        more.hidden = false;
      }
    });
  };
  connect();
}
