// Pointer, keyboard, address, and the start.

const CLICK = 5; // pixels that a click may move
const gesture = { tool: "move", pointers: new Map(), lasso: [], moved: 0, brushStart: 0 };

// ---- pointer: drag to move or to draw a lasso, two fingers or the wheel to zoom, click to open

const pointOf = (event) => {
  const { left, top } = canvas.getBoundingClientRect();
  return [event.clientX - left, event.clientY - top];
};

canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  gesture.pointers.set(event.pointerId, pointOf(event));
  if (gesture.pointers.size === 1) gesture.moved = 0;
  gesture.lasso = gesture.tool === "lasso" && gesture.pointers.size === 1 ? [pointOf(event)] : [];
});

canvas.addEventListener("pointermove", (event) => {
  const [x, y] = pointOf(event);
  const before = gesture.pointers.get(event.pointerId);
  if (!before) {
    const row = rowAt(x, y);
    canvas.style.cursor = row === null ? "" : "pointer";
    if (row !== null) showCard(row);
    else if (!$("card").hidden) hideCard();
    return;
  }
  gesture.moved += Math.hypot(x - before[0], y - before[1]);
  if (gesture.pointers.size === 2) pinch(event.pointerId, before, [x, y]);
  else if (gesture.lasso.length) gesture.lasso.push([x, y]);
  else if (gesture.moved > CLICK) look(view.x - (x - before[0]) / view.scale, view.y + (y - before[1]) / view.scale, view.scale);
  gesture.pointers.set(event.pointerId, [x, y]);
  hideCard();
});

function pinch(moving, before, now) {
  const [, [x, y]] = [...gesture.pointers].find(([id]) => id !== moving);
  const factor = Math.hypot(now[0] - x, now[1] - y) / Math.max(Math.hypot(before[0] - x, before[1] - y), 1);
  zoomAt((x + now[0]) / 2, (y + now[1]) / 2, factor);
}

canvas.addEventListener("pointerup", (event) => {
  const corners = gesture.lasso.map(([x, y]) => toMap(x, y));
  const clicked = gesture.pointers.size === 1 && gesture.moved <= CLICK;
  gesture.pointers.delete(event.pointerId);
  gesture.lasso = [];
  if (clicked) {
    const row = rowAt(...pointOf(event));
    if (row !== null) {
      open(row);
      showCard(row);
    }
  } else if (corners.length > 2)
    select(shown.rows.filter((row) => insidePolygon(corners, positions[2 * row], positions[2 * row + 1])));
  redraw();
});
canvas.addEventListener("pointercancel", (event) => {
  gesture.pointers.delete(event.pointerId);
  gesture.lasso = [];
  redraw();
});
canvas.addEventListener("pointerleave", hideCard);
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoomAt(...pointOf(event), 1.0015 ** -(event.deltaMode ? event.deltaY * 30 : event.deltaY));
}, { passive: false });

// ---- keyboard

const directions = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

// The nearest picture in that direction; one that lies aside counts as farther away.
function neighbourTowards(row, [dx, dy]) {
  const [x, y] = [positions[2 * row], positions[2 * row + 1]];
  let [best, least] = [row, Infinity];
  for (const other of shown.rows) {
    const [right, up] = [positions[2 * other] - x, positions[2 * other + 1] - y];
    const [ahead, aside] = [right * dx + up * dy, Math.abs(right * dy) + Math.abs(up * dx)];
    if (ahead > 1e-9 && aside <= ahead * 1.5 && ahead + 2 * aside < least) [best, least] = [other, ahead + 2 * aside];
  }
  return best;
}

function walk(direction) {
  const start = state.hovered ?? state.current ?? rowNearCentre();
  if (start === undefined) return;
  const row = state.hovered === null && state.current === null ? start : neighbourTowards(start, direction);
  bringIntoSight(row);
  showCard(row);
  $("spoken").textContent = `${data.titles[row]}, ${artistOf(row)}, ${textOf(styles, row)}`;
}

function rowNearCentre() {
  const distance = (row) => (positions[2 * row] - view.x) ** 2 + (positions[2 * row + 1] - view.y) ** 2;
  return shown.rows.reduce((best, row) => (best === undefined || distance(row) < distance(best) ? row : best), undefined);
}

addEventListener("keydown", (event) => {
  const writing = event.target.matches("input, select");
  if (event.key === "Escape") clearSelection();
  else if (writing || event.ctrlKey || event.metaKey || event.altKey) return;
  else if (event.key === "/") $("search").focus();
  else if (event.key === "g") changeLayout(state.layout === "map" ? "grid" : "map");
  else if (event.key === "0") showWholeMap();
  else if (event.key === "+" || event.key === "-") zoomAt(...mapSize().map((side) => side / 2), event.key === "+" ? 1.3 : 1 / 1.3);
  else if (directions[event.key] && !event.target.closest("aside")) walk(directions[event.key]);
  else if (event.key === "Enter" && event.target === canvas && state.hovered !== null) open(state.hovered);
  else return;
  event.preventDefault();
});

// ---- the address: what is shown, so that a link shows the same

let readingAddress = false;
let remembering = 0;

function writeAddress(newEntry) {
  if (readingAddress) return;
  const { column, isolated, range, words, current } = state;
  const fields = new URLSearchParams();
  if (state.layout !== "map") fields.set("layout", state.layout);
  if (column !== styles) fields.set("by", column.name);
  if (isolated !== null) fields.set("only", column.groups[isolated].name);
  if (range) fields.set("range", range.join("-"));
  if (words.length) fields.set("search", words.join(" "));
  if (current !== null) fields.set("picture", current);
  if (state.doubtful) fields.set("list", "doubtful");
  fields.set("at", [view.x.toFixed(4), view.y.toFixed(4), zoomLevel().toFixed(3)].join(","));
  history[newEntry ? "pushState" : "replaceState"](null, "", `#${fields}`);
}

// Browsers limit how often an address may change.
function rememberView() {
  clearTimeout(remembering);
  remembering = setTimeout(() => writeAddress(false), 250);
}

function readAddress() {
  readingAddress = true;
  const fields = new URLSearchParams(location.hash.slice(1));
  const column = coloured.find(({ name }) => name === fields.get("by")) || styles;
  const only = column.groups ? column.groups.findIndex(({ name }) => name === fields.get("only")) : -1;
  const range = column.numbers && fields.get("range")?.match(/^(-?[\d.]+)-(-?[\d.]+)$/)?.slice(1).map(Number);
  const picture = Number(fields.get("picture") ?? NaN);
  const layout = fields.get("layout") === "grid" ? "grid" : "map";
  if (layout !== state.layout || !animation) goToLayout(layout, false);
  $("search").value = fields.get("search") || "";
  Object.assign(state, {
    column,
    isolated: only < 0 ? null : only,
    range: range || null,
    words: plain($("search").value).split(/\s+/).filter(Boolean),
    lassoed: null,
    current: Number.isInteger(picture) && picture >= 0 && picture < total ? picture : null,
    doubtful: fields.get("list") === "doubtful",
  });
  const [x, y, zoom] = (fields.get("at") || "").split(",").map(Number);
  if (Number.isFinite(x) && Number.isFinite(y) && zoom > 0) look(x, y, zoom * fittingScale());
  else showWholeMap();
  update();
  readingAddress = false;
}

// ---- buttons

function changeLayout(layout) {
  goToLayout(layout);
  showWholeMap();
  update();
}

function chooseTool(tool) {
  gesture.tool = tool;
  for (const button of $("tools").children) button.setAttribute("aria-pressed", String(button.dataset.tool === tool));
}

for (const button of $("tools").children) button.addEventListener("click", () => chooseTool(button.dataset.tool));
for (const button of $("layouts").children) button.addEventListener("click", () => changeLayout(button.dataset.layout));
$("fit").addEventListener("click", showWholeMap);
$("clear").addEventListener("click", clearSelection);
$("export-table").addEventListener("click", exportTable);
$("export-sheet").addEventListener("click", exportSheet);
$("doubtful").addEventListener("click", () => {
  Object.assign(state, { doubtful: !state.doubtful, lassoed: null, current: null });
  update();
});
$("doubtful").hidden = doubtful.size === 0;
$("doubtful").textContent = `Labels in doubt (${doubtful.size})`;

$("colour-by").append(...coloured.map(({ name }) => element("option", name, { value: name })));
$("colour-by").addEventListener("change", () => colourBy(columnNamed($("colour-by").value)));
for (const event of ["pointerdown", "pointermove"]) $("bars").addEventListener(event, brush);
for (const end of [$("from"), $("to")])
  end.addEventListener("change", () => limitTo([Number($("from").value), Number($("to").value)]));

let typing = 0;
$("search").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => search($("search").value), 120); // not at every keystroke
});

let knownWidth = mapSize()[0];
new ResizeObserver(() => {
  const width = mapSize()[0];
  view.scale *= width / knownWidth; // a turned phone shows the same part of the map
  knownWidth = width;
  redraw();
}).observe(canvas);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
addEventListener("popstate", readAddress);

chooseTool("move");
readAddress();
// For the console and for tests.
globalThis.paintingMap = {
  state,
  shown,
  zoomLevel,
  open,
  select,
  look,
  screenPosition: (row) => toScreen(positions[2 * row], positions[2 * row + 1]),
  pictureSide,
  isStill: () => !animation && !scheduled && ![...decoded.values()].includes(null),
};
document.body.dataset.ready = "yes";
