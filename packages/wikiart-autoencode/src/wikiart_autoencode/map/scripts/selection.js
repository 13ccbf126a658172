// What is selected: by the legend, by numbers, by the search, by the lasso, or as pictures similar to one.

const state = {
  layout: "map",
  column: styles, // that colours the map
  isolated: null, // index of the only group shown
  range: null, // [low, high] of the column's numbers shown
  words: [], // searched
  lassoed: null, // rows
  current: null, // row whose similar pictures are listed
  hovered: null, // row under the pointer
  doubtful: false, // whether doubtful labels are listed
};
const shown = { rows: [], others: [] }; // in drawing order

function isShown(row) {
  const { column, isolated, range, words } = state;
  if (isolated !== null && column.group[row] !== isolated) return false;
  if (range && !(column.numbers[row] >= range[0] && column.numbers[row] <= range[1])) return false;
  return words.every((word) => searchable[row].includes(word));
}

// Apply the state: what is shown, the panel, the address.
function update({ newEntry = false } = {}) {
  shown.rows = [];
  shown.others = [];
  for (const row of allRows) (isShown(row) ? shown.rows : shown.others).push(row);
  hideCard();
  updatePanel();
  writeAddress(newEntry);
  redraw();
}

function colourBy(column) {
  Object.assign(state, { column, isolated: null, range: null, lassoed: null });
  update();
}

function isolate(group) {
  Object.assign(state, { isolated: state.isolated === group ? null : group, lassoed: null, current: null, doubtful: false });
  update();
}

function limitTo(range) {
  Object.assign(state, { range, lassoed: null, current: null, doubtful: false });
  update();
}

function search(text) {
  Object.assign(state, { words: plain(text).split(/\s+/).filter(Boolean), lassoed: null, current: null, doubtful: false });
  update();
}

function open(row) {
  Object.assign(state, { current: row, lassoed: null, doubtful: false });
  bringIntoSight(row);
  update({ newEntry: true });
}

function select(rows) {
  Object.assign(state, { lassoed: rows, current: null, doubtful: false });
  update();
}

function clearSelection() {
  $("search").value = "";
  Object.assign(state, { isolated: null, range: null, words: [], lassoed: null, current: null, doubtful: false });
  update();
}

// Rows of small styles first, as they are drawn on top.
const topFirst = (rows) => [...rows].reverse();

// What the list shows: a heading, rows, and reasons by row.
function listing() {
  if (state.doubtful) return { heading: "Labels in doubt", rows: [...doubtful.keys()], reasons: doubtful };
  if (state.current !== null)
    return { heading: "Similar pictures", rows: [state.current, ...similarTo(state.current)] };
  if (state.lassoed) return { heading: "Selected", rows: topFirst(state.lassoed) };
  if (state.words.length) return { heading: "Matches", rows: topFirst(shown.rows) };
  if (state.isolated !== null)
    return { heading: state.column.groups[state.isolated].name, rows: topFirst(shown.rows) };
  if (state.range) return { heading: `${state.column.name} ${state.range.join(" to ")}`, rows: topFirst(shown.rows) };
  return { heading: "Typical paintings", rows: typicalRows(), idle: true };
}

// The painting nearest the centre of each group.
function typicalRows() {
  const { groups, group } = state.column.groups ? state.column : styles;
  const best = groups.map(() => [null, Infinity]);
  const { positions: places } = layouts.map;
  for (let row = 0; row < total; row++) {
    const { centre } = groups[group[row]];
    if (!centre) continue;
    const distance = (places[2 * row] - centre[0]) ** 2 + (places[2 * row + 1] - centre[1]) ** 2;
    if (distance < best[group[row]][1]) best[group[row]] = [row, distance];
  }
  return best.flatMap(([row]) => (row === null ? [] : [row]));
}

function insidePolygon(corners, x, y) {
  let inside = false;
  for (let i = 0, j = corners.length - 1; i < corners.length; j = i++) {
    const [[xi, yi], [xj, yj]] = [corners[i], corners[j]];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
  }
  return inside;
}
