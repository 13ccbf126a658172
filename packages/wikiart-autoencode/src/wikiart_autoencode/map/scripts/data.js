"use strict";
// What the page knows, decoded. Names come from untrusted files: they enter the page as textContent only.

const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const integers = (text) => new Int32Array(bytes(text).buffer);
const floats = (text) => new Float32Array(bytes(text).buffer);

const total = data.number;
const allRows = integers(data.order); // in drawing order: small styles last, and so on top
const layouts = {
  map: { positions: floats(data.points), spacing: data.spacing },
  grid: { positions: floats(data.grid), spacing: data.gridSpacing },
};
for (const layout of Object.values(layouts)) {
  const { positions } = layout;
  layout.width = layout.height = 0;
  for (let row = 0; row < total; row++) {
    layout.width = Math.max(layout.width, positions[2 * row]);
    layout.height = Math.max(layout.height, positions[2 * row + 1]);
  }
}

const columns = data.columns.map((column) => {
  const decoded = { ...column, value: integers(column.value) };
  if (column.group) decoded.group = integers(column.group);
  if (column.numbers) {
    decoded.numbers = floats(column.numbers);
    const known = decoded.numbers.filter(Number.isFinite);
    decoded.low = known.reduce((a, b) => Math.min(a, b), Infinity);
    decoded.high = known.reduce((a, b) => Math.max(a, b), -Infinity);
  }
  return decoded;
});
const styles = columns[0];
const coloured = columns.filter((column) => column.groups || column.numbers);
const columnNamed = (name) => columns.find((column) => column.name === name);
const textOf = (column, row) => column.values[column.value[row]];

const similar = integers(data.similar);
const similarTo = (row) => [...similar.subarray(row * data.similarPerPicture, (row + 1) * data.similarPerPicture)];
const doubtful = new Map(data.doubtful.map(([row, style, own, other, voters]) => {
  const [name, suggested] = [styles.groups[styles.group[row]].name, styles.groups[style].name];
  return [row, `${other} of its ${voters} nearest are ${suggested}, ${own} ${name}`];
}));

const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
const searchable = Array.from({ length: total }, (_, row) =>
  plain([data.titles[row], ...columns.map((column) => textOf(column, row))].join(" ")));

const formatted = (n) => n.toLocaleString("en");
const paintings = (n) => `${formatted(n)} painting${n === 1 ? "" : "s"}`;
const artistOf = (row) => textOf(columnNamed("artist"), row) || "artist unknown";

function element(tag, text, attributes = {}) {
  const node = document.createElement(tag);
  if (text) node.textContent = text;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}
