// The pictures that were uploaded from this device: in its own storage, and nowhere else.

const PLACE = "image-recognition.recent";
const MOST = 12;

export const all = () => {
  try {
    const list = JSON.parse(localStorage.getItem(PLACE) ?? "[]");
    return Array.isArray(list) ? list.filter((item) => typeof item?.id === "string") : [];
  } catch {
    return [];
  }
};

const save = (list) => {
  // Storage is small, and may be shut: the oldest go first, and without any the page works too.
  for (let kept = list.slice(0, MOST); ; kept = kept.slice(0, -1)) {
    try {
      localStorage.setItem(PLACE, JSON.stringify(kept));
      return;
    } catch {
      if (kept.length === 0) return;
    }
  }
};

export const find = (id) => all().find((item) => item.id === id);

export const put = (item) => {
  const known = find(item.id);
  const rest = all().filter((other) => other.id !== item.id);
  // One that is known keeps its place.
  if (known) save(all().map((other) => (other.id === item.id ? { ...other, ...item } : other)));
  else save([item, ...rest]);
};

export const drop = (id) => save(all().filter((item) => item.id !== id));

export const clear = () => {
  try {
    localStorage.removeItem(PLACE);
  } catch {
    // Nothing was kept.
  }
};
