"use strict";

// Shows the chosen image. It is read by the browser alone: nothing is sent anywhere.
const picture = document.querySelector("#picture");
const figure = document.querySelector("figure");
const image = figure.querySelector("img");
const caption = figure.querySelector("figcaption");
const status = document.querySelector("#status");

picture.addEventListener("change", () => {
  const [file] = picture.files;
  URL.revokeObjectURL(image.src);
  figure.hidden = true;
  if (!file) {
    status.textContent = "Choose an image to see it here.";
    return;
  }
  image.onload = () => {
    caption.textContent = `${file.name}: ${image.naturalWidth} × ${image.naturalHeight} pixels`;
    figure.hidden = false;
    status.textContent = "This is the image you chose.";
  };
  image.onerror = () => {
    status.textContent = `${file.name} cannot be shown: it is no image that this browser knows.`;
  };
  image.alt = `The image you chose, ${file.name}`;
  image.src = URL.createObjectURL(file);
});
