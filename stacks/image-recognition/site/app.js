// From a chosen file to what is in it. The address's fragment names the picture that is shown, so that going back,
// reloading and keeping the address all work.

import * as api from "./api.js";
import { prepare } from "./picture.js";
import * as recent from "./recent.js";
import { Cancelled, Trouble } from "./trouble.js";
import * as view from "./view.js";

const NAME = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const TITLE = document.title;
const start = document.querySelector("#start");
const input = document.querySelector("#file");

let running = new AbortController();
/** The picture uploaded last, in full: storage keeps a small copy only. */
let latest = { id: undefined, url: undefined };
/** What "Try again" does. */
let again = () => {};

const shown = () => {
  const id = location.hash.slice(1);
  return NAME.test(id) ? id : undefined;
};

/** One thing at a time: what ran before is stopped. */
const run = async (work) => {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  again = () => run(work);
  document.title = TITLE;
  try {
    await work(signal);
  } catch (error) {
    if (error instanceof Cancelled || signal.aborted) return;
    if (!(error instanceof Trouble)) console.error(error);
    view.trouble(error instanceof Trouble ? error : new Trouble("Something went wrong", "Reload the page, then try again.", true));
  } finally {
    if (!signal.aborted) view.recent(recent.all(), shown());
  }
};

/** After waiting for what cannot be stopped: whoever chose something else meanwhile sees nothing more of this. */
const goOn = (signal) => {
  if (signal.aborted) throw new Cancelled();
};

const look = async (id, signal) => {
  const kept = recent.find(id);
  const step = "Looking at the picture…";
  view.working(step, { picture: kept?.thumbnail ?? "" });
  view.say(step);
  const waiting = (ms) => view.working(step, { detail: ms > 15_000 ? "Still looking. It may take a minute." : "" });
  const found = await api.analysis(id, waiting, signal);
  if (kept) recent.put({ id, caption: found.analysis.caption?.text ?? found.analysis.tags?.[0]?.name });
  view.result(found, kept && { ...kept, picture: latest.id === id ? latest.url : undefined });
};

const take = (file) => run(async (signal) => {
  view.working("Reading the picture…", { picture: "" });
  const picture = await prepare(file);
  goOn(signal);
  const detail = picture.refitted ? "It was made to fit, on your device." : "";
  view.working("Uploading…", { share: 0, detail, picture: picture.thumbnail });
  view.say("Uploading the picture.");
  const ticket = await api.ticket(picture, signal);
  const progress = (share) => {
    const step = share < 1 ? `Uploading… ${Math.round(100 * share)} %` : "Almost uploaded…";
    view.working(step, { share, detail });
  };
  await api.upload(ticket, picture, progress, signal);
  recent.put({ id: ticket.id, name: picture.name, at: Date.now(), thumbnail: picture.thumbnail });
  URL.revokeObjectURL(latest.url);
  latest = { id: ticket.id, url: URL.createObjectURL(picture.blob) };
  history.pushState(null, "", `#${ticket.id}`);
  view.recent(recent.all(), ticket.id);
  // From here on trying again means looking again: the picture is there.
  again = () => run((fresh) => look(ticket.id, fresh));
  await look(ticket.id, signal);
});

const reset = () => {
  running.abort();
  document.title = TITLE;
  view.show(undefined);
  view.recent(recent.all(), undefined);
};

const follow = () => {
  const id = shown();
  if (id) run((signal) => look(id, signal));
  else reset();
};

const takeFirst = (files) => {
  const [file] = files;
  if (file) take(file);
};

input.addEventListener("change", () => {
  takeFirst(input.files);
  // So that the same file can be chosen once more.
  input.value = "";
});
start.addEventListener("submit", (event) => event.preventDefault());

// A picture may be dropped anywhere: beside the field it would otherwise replace the page.
let depth = 0;
const carries = (event) => event.dataTransfer?.types.includes("Files");
const over = (delta) => {
  depth = Math.max(0, depth + delta);
  start.classList.toggle("over", depth > 0);
};
addEventListener("dragenter", (event) => carries(event) && over(1));
addEventListener("dragleave", (event) => carries(event) && over(-1));
addEventListener("dragover", (event) => carries(event) && event.preventDefault());
addEventListener("drop", (event) => {
  if (!carries(event)) return;
  event.preventDefault();
  over(-depth);
  takeFirst(event.dataTransfer.files);
});
addEventListener("paste", (event) => takeFirst(event.clipboardData?.files ?? []));

document.querySelector(".cancel").addEventListener("click", () => {
  history.replaceState(null, "", location.pathname + location.search);
  reset();
  view.say("Cancelled.");
  input.focus();
});
document.querySelector(".again").addEventListener("click", () => again());
document.querySelector(".another").addEventListener("click", () => input.click());
document.querySelector(".forget").addEventListener("click", () => {
  recent.clear();
  view.recent([], undefined);
  view.say("The list is empty.");
  input.focus();
});
addEventListener("hashchange", follow);

view.recent(recent.all(), shown());
follow();
