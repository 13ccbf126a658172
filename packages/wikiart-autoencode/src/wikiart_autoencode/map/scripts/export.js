// Taking a selection away: a table of its files, and a contact sheet.

const MOST_ON_SHEET = 400;
const TILE = 144;
const CAPTION = 34;

const exportedRows = () => {
  const { rows, idle } = listing();
  return idle ? topFirst(allRows) : rows;
};

function download(name, blob) {
  const link = element("a", "", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function exportTable() {
  const quoted = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const lines = [["file", "title", ...columns.map((column) => column.name)]];
  for (const row of exportedRows())
    lines.push([data.files[row], data.titles[row], ...columns.map((column) => textOf(column, row))]);
  const text = lines.map((cells) => cells.map(quoted).join(",")).join("\n") + "\n";
  download("paintings.csv", new Blob([text], { type: "text/csv" }));
}

async function exportSheet() {
  const all = exportedRows();
  const rows = all.slice(0, MOST_ON_SHEET);
  if (!rows.length) return;
  const across = Math.ceil(Math.sqrt(rows.length * 1.3));
  const sheet = document.createElement("canvas");
  sheet.width = Math.max(across * TILE, 3 * TILE) + 16;
  sheet.height = Math.ceil(rows.length / across) * (TILE + CAPTION) + 48;
  const pen = sheet.getContext("2d");
  pen.fillStyle = "#ffffff";
  pen.fillRect(0, 0, sheet.width, sheet.height);
  pen.fillStyle = "#23262b";
  pen.font = "650 16px system-ui, sans-serif";
  const left = all.length > rows.length ? `, the first ${rows.length} of ${formatted(all.length)}` : "";
  pen.fillText(`${document.title}: ${listing().idle ? "all" : listing().heading}${left}`, 12, 26, sheet.width - 24);
  for (const [index, row] of rows.entries()) {
    const bitmap = await decodeJpeg(bytes(await jpegOf(row)));
    const x = 8 + (index % across) * TILE;
    const y = 40 + Math.floor(index / across) * (TILE + CAPTION);
    const fit = (TILE - 12) / Math.max(bitmap.width, bitmap.height);
    pen.drawImage(bitmap, x + 6, y + 6, bitmap.width * fit, bitmap.height * fit);
    pen.font = "600 11px system-ui, sans-serif";
    pen.fillText(shortened(pen, data.titles[row]), x + 6, y + TILE + 8);
    pen.font = "11px system-ui, sans-serif";
    pen.fillText(shortened(pen, `${artistOf(row)}, ${textOf(styles, row)}`), x + 6, y + TILE + 22);
  }
  sheet.toBlob((blob) => download("contact-sheet.png", blob), "image/png");
}

function shortened(pen, text) {
  if (pen.measureText(text).width <= TILE - 12) return text;
  let length = text.length;
  while (length > 1 && pen.measureText(`${text.slice(0, length)}…`).width > TILE - 12) length--;
  return `${text.slice(0, length)}…`;
}
