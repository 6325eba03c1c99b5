// The service: a form to upload with, the upload itself, and the analysis.

import { Cancelled, Trouble, offline } from "./trouble.js";

const UPLOAD_PATIENCE_MS = 180_000;
const ANALYSIS_PATIENCE_MS = 120_000;
const CALL_PATIENCE_MS = 20_000;
/** Reasons that are not the picture's fault. */
const OURS = new Set(["unavailable", "out-of-service"]);

let base;

/** Where the API is: `config.json` beside this page says so, `{"api":"https://…"}`; else it is at `/api`. */
const api = () => (base ??= (async () => {
  try {
    const reply = await fetch("config.json", { cache: "no-cache" });
    const found = reply.ok ? (await reply.json()).api : undefined;
    if (typeof found === "string" && found) return found.replace(/\/+$/, "");
  } catch {
    // No such file, or a page in its place.
  }
  return "/api";
})());

const call = async (path, options, signal) => {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(CALL_PATIENCE_MS)]);
  let reply;
  let body;
  try {
    reply = await fetch(`${await api()}${path}`, { ...options, signal: limit });
    // What is no JSON comes from something in between, or from a page in the API's place.
    body = await reply.json().catch(() => undefined);
  } catch {
    if (signal.aborted) throw new Cancelled();
    throw offline();
  }
  // Reading what is no JSON looks the same as being stopped.
  if (signal.aborted) throw new Cancelled();
  return { status: reply.status, body, retryAfter: Number(reply.headers.get("retry-after")) || 0 };
};

const busy = () => new Trouble("The service is busy", "Wait a minute, then try again.", true);
const broken = () => new Trouble("The service is not working", "This is not your doing. Try again later.", true);

/** A picture's new name, and the form that it is uploaded with. */
export const ticket = async (picture, signal) => {
  const wish = JSON.stringify({ contentType: picture.type, bytes: picture.blob.size });
  const options = { method: "POST", headers: { "content-type": "application/json" }, body: wish };
  const { status, body } = await call("/uploads", options, signal);
  if (status === 201 && body?.id && body.url && body.fields) return body;
  if (status === 429 || status === 503) throw busy();
  if (status >= 400 && status < 500 && body?.error?.message) {
    throw new Trouble("This picture cannot be uploaded", body.error.message);
  }
  throw broken();
};

/** Sends the picture straight to the bucket. `progress` is told the share sent, from 0 to 1. */
export const upload = (ticket, picture, progress, signal) => new Promise((resolve, reject) => {
  const form = new FormData();
  for (const [name, value] of Object.entries(ticket.fields)) form.append(name, value);
  // S3 reads nothing behind the file.
  form.append("file", picture.blob);
  const request = new XMLHttpRequest();
  request.open("POST", ticket.url);
  request.timeout = UPLOAD_PATIENCE_MS;
  request.upload.onprogress = (event) => event.lengthComputable && !signal.aborted && progress(event.loaded / event.total);
  request.onload = () => {
    if (request.status >= 200 && request.status < 300) return resolve();
    const code = /<Code>(\w+)<\/Code>/.exec(request.responseText)?.[1];
    if (code === "EntityTooLarge" || code === "EntityTooSmall") {
      return reject(new Trouble("This picture has the wrong size", "It must have between 1 byte and 4 MB. Choose another one."));
    }
    if (request.status === 403) {
      return reject(new Trouble("The upload took too long to begin", "Its permission has run out. Try again.", true));
    }
    return reject(request.status === 503 ? busy() : broken());
  };
  request.ontimeout = () => reject(new Trouble("The upload took too long", "Your connection may be slow. Try again, or choose a smaller picture.", true));
  request.onerror = () => reject(offline());
  request.onabort = () => reject(new Cancelled());
  signal.addEventListener("abort", () => request.abort(), { once: true });
  request.send(form);
});

const sleep = (ms, signal) => new Promise((resolve, reject) => {
  const timer = setTimeout(resolve, ms);
  signal.addEventListener("abort", () => { clearTimeout(timer); reject(new Cancelled()); }, { once: true });
});

/** Asks for the analysis until it is there, at ever longer intervals. */
export const analysis = async (id, waiting, signal) => {
  const started = performance.now();
  let pause = 600;
  let trouble;
  while (performance.now() - started < ANALYSIS_PATIENCE_MS) {
    let answer;
    try {
      answer = await call(`/analysis/${encodeURIComponent(id)}`, {}, signal);
      trouble = undefined;
    } catch (error) {
      if (!(error instanceof Trouble)) throw error;
      // A connection that comes back within the time is worth waiting for.
      trouble = error;
      answer = { status: 0, retryAfter: 0 };
    }
    const { status, body, retryAfter } = answer;
    if (status === 200 && body?.analysis) return body;
    if (status === 422 && body?.reason) {
      const { code, message } = body.reason;
      throw new Trouble(OURS.has(code) ? "Pictures cannot be analysed just now" : "This picture cannot be analysed", message);
    }
    if (status === 410) throw new Trouble("This analysis has expired", body?.error?.message ?? "Upload the picture again.");
    if (status === 400) throw new Trouble("There is no such picture", "Upload a picture to see what is in it.");
    const passes = status === 0 || status === 429 || status >= 500 || (status === 404 && body?.status === "pending");
    if (!passes) throw broken();
    waiting(performance.now() - started);
    await sleep(Math.max(retryAfter * 1000, pause * (0.8 + 0.4 * Math.random())), signal);
    pause = Math.min(pause * 1.45, 6000);
  }
  throw trouble ?? new Trouble("This takes longer than usual", "The picture is uploaded. You find it among your recent pictures: come back in a few minutes.", true);
};
