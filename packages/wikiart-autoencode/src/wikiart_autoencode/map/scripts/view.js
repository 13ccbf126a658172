// What part of the map is in sight. Map coordinates: x to the right, y upwards, the longer side of the map is 1.

const canvas = $("canvas");
const view = { x: 0.5, y: 0.5, scale: 1 }; // the centre, and pixels per unit
const MARGIN = 36; // pixels around the whole map
const LARGEST_SPACING = 220; // pixels from picture to picture at the strongest zoom

const mapSize = () => [canvas.clientWidth || 1, canvas.clientHeight || 1];
const layoutNow = () => layouts[state.layout];

function toScreen(x, y) {
  const [width, height] = mapSize();
  return [width / 2 + (x - view.x) * view.scale, height / 2 - (y - view.y) * view.scale];
}

function toMap(px, py) {
  const [width, height] = mapSize();
  return [view.x + (px - width / 2) / view.scale, view.y - (py - height / 2) / view.scale];
}

function fittingScale() {
  const [width, height] = mapSize();
  const { width: w, height: h, spacing } = layoutNow();
  // A picture at the edge extends half its size beyond its position.
  const beyond = state.layout === "grid" ? spacing : 0;
  const room = Math.min(MARGIN, width / 10);
  return Math.min((width - room) / (w + beyond || 1), (height - room) / (h + beyond || 1));
}

const zoomLevel = () => view.scale / fittingScale();

function look(x, y, scale) {
  const least = fittingScale() / 2;
  const most = Math.max(fittingScale(), LARGEST_SPACING / layoutNow().spacing);
  Object.assign(view, { x, y, scale: Math.min(Math.max(scale, least), most) });
  redraw();
  rememberView();
}

function showWholeMap() {
  const { width, height } = layoutNow();
  look(width / 2, height / 2, fittingScale());
}

function zoomAt(px, py, factor) {
  const [x, y] = toMap(px, py);
  look(view.x, view.y, view.scale * factor);
  const [movedX, movedY] = toMap(px, py);
  look(view.x + x - movedX, view.y + y - movedY, view.scale); // what was under the pointer stays there
}

function bringIntoSight(row) {
  const { positions } = layoutNow();
  const [px, py] = toScreen(positions[2 * row], positions[2 * row + 1]);
  const [width, height] = mapSize();
  if (px < 30 || py < 30 || px > width - 30 || py > height - 30)
    look(positions[2 * row], positions[2 * row + 1], view.scale);
}
