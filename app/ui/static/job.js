// A job's page, live: its events move the curves and say when the rest of the page has changed.
"use strict";

const ENDED = ["succeeded", "failed", "cancelled"];
const PAUSE = 2000;

document.addEventListener("DOMContentLoaded", async () => {
  const root = document.getElementById("curves");
  const curves = new Curves(root);
  keepLogAtItsEnd();
  await curves.load();
  if (!ENDED.includes(root.dataset.state)) new Follower(root, curves).open();
});

class Follower {
  constructor(root, curves) {
    this.job = root.dataset.job;
    this.seen = Number(root.dataset.seen);
    this.curves = curves;
    this.status = document.getElementById("stream");
  }

  // The browser itself comes back after a broken connection, and names the last event; not after a refusal.
  open() {
    const source = new EventSource(`/jobs/${encodeURIComponent(this.job)}/events?after=${this.seen}`);
    source.onopen = () => this.tell("live");
    source.onerror = () => {
      this.tell("connection lost, trying again");
      if (source.readyState === EventSource.CLOSED) setTimeout(() => this.open(), PAUSE);
    };
    source.addEventListener("progress", (event) => this.curves.add(this.read(event)));
    for (const kind of ["checkpoint", "log", "cancel"]) source.addEventListener(kind, (event) => { this.read(event); this.change(); });
    source.addEventListener("state", (event) => {
      const { state } = this.read(event);
      this.change();
      if (!ENDED.includes(state)) return;
      source.close();
      this.tell("ended");
    });
  }

  read(event) {
    this.seen = Number(event.lastEventId) || this.seen;
    return JSON.parse(event.data);
  }

  // Several events at once make one change.
  change() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => document.body.dispatchEvent(new CustomEvent("job-changed")), 150);
  }

  tell(text) {
    if (this.status.textContent !== text) this.status.textContent = text;
  }
}

// The newest lines are the last ones: keep them in sight, unless the reader has scrolled up.
function keepLogAtItsEnd() {
  let follows = true;
  const log = () => document.getElementById("log");
  const scroll = () => { if (follows && log()) log().scrollTop = log().scrollHeight; };
  scroll();
  document.body.addEventListener("htmx:beforeSwap", () => {
    const pre = log();
    if (pre) follows = pre.scrollTop + pre.clientHeight > pre.scrollHeight - 40;
  });
  document.body.addEventListener("htmx:afterSwap", scroll);
}
