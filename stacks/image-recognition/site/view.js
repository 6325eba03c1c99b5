// What is seen. Text goes into the page as text, never as markup.

const $ = (selector, within = document) => within.querySelector(selector);
const panels = { work: $("#work"), trouble: $("#trouble"), result: $("#result") };
const start = $("#start");

/** The service's colour names, as colours. */
const COLORS = {
  black: "#111", blue: "#2b6cd4", brown: "#7a4b2a", gray: "#8a8a8a", grey: "#8a8a8a", green: "#2f8f4e", orange: "#ee8a1d",
  pink: "#ef8fb4", purple: "#7d49b3", red: "#cf2e2e", teal: "#148a8a", white: "#fff", yellow: "#f2cf2f",
};

const element = (name, content, className) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...[content ?? []].flat());
  return made;
};

const percent = (share) => `${Math.round(100 * share)} %`;
const size = (bytes) => bytes < 1024 * 1024 ? `${Math.max(1, Math.round(bytes / 1024))} KB` : `${(bytes / 1024 / 1024).toFixed(1)} MB`;

/** Read out by screen readers, without taking the focus. */
export const say = (text) => { $("#status").textContent = text; };

/** One panel at a time; none at the start. */
export const show = (name) => {
  for (const [key, panel] of Object.entries(panels)) panel.hidden = key !== name;
  start.classList.toggle("small", Boolean(name));
  const held = start.contains(document.activeElement) || document.activeElement === document.body;
  start.hidden = name === "work";
  // What had the focus may just have gone: the one thing to do now gets it.
  if (name === "work" && held) $(".cancel", panels.work).focus({ preventScroll: true });
};

export const working = (step, { share, detail = "", picture } = {}) => {
  show("work");
  const bar = $("progress", panels.work);
  $(".step", panels.work).textContent = step;
  $(".detail", panels.work).textContent = detail;
  const preview = $(".preview", panels.work);
  if (picture !== undefined) preview.src = picture;
  preview.hidden = !preview.getAttribute("src");
  if (share === undefined) bar.removeAttribute("value");
  else bar.value = Math.round(100 * share);
  bar.setAttribute("aria-label", step);
};

export const trouble = ({ title, advice, again }) => {
  show("trouble");
  $("h2", panels.trouble).textContent = title;
  $(".advice", panels.trouble).textContent = advice;
  $(".again", panels.trouble).hidden = !again;
  say(`${title}. ${advice}`);
  $("h2", panels.trouble).focus();
};

const swatch = (name, color, role) => {
  const patch = element("span", [], "swatch");
  patch.style.setProperty("--color", color);
  const text = element("span", name);
  if (role) text.append(element("small", role));
  return element("li", [patch, text]);
};

const colorItems = (colors) => {
  const roles = new Map();
  const note = (name, role) => name && roles.set(name, [...(roles.get(name) ?? []), role]);
  for (const name of colors.dominant ?? []) note(name, "dominant");
  note(colors.foreground, "foreground");
  note(colors.background, "background");
  const items = [...roles].map(([name, list]) => swatch(name, COLORS[name.toLowerCase()] ?? "transparent", list.join(", ")));
  if (/^[0-9a-f]{6}$/i.test(colors.accent ?? "")) items.push(swatch(`#${colors.accent.toUpperCase()}`, `#${colors.accent}`, "accent"));
  return items;
};

const tagItem = ({ name, confidence }) => {
  const item = element("li", [element("span", name), element("span", percent(confidence), "percent")]);
  item.style.setProperty("--sure", String(Math.round(100 * confidence)));
  return item;
};

/** Shows an analysis. `kept` is what this device knows of the picture, if it uploaded it: as it was sent, or small. */
export const result = ({ analysis, analyzedAt }, kept) => {
  show("result");
  const panel = panels.result;
  const { caption, tags = [], colors = {}, image = {} } = analysis;
  const text = caption?.text || (tags[0] ? `Perhaps: ${tags.slice(0, 3).map((tag) => tag.name).join(", ")}` : "Nothing that has a name");
  $("h2", panel).textContent = text;
  $(".sure", panel).textContent = caption ? `${percent(caption.confidence)} sure of this sentence` : "No sentence fits this picture.";
  const picture = $(".picture", panel);
  const source = kept?.picture ?? kept?.thumbnail;
  picture.hidden = !source;
  $(".missing", panel).hidden = Boolean(source);
  if (source) picture.src = source;
  else picture.removeAttribute("src");
  picture.alt = `Your picture: ${text}`;
  $("figcaption", panel).textContent = kept?.name ?? "";
  $(".tags", panel).replaceChildren(...tags.map(tagItem));
  $(".tags", panel).parentElement.hidden = tags.length === 0;
  $(".colors", panel).replaceChildren(...colorItems(colors));
  const facts = [["Dimensions", `${image.width} × ${image.height} pixels`], ["Format", String(image.format ?? "").toUpperCase()], ["File size", size(image.bytes ?? 0)]];
  if (colors.blackAndWhite) facts.push(["Colour", "black and white"]);
  const when = new Date(analyzedAt);
  if (!Number.isNaN(when.getTime())) facts.push(["Analysed", when.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" })]);
  $(".facts", panel).replaceChildren(...facts.flatMap(([name, value]) => [element("dt", name), element("dd", value)]));
  document.title = `${text} – What is in this picture?`;
  say(`Done. ${text}.`);
  $("h2", panel).focus();
};

export const recent = (list, current) => {
  const section = $("#recent");
  section.hidden = list.length === 0;
  const items = list.map(({ id, name, thumbnail, caption }) => {
    const link = element("a", []);
    link.href = `#${id}`;
    if (id === current) link.setAttribute("aria-current", "true");
    const image = element("img");
    image.alt = "";
    image.loading = "lazy";
    if (thumbnail) image.src = thumbnail;
    link.append(image, element("span", caption || name || "A picture"));
    return element("li", link);
  });
  $("ul", section).replaceChildren(...items);
};
