// Drawing: points when the whole map is in sight, pictures as soon as they have room; names of groups; the lasso.

const context = canvas.getContext("2d");
const SMALLEST_PICTURE = 20; // pixels; smaller ones are drawn as points, except in the grid
const LARGEST_ON_MAP = 112;
const REACH = 14; // pixels within which the pointer finds a point
const ANIMATION = 450; // milliseconds from one layout to the other
const MANY = 4000; // of more pictures a copy is moved while the view moves
const COPY_FOR = 120; // milliseconds until it is replaced
const positions = new Float32Array(2 * total); // where pictures are drawn now
const looks = { key: "", list: [], of: new Uint16Array(total) }; // colour and stamp of each picture by the column
const shapes = {
  circle: "M1 6a5 5 0 1 0 10 0a5 5 0 1 0-10 0", square: "M1.5 1.5h9v9h-9z", triangle: "M6 1l5.4 9.8H.6z",
  cross: "M3 1l3 3l3-3l2 2l-3 3l3 3l-2 2l-3-3l-3 3l-2-2l3-3l-3-3z",
};
const palette = {}; // colours of the page, light or dark
let pointSize = 5; // pixels
const copy = { canvas: document.createElement("canvas"), view: null, time: 0 }; // what was drawn last
let scheduled = false;
let animation = null;

function redraw() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(draw);
}

// Side of the pictures in pixels; 0 if they are drawn as points.
function pictureSide() {
  const room = layoutNow().spacing * view.scale;
  if (state.layout === "grid") return room < SMALLEST_PICTURE ? room + 0.5 : room * 0.94; // tiny ones without gaps
  const side = Math.min(room * 1.6, LARGEST_ON_MAP);
  return side >= SMALLEST_PICTURE ? side : 0;
}

function readPalette() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["paper", "ink", "accent", "faded"]) palette[name] = style.getPropertyValue(`--${name}`).trim();
}

// Worked out once per column and size: a frame has no time for it.
function updateLooks() {
  const { column } = state;
  const key = [column.name, palette.faded, pointSize, devicePixelRatio].join();
  if (looks.key === key) return;
  looks.key = key;
  if (column.groups) {
    looks.list = column.groups.map(({ colour, marker }) => ({ colour, stamp: stamp(colour, marker, pointSize) }));
    looks.of.set(column.group);
  } else {
    const colours = [...data.ramp, palette.faded];
    looks.list = colours.map((colour) => ({ colour, stamp: stamp(colour, "circle", pointSize) }));
    const perStep = (column.high - column.low || 1) / (data.ramp.length - 1);
    for (let row = 0; row < total; row++) {
      const number = column.numbers[row];
      looks.of[row] = Number.isFinite(number) ? Math.round((number - column.low) / perStep) : data.ramp.length;
    }
  }
  looks.faded = { colour: palette.faded, stamp: stamp(palette.faded, "circle", pointSize) };
}

// A marker as a small canvas: copying it is faster than filling its path.
function stamp(colour, marker, size) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = Math.ceil(size * devicePixelRatio);
  const pen = tile.getContext("2d");
  pen.scale(tile.width / 12, tile.width / 12);
  pen.fillStyle = colour;
  pen.fill(new Path2D(shapes[marker]));
  return tile;
}

function draw() {
  scheduled = false;
  moveTowardsLayout();
  const [width, height] = mapSize();
  const [w, h] = [Math.round(width * devicePixelRatio), Math.round(height * devicePixelRatio)];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  context.clearRect(0, 0, width, height);
  if (moveCopy(width, height)) return;
  const side = pictureSide();
  pointSize = Math.min(Math.max((0.55 * Math.min(width, height)) / Math.sqrt(total), 4.5), 10);
  readPalette();
  updateLooks();
  const reach = Math.max(side, pointSize);
  const [left, top] = [width / 2 - view.x * view.scale, height / 2 + view.y * view.scale];
  for (const [rows, isFaded] of [[shown.others, true], [shown.rows, false]]) {
    context.globalAlpha = isFaded ? 0.16 : side ? 1 : 0.85;
    for (const row of rows) {
      const x = left + positions[2 * row] * view.scale;
      const y = top - positions[2 * row + 1] * view.scale;
      if (x < -reach || y < -reach || x > width + reach || y > height + reach) continue;
      const look = isFaded ? looks.faded : looks.list[looks.of[row]];
      if (side) drawFramed(row, x, y, side, look.colour);
      else context.drawImage(look.stamp, x - pointSize / 2, y - pointSize / 2, pointSize, pointSize);
    }
  }
  context.globalAlpha = 1;
  if (!side) drawNames(width, height);
  if (state.current !== null) for (const row of similarTo(state.current)) drawRing(row, side, 1);
  for (const row of [state.current, state.hovered]) if (row !== null) drawRing(row, side, 2.5);
  drawLasso();
  keepCopy();
}

// Many pictures cannot be drawn 60 times a second without a GPU: while the view moves, what was drawn last is moved.
function moveCopy(width, height) {
  const { view: drawn, time } = copy;
  const isMoving = drawn && (drawn.x !== view.x || drawn.y !== view.y || drawn.scale !== view.scale);
  if (!isMoving || animation || performance.now() - time > COPY_FOR) return false;
  const factor = view.scale / drawn.scale;
  const left = width / 2 + (drawn.x - view.x) * view.scale - (width / 2) * factor;
  const top = height / 2 - (drawn.y - view.y) * view.scale - (height / 2) * factor;
  context.drawImage(copy.canvas, left, top, width * factor, height * factor);
  setTimeout(redraw, COPY_FOR);
  return true;
}

function keepCopy() {
  copy.view = shown.rows.length + shown.others.length > MANY ? { ...view } : null;
  copy.time = performance.now();
  if (!copy.view) return;
  [copy.canvas.width, copy.canvas.height] = [canvas.width, canvas.height];
  copy.canvas.getContext("2d").drawImage(canvas, 0, 0);
}

// A picture in a frame of its group's colour, where there is room for a frame.
function drawFramed(row, x, y, side, colour) {
  if (side < SMALLEST_PICTURE) return drawPicture(context, row, x, y, side);
  context.fillStyle = colour;
  context.fillRect(x - side / 2, y - side / 2, side, side);
  drawPicture(context, row, x, y, side - 2 * Math.min(Math.max(side * 0.03, 1), 3));
}

function drawRing(row, side, thickness) {
  const [x, y] = toScreen(positions[2 * row], positions[2 * row + 1]);
  const radius = side ? side / 2 + 2 : 8;
  for (const [colour, width] of [[palette.paper, 2 * thickness], [palette.accent, thickness]]) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    if (side) context.strokeRect(x - radius, y - radius, 2 * radius, 2 * radius);
    else {
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      context.stroke();
    }
  }
}

// Large groups are named first; a name that would overlap another is left out until the map is zoomed in.
function drawNames(width, height) {
  if (!state.column.groups || state.words.length || state.isolated !== null || state.layout === "grid") return;
  const taken = [];
  context.font = "650 12px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineJoin = "round";
  context.lineWidth = 4;
  context.strokeStyle = palette.paper;
  context.fillStyle = palette.ink;
  for (const { name, centre } of [...state.column.groups].sort((a, b) => b.n - a.n)) {
    if (!centre) continue;
    const [px, y] = toScreen(...centre);
    const half = context.measureText(name).width / 2 + 5;
    const x = Math.min(Math.max(px, half), width - half);
    const box = [x - half, y - 9, x + half, y + 9];
    const clear = taken.every(([l, t, r, b]) => box[0] > r || box[2] < l || box[1] > b || box[3] < t);
    if (!clear || px < 0 || y < 0 || px > width || y > height) continue;
    taken.push(box);
    context.strokeText(name, x, y);
    context.fillText(name, x, y);
  }
}

function drawLasso() {
  if (gesture.lasso.length < 2) return;
  context.beginPath();
  for (const [x, y] of gesture.lasso) context.lineTo(x, y);
  context.closePath();
  context.strokeStyle = palette.accent;
  context.lineWidth = 1.5;
  context.setLineDash([5, 4]);
  context.stroke();
  context.setLineDash([]);
}

// ---- from one layout to the other

function goToLayout(name, animated = true) {
  state.layout = name;
  const still = !animated || matchMedia("(prefers-reduced-motion: reduce)").matches;
  animation = { from: positions.slice(), start: performance.now(), length: still ? 0 : ANIMATION };
  redraw();
}

function moveTowardsLayout() {
  if (!animation) return;
  const { from, start, length } = animation;
  const target = layoutNow().positions;
  const share = length ? Math.min((performance.now() - start) / length, 1) : 1;
  const eased = share * share * (3 - 2 * share);
  for (let index = 0; index < positions.length; index++)
    positions[index] = from[index] + (target[index] - from[index]) * eased;
  if (share === 1) animation = null;
  else redraw();
}

// The picture under the pointer: of two at one place the one on top.
function rowAt(px, py) {
  const side = pictureSide();
  const [x, y] = toMap(px, py);
  let [best, smallest] = [null, ((side ? side : REACH) / view.scale) ** 2];
  for (const row of shown.rows) {
    const [dx, dy] = [Math.abs(positions[2 * row] - x), Math.abs(positions[2 * row + 1] - y)];
    if (side && Math.max(dx, dy) * view.scale <= side / 2) best = row;
    else if (!side && dx * dx + dy * dy <= smallest) [best, smallest] = [row, dx * dx + dy * dy];
  }
  return best;
}
