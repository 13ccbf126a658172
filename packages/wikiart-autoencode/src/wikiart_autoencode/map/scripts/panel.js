// Everything beside the map: legend or ramp, list, and the card of the picture under the pointer.

const LISTED = 200;
const BARS = 40;

function mark({ colour, marker }) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 12 12");
  svg.setAttribute("class", "mark");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", shapes[marker]);
  path.setAttribute("fill", colour);
  svg.append(path);
  return svg;
}

function updatePanel() {
  const { column } = state;
  $("count").textContent = state.words.length
    ? `${formatted(shown.rows.length)} of ${paintings(total)} match` : paintings(total);
  $("colour-by").value = column.name;
  if ($("legend").dataset.column !== column.name) {
    $("legend").dataset.column = column.name;
    drawLegend(column);
    drawBrush(column);
  }
  $("legend").classList.toggle("isolated", state.isolated !== null);
  for (const button of $("legend").querySelectorAll("button"))
    button.setAttribute("aria-pressed", String(Number(button.dataset.group) === state.isolated));
  if (column.numbers) updateBrush(column);
  for (const button of $("layouts").children)
    button.setAttribute("aria-pressed", String(button.dataset.layout === state.layout));
  $("doubtful").setAttribute("aria-pressed", String(state.doubtful));
  updateList();
}

function drawLegend(column) {
  const entries = (column.groups || []).flatMap((info, group) => (info.n ? [legendEntry(info, group)] : []));
  $("legend").replaceChildren(...entries);
  $("legend").style.gridTemplateRows = `repeat(${Math.ceil(entries.length / 2)}, auto)`;
  $("legend").hidden = !column.groups;
  $("brush").hidden = Boolean(column.groups);
}

function legendEntry(info, group) {
  const button = element("button", "", { type: "button", "aria-pressed": "false", title: info.name });
  button.dataset.group = group;
  button.append(mark(info), element("span", info.name), element("small", formatted(info.n)));
  button.addEventListener("click", () => isolate(group));
  const item = element("li");
  item.append(button);
  return item;
}

// ---- numbers: a histogram to brush, and its ends as inputs

const numberAt = (column, share) => column.low + (column.high - column.low) * Math.min(Math.max(share, 0), 1);
const rounded = (column, number) => (column.high - column.low > 20 ? Math.round(number) : Number(number.toPrecision(3)));

function drawBrush(column) {
  if (!column.numbers) return;
  const counts = new Array(BARS).fill(0);
  for (const number of column.numbers) {
    if (!Number.isFinite(number)) continue;
    counts[Math.min(BARS - 1, Math.floor(((number - column.low) / (column.high - column.low || 1)) * BARS))]++;
  }
  const most = Math.max(...counts);
  $("bars").replaceChildren(...counts.map((count, index) => {
    const bar = element("i");
    bar.style.height = `${count ? Math.max(4, (100 * count) / most) : 0}%`;
    bar.style.background = data.ramp[Math.round((index / (BARS - 1)) * (data.ramp.length - 1))];
    return bar;
  }));
}

function updateBrush(column) {
  const [low, high] = state.range || [column.low, column.high];
  for (const [index, bar] of [...$("bars").children].entries()) {
    const [from, to] = [numberAt(column, index / BARS), numberAt(column, (index + 1) / BARS)];
    bar.style.opacity = to >= low && from <= high ? 1 : 0.2;
  }
  $("from").value = low;
  $("to").value = high;
}

function brush(event) {
  const { column } = state;
  const { left, width } = $("bars").getBoundingClientRect();
  const here = rounded(column, numberAt(column, (event.clientX - left) / width));
  if (event.type === "pointerdown") {
    $("bars").setPointerCapture(event.pointerId);
    gesture.brushStart = here;
  }
  if (event.buttons) limitTo([Math.min(gesture.brushStart, here), Math.max(gesture.brushStart, here)]);
}

// ---- the list

function updateList() {
  const { heading, rows, reasons, idle } = listing();
  $("list-title").textContent = heading;
  $("clear").hidden = Boolean(idle);
  if (idle) $("summary").textContent = "The one nearest the centre of each group. Click a picture to see similar ones.";
  else if (state.doubtful)
    $("summary").textContent = "Pictures whose neighbours in code space have another label: wrong labels, or codes that miss the style.";
  else $("summary").textContent = rows.length ? counted(rows) : "None.";
  $("list").replaceChildren(...rows.slice(0, LISTED).map((row) => listEntry(row, reasons?.get(row))));
  $("list").scrollTop = 0;
  if (rows.length > LISTED)
    $("list").append(element("li", `… and ${formatted(rows.length - LISTED)} more`, { class: "more" }));
}

function counted(rows) {
  const counts = new Map();
  for (const row of rows) counts.set(styles.group[row], (counts.get(styles.group[row]) || 0) + 1);
  const most = [...counts].sort((a, b) => b[1] - a[1]);
  const named = most.slice(0, 4).map(([group, n]) => `${styles.groups[group].name} ${formatted(n)}`).join(", ");
  const rest = most.length - 4;
  return `${paintings(rows.length)}: ${named}${rest > 0 ? `, ${rest} other style${rest > 1 ? "s" : ""}` : ""}`;
}

function listEntry(row, reason) {
  const button = element("button", "", { type: "button", title: data.files[row] });
  const style = styles.groups[styles.group[row]];
  const below = element("span");
  below.append(mark(style), `${style.name} · ${artistOf(row)}`);
  const text = element("div");
  text.append(element("b", data.titles[row]), below);
  if (reason) text.append(element("em", reason));
  button.append(imageElement(row), text);
  button.dataset.row = row;
  for (const event of ["mouseenter", "focus"]) button.addEventListener(event, () => showCard(row));
  for (const event of ["mouseleave", "blur"]) button.addEventListener(event, hideCard);
  button.addEventListener("click", () => open(row));
  const item = element("li");
  item.append(button);
  if (row === state.current) button.setAttribute("aria-current", "true");
  return item;
}

// ---- the card

function showCard(row) {
  const card = $("card");
  if (state.hovered !== row || card.hidden) {
    state.hovered = row;
    card.dataset.row = row;
    showPicture(card.querySelector("img"), row);
    card.querySelector(".title").textContent = data.titles[row];
    const lines = columns.filter((column) => textOf(column, row)).slice(0, 7).map((column) => {
      const line = element("span", "", { class: column.name === "artist" ? "artist" : "line" });
      line.dataset.column = column.name;
      if (column.groups && column.name !== "artist") line.append(mark(column.groups[column.group[row]]));
      const text = textOf(column, row);
      line.append(["style", "cluster", "artist"].includes(column.name) ? text : `${column.name}: ${text}`);
      return line;
    });
    card.querySelector(".lines").replaceChildren(...lines);
    card.hidden = false;
  }
  const [x, y] = toScreen(positions[2 * row], positions[2 * row + 1]);
  const [width, height] = mapSize();
  const away = Math.max(18, pictureSide() / 2 + 8);
  const left = x + away + card.offsetWidth < width ? x + away : x - away - card.offsetWidth;
  card.style.left = `${Math.max(4, Math.min(left, width - card.offsetWidth - 4))}px`;
  card.style.top = `${Math.max(4, Math.min(y - 60, height - card.offsetHeight - 4))}px`;
  redraw();
}

function hideCard() {
  state.hovered = null;
  $("card").hidden = true;
  redraw();
}
