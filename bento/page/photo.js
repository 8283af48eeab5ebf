// In: a file of any size. Out: what is sent to the service, upright and no larger than it needs to be.
const LONGEST_PX = 1280;
const QUALITY = 0.85;
const SENT_AS_IT_IS = ["image/jpeg", "image/png", "image/webp"];
const SMALL_BYTES = 1_000_000;

/** {file, width, height} in pixels of the upright picture; without sizes where the browser cannot read the file. */
export async function prepare(file) {
  let picture;
  try {
    picture = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    return { file, width: 0, height: 0 }; // the service may know the format, and says so where it does not
  }
  const scale = Math.min(1, LONGEST_PX / Math.max(picture.width, picture.height));
  const width = Math.max(1, Math.round(picture.width * scale));
  const height = Math.max(1, Math.round(picture.height * scale));
  if (scale === 1 && file.size <= SMALL_BYTES && SENT_AS_IT_IS.includes(file.type)) return { file, width, height };
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff"; // behind transparent parts
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, 0, 0, width, height);
  picture.close();
  const blob = await new Promise((resolve) => { canvas.toBlob(resolve, "image/jpeg", QUALITY); });
  if (blob === null) return { file, width: 0, height: 0 };
  return { file: new File([blob], file.name || "photo.jpg", { type: "image/jpeg" }), width, height };
}

/** Calls `onPhoto(file)` for photos that are chosen in `inputs`, dropped on the page or pasted. */
export function takePhotos(inputs, drop, onPhoto) {
  for (const input of inputs) {
    input.addEventListener("change", () => {
      const [file] = input.files;
      if (file) onPhoto(file);
      input.value = ""; // the same photo may be chosen again
    });
  }
  for (const type of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(type, (event) => {
      if (![...event.dataTransfer.types].includes("Files")) return;
      event.preventDefault();
      drop.classList.toggle("over", event.type === "dragover");
      const [file] = event.type === "drop" ? event.dataTransfer.files : [];
      if (file) onPhoto(file);
    });
  }
  document.addEventListener("paste", (event) => {
    const [file] = event.clipboardData ? event.clipboardData.files : [];
    if (file) onPhoto(file);
  });
}

/** A row of photos to try; nothing is shown where the service offers none. */
export async function offerSamples(service, section, onPhoto) {
  const list = section.querySelector("ul");
  const { photos } = await service.ask("samples").catch(() => ({ photos: [] }));
  list.replaceChildren(...photos.map(({ name, url }) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    const image = Object.assign(document.createElement("img"), { alt: name, width: 88, height: 88, loading: "lazy", decoding: "async" });
    button.type = "button";
    button.append(image);
    service.show(image, url);
    button.addEventListener("click", async () => {
      const blob = await (await service.fetch(url)).blob();
      onPhoto(new File([blob], name, { type: blob.type }));
    });
    item.append(button);
    return item;
  }));
  section.hidden = photos.length === 0;
}
