// Thumbnails: one overview of all pictures, and JPEG files that are decoded when they are in sight.

const MOST_DECODED = 3000;
const decoded = new Map(); // row → ImageBitmap, or null while it is being decoded; in order of last use
const sheets = new Map(); // index → promise of the JPEG files' ends, in base64
const arriving = new Map(); // index → what resolves that promise, in a folder

const overview = await decodeJpeg(bytes(data.overview.jpeg));

async function decodeJpeg(content) {
  return createImageBitmap(new Blob([content], { type: "image/jpeg" }));
}

// Files in a folder are scripts that call this function.
globalThis.receiveSheet = (index, text) => arriving.get(index)?.(text);

function sheetAt(index) {
  if (!sheets.has(index)) {
    const embedded = $(`sheet-${index}`);
    const text = embedded ? Promise.resolve(embedded.textContent) : new Promise((resolve, reject) => {
      arriving.set(index, resolve);
      const script = element("script", "", { src: `${data.folder}/${index}.js` });
      script.addEventListener("error", () => reject(new Error(`${data.folder}/${index}.js is missing`)));
      document.head.append(script);
    });
    sheets.set(index, text.then((content) => content.split("\n")));
  }
  return sheets.get(index);
}

async function jpegOf(row) {
  const sheet = await sheetAt(Math.floor(row / data.sheet));
  return data.head + sheet[row % data.sheet];
}

function bitmapOf(row) {
  const bitmap = decoded.get(row);
  if (bitmap) {
    decoded.delete(row);
    decoded.set(row, bitmap);
  } else if (bitmap === undefined) {
    decoded.set(row, null);
    jpegOf(row).then((jpeg) => decodeJpeg(bytes(jpeg))).then((ready) => {
      decoded.set(row, ready);
      redraw();
    }, () => {}); // a missing file: the overview's picture stays
    if (decoded.size > MOST_DECODED) decoded.delete(decoded.keys().next().value);
  }
  return bitmap || null;
}

function imageElement(row) {
  const image = element("img", "", { alt: "", decoding: "async" });
  showPicture(image, row);
  return image;
}

function showPicture(image, row) {
  image.dataset.row = row;
  jpegOf(row).then((jpeg) => {
    if (image.dataset.row === String(row)) image.src = `data:image/jpeg;base64,${jpeg}`;
  }, () => {});
}

// The picture in a box around a centre: sharp if it is decoded, else from the overview.
function drawPicture(context, row, x, y, side) {
  const bitmap = side > data.overview.side ? bitmapOf(row) : null;
  if (bitmap) {
    const fit = side / Math.max(bitmap.width, bitmap.height);
    const [w, h] = [bitmap.width * fit, bitmap.height * fit];
    context.drawImage(bitmap, x - w / 2, y - h / 2, w, h);
    return;
  }
  const { side: tile, columns: across } = data.overview;
  const [left, top] = [(row % across) * tile, Math.floor(row / across) * tile];
  context.drawImage(overview, left, top, tile, tile, x - side / 2, y - side / 2, side, side);
}
