// A chosen file becomes a picture that the service takes: checked, and made to fit where it must be.

import { Trouble } from "./trouble.js";

/** What the service takes, by the first bytes of a file. */
const TYPES = [["image/jpeg", [0xff, 0xd8, 0xff]], ["image/png", [0x89, 0x50, 0x4e, 0x47]], ["image/gif", [0x47, 0x49, 0x46, 0x38]], ["image/bmp", [0x42, 0x4d]]];
const MOST_BYTES = 4 * 1024 * 1024 - 1;
const LEAST_SIDE = 51;
const MOST_SIDE = 16000;
/** Decoding takes four bytes a pixel: more than this would bring a phone down. */
const MOST_FILE_BYTES = 100 * 1024 * 1024;

const draw = (bitmap, most) => {
  const scale = Math.min(1, most / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d");
  // JPEG knows no transparency: without this, it would turn black.
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas;
};

const jpeg = (canvas, quality) => new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", quality));

const fitted = async (bitmap) => {
  for (const [side, quality] of [[2560, 0.9], [2048, 0.85], [1600, 0.8], [1024, 0.75]]) {
    const canvas = draw(bitmap, side);
    if (Math.min(canvas.width, canvas.height) < LEAST_SIDE) {
      throw new Trouble("This picture is too long and narrow", "Crop it to a squarer shape, and choose it again.");
    }
    const blob = await jpeg(canvas, quality);
    if (blob && blob.size <= MOST_BYTES) return blob;
  }
  throw new Trouble("This picture could not be made small enough", "Save it as a smaller JPEG, and choose that.");
};

/** The type of what is in a file, if the service takes that. A file's name, from which browsers have its type, may say otherwise. */
const typeOf = async (file) => {
  const head = new Uint8Array(await file.slice(0, 4).arrayBuffer());
  return TYPES.find(([, bytes]) => bytes.every((byte, at) => head[at] === byte))?.[0];
};

/** What is to be sent, and a small copy to be shown: `{ blob, type, name, refitted, thumbnail }`. */
export const prepare = async (file) => {
  if (file.size === 0) throw new Trouble("This file is empty", "Choose another picture.");
  if (file.type && !file.type.toLowerCase().startsWith("image/")) {
    throw new Trouble("This file is not a picture", "Choose a JPEG, PNG, GIF or BMP file.");
  }
  if (file.size > MOST_FILE_BYTES) {
    throw new Trouble("This picture is too large", "Choose one of less than 100 MB.");
  }
  let type;
  let bitmap;
  try {
    type = await typeOf(file);
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Trouble("This file cannot be read as a picture", "It may be damaged, or in a format that your browser does not know. Save it as JPEG or PNG, and choose that.");
  }
  try {
    const { width, height } = bitmap;
    if (Math.min(width, height) < LEAST_SIDE) {
      throw new Trouble("This picture is too small", `It is ${width} × ${height} pixels, and must be larger than 50 × 50. Choose a larger one.`);
    }
    const fits = type && file.size <= MOST_BYTES && Math.max(width, height) <= MOST_SIDE;
    const blob = fits ? file : await fitted(bitmap);
    const thumbnail = draw(bitmap, 640).toDataURL("image/jpeg", 0.74);
    return { blob, type: fits ? type : "image/jpeg", name: file.name || "Pasted picture", refitted: !fits, thumbnail };
  } finally {
    bitmap.close();
  }
};
