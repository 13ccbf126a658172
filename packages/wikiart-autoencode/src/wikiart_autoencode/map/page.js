"use strict";
// Bokeh draws the points; this file decides which are shown and builds everything else. Names come from untrusted file
// names: they enter the page as textContent only.
(async () => {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);
  const thumbnails = $("thumbnails").textContent.split("\n");
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
  const xy = new Float32Array(bytes(data.points));
  const order = new Int32Array(bytes(data.order)); // rows in drawing order, small styles last and so on top
  const total = order.length;
  for (const colouring of data.colourings) colouring.of = new Int32Array(bytes(colouring.of));
  const [styles, clusters] = data.colourings;
  const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
  const sought = data.titles.map((title, row) => plain(data.artists[data.artist[row]] + " " + title));
  const LISTED = 200;
  const REACH = 14; // distance in pixels within which the pointer selects a painting
  const state = { colouring: styles, isolated: null, words: [], selected: null };

  // Bokeh treats a button held still for 0.3 s as a press, which then cannot become a drag: a lasso started slowly would
  // draw nothing. Presses are not used here.
  try {
    Bokeh.require("core/ui_gestures").UIGestures.press_threshold = 2 ** 31 - 1;
  } catch {
    // another version of Bokeh keeps it elsewhere; everything else works
  }
  const manager = await Bokeh.embed.embed_item(PLOT, "plot");
  const plot = manager.roots[0].model;
  const model = (name) => plot.document.get_model_by_name(name);
  const layers = { faded: model("faded"), shown: model("shown") };
  const rows = { faded: [], shown: [] };
  const at = (row) => [xy[2 * row], xy[2 * row + 1]];
  const number = (n) => n.toLocaleString("en");

  function element(tag, text, attributes = {}) {
    const node = document.createElement(tag);
    if (text) node.textContent = text;
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    return node;
  }

  function mark({ colour, marker }) {
    const shapes = {
      circle: "M1 6a5 5 0 1 0 10 0a5 5 0 1 0-10 0", square: "M1.5 1.5h9v9h-9z", triangle: "M6 1l5.4 9.8H.6z",
      plus: "M3 1l3 3l3-3l2 2l-3 3l3 3l-2 2l-3-3l-3 3l-2-2l3-3l-3-3z",
    };
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 12 12");
    svg.setAttribute("class", "mark");
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", shapes[marker]);
    path.setAttribute("fill", colour);
    svg.append(path);
    return svg;
  }

  const picture = (row) => "data:image/jpeg;base64," + data.head + thumbnails[row];
  const group = (row) => state.colouring.of[row];
  const artist = (row) => data.artists[data.artist[row]] || "artist unknown";
  const matches = (row) => state.words.every((word) => sought[row].includes(word));

  // ---- points: shown, and faded behind them

  function draw() {
    rows.faded = [];
    rows.shown = [];
    for (const row of order) {
      const shown = (state.isolated === null || group(row) === state.isolated) && matches(row);
      rows[shown ? "shown" : "faded"].push(row);
    }
    const faded = getComputedStyle(document.documentElement).getPropertyValue("--faded").trim();
    layers.shown.selected.indices = [];
    for (const [name, layer] of Object.entries(layers)) {
      const own = rows[name];
      const groups = own.map((row) => state.colouring.groups[group(row)]);
      layer.data = {
        x: Float32Array.from(own, (row) => xy[2 * row]),
        y: Float32Array.from(own, (row) => xy[2 * row + 1]),
        colour: groups.map((info) => (name === "faded" ? faded : info.colour)),
        marker: groups.map((info) => info.marker),
        angle: Float32Array.from(groups, (info) => (info.marker === "plus" ? Math.PI / 4 : 0)),
      };
    }
    state.selected = null;
    hide();
    updatePanel();
    placeNames();
  }

  function updatePanel() {
    const matched = state.words.length ? rows.shown.length : 0;
    $("count").textContent = state.words.length
      ? `${number(matched)} of ${number(total)} paintings match` : `${number(total)} paintings by ${artistsKnown} artists`;
    $("legend").classList.toggle("isolated", state.isolated !== null);
    for (const button of $("legend").querySelectorAll("button"))
      button.setAttribute("aria-pressed", String(Number(button.dataset.group) === state.isolated));
    const [heading, listed] = state.selected ? ["Selected", state.selected]
      : state.words.length ? ["Found", rows.shown]
      : state.isolated !== null ? [state.colouring.groups[state.isolated].name, rows.shown]
      : ["Typical paintings", typical()];
    const idle = !state.selected && !state.words.length && state.isolated === null;
    $("list-title").textContent = heading;
    $("clear").hidden = idle;
    $("summary").textContent = idle ? `The one nearest the centre of each ${state.colouring.kind}. `
      + "Use the lasso, the search or the legend to list others." : listed.length ? counted(listed) : "None.";
    $("list").replaceChildren(...listed.slice(0, LISTED).map(entry));
    $("list").scrollTop = 0;
    if (listed.length > LISTED)
      $("list").append(element("li", `… and ${number(listed.length - LISTED)} more`, { class: "more" }));
  }
  const artistsKnown = number(data.artists.filter(Boolean).length);

  // The painting nearest the centre of each group.
  function typical() {
    const { groups, of } = state.colouring;
    const best = groups.map(() => [null, Infinity]);
    for (let row = 0; row < total; row++) {
      const { centre } = groups[of[row]];
      if (!centre) continue;
      const distance = (xy[2 * row] - centre[0]) ** 2 + (xy[2 * row + 1] - centre[1]) ** 2;
      if (distance < best[of[row]][1]) best[of[row]] = [row, distance];
    }
    return best.flatMap(([row]) => (row === null ? [] : [row]));
  }

  function counted(listed) {
    const counts = new Map();
    const kind = state.isolated !== null && state.colouring === styles && clusters ? clusters : styles;
    for (const row of listed) counts.set(kind.of[row], (counts.get(kind.of[row]) || 0) + 1);
    const most = [...counts].sort((a, b) => b[1] - a[1]);
    const named = most.slice(0, 4).map(([info, n]) => `${kind.groups[info].name} ${number(n)}`).join(", ");
    const rest = most.length - 4;
    const more = rest > 0 ? `, ${rest} other ${kind.kind}${rest > 1 ? "s" : ""}` : "";
    return `${number(listed.length)} painting${listed.length > 1 ? "s" : ""}: ${named}${more}`;
  }

  function entry(row) {
    const button = element("button", "", { type: "button", title: data.files[row] });
    const style = styles.groups[styles.of[row]];
    const below = element("span");
    below.append(mark(style), `${style.name} · ${artist(row)}`);
    const text = element("div");
    text.append(element("b", data.titles[row]), below);
    button.append(element("img", "", { alt: "", loading: "lazy", decoding: "async", src: picture(row) }), text);
    button.dataset.row = row;
    for (const event of ["mouseenter", "focus"]) button.addEventListener(event, () => show(row));
    for (const event of ["mouseleave", "blur"]) button.addEventListener(event, hide);
    button.addEventListener("click", () => { centreOn(row); show(row); });
    const item = element("li");
    item.append(button);
    return item;
  }

  // ---- legend and colouring

  function colourBy(colouring) {
    state.colouring = colouring;
    state.isolated = null;
    $("legend-title").textContent = colouring === styles ? "Styles" : "Clusters";
    for (const button of $("colouring").children)
      button.setAttribute("aria-pressed", String(button.dataset.kind === colouring.kind));
    $("legend").replaceChildren(...colouring.groups.flatMap((info, index) => (info.n ? [legendEntry(info, index)] : [])));
    $("legend").style.gridTemplateRows = `repeat(${Math.ceil($("legend").children.length / 2)}, auto)`;
    $("names").replaceChildren(...colouring.groups.map((info) => element("span", info.centre ? info.name : "")));
    draw();
  }

  function legendEntry(info, index) {
    const button = element("button", "", { type: "button", "aria-pressed": "false", title: info.name });
    button.dataset.group = index;
    button.append(mark(info), element("span", info.name), element("small", number(info.n)));
    button.addEventListener("click", () => {
      state.isolated = state.isolated === index ? null : index;
      draw();
    });
    const item = element("li");
    item.append(button);
    return item;
  }

  // ---- coordinates: the plot has no border, so the ranges span the whole element

  const size = () => [$("map").clientWidth, $("map").clientHeight];

  function toPixels([x, y]) {
    const [width, height] = size();
    const { x_range: h, y_range: v } = plot;
    return [((x - h.start) / (h.end - h.start)) * width, height - ((y - v.start) / (v.end - v.start)) * height];
  }

  function look([x, y], perPixel) {
    const [width, height] = size();
    plot.x_range.setv({ start: x - (width / 2) * perPixel, end: x + (width / 2) * perPixel });
    plot.y_range.setv({ start: y - (height / 2) * perPixel, end: y + (height / 2) * perPixel });
  }

  function wholeMap() {
    let [left, low, right, top] = [Infinity, Infinity, -Infinity, -Infinity];
    for (let row = 0; row < total; row++) {
      const [x, y] = at(row);
      left = Math.min(left, x); right = Math.max(right, x); low = Math.min(low, y); top = Math.max(top, y);
    }
    const [width, height] = size();
    const room = 36;
    const perPixel = Math.max((right - left) / (width - room), (top - low) / (height - room)) || 1 / width;
    look([(left + right) / 2, (low + top) / 2], perPixel);
  }

  const perPixel = () => (plot.x_range.end - plot.x_range.start) / size()[0];
  const viewCentre = () => [(plot.x_range.start + plot.x_range.end) / 2, (plot.y_range.start + plot.y_range.end) / 2];

  function centreOn(row) {
    const [x, y] = toPixels(at(row));
    const [width, height] = size();
    if (x < 20 || y < 20 || x > width - 20 || y > height - 20) look(at(row), perPixel());
  }

  // Large groups are labelled first; a label that would overlap another is hidden until the map is zoomed in.
  function placeNames() {
    const taken = [];
    const [width, height] = size();
    const ranked = state.colouring.groups.map((info, index) => [info, index]).sort((a, b) => b[0].n - a[0].n);
    for (const [info, index] of ranked) {
      const name = $("names").children[index];
      name.hidden = !info.centre || state.words.length > 0 || state.isolated !== null; // labels would hide the few points left
      if (name.hidden) continue;
      const [x, y] = toPixels(info.centre);
      const half = info.name.length * 3.4 + 5;
      const box = [x - half, y - 9, x + half, y + 9];
      const clear = taken.every(([l, t, r, b]) => box[0] > r || box[2] < l || box[1] > b || box[3] < t);
      name.hidden = !clear || x < 0 || y < 0 || x > width || y > height;
      if (name.hidden) continue;
      taken.push(box);
      name.style.left = `${Math.min(Math.max(x, half), width - half)}px`;
      name.style.top = `${y}px`;
    }
  }

  // ---- the card next to a painting's point

  let cardRow = null;
  function show(row) {
    const [x, y] = toPixels(at(row));
    const [width, height] = size();
    const card = $("card");
    if (cardRow !== row) {
      cardRow = row;
      card.dataset.row = row;
      card.querySelector("img").src = picture(row);
      card.querySelector(".title").textContent = data.titles[row];
      card.querySelector(".artist").textContent = artist(row);
      for (const { kind, groups, of } of data.colourings)
        card.querySelector("." + kind).replaceChildren(mark(groups[of[row]]), groups[of[row]].name);
    }
    card.hidden = $("ring").hidden = false;
    $("ring").style.left = `${x}px`;
    $("ring").style.top = `${y}px`;
    const left = x + 18 + card.offsetWidth < width ? x + 18 : x - 18 - card.offsetWidth;
    card.style.left = `${Math.max(4, Math.min(left, width - card.offsetWidth - 4))}px`;
    card.style.top = `${Math.max(4, Math.min(y - 60, height - card.offsetHeight - 4))}px`;
  }

  function hide() {
    $("card").hidden = $("ring").hidden = true;
  }

  function nearest(px, py) {
    const scale = perPixel();
    const [x, y] = [plot.x_range.start + px * scale, plot.y_range.end - py * scale];
    let [best, smallest] = [null, (REACH * scale) ** 2];
    for (const row of rows.shown) {
      const distance = (xy[2 * row] - x) ** 2 + (xy[2 * row + 1] - y) ** 2;
      if (distance <= smallest) [best, smallest] = [row, distance]; // of two at one position, the one on top
    }
    return best;
  }

  $("map").addEventListener("pointermove", (event) => {
    const { left, top } = $("map").getBoundingClientRect();
    const row = event.buttons ? null : nearest(event.clientX - left, event.clientY - top);
    if (row === null) hide();
    else show(row);
  });
  $("map").addEventListener("pointerleave", hide);

  // ---- interaction

  function use(tool) {
    model(tool).active = true; // Bokeh deactivates the other drag tools
    for (const button of $("tools").children) button.setAttribute("aria-pressed", String(button.dataset.tool === tool));
  }
  for (const button of $("tools").children) button.addEventListener("click", () => use(button.dataset.tool));
  $("fit").addEventListener("click", wholeMap);

  const picked = layers.shown.selected;
  picked.connect(picked.properties.indices.change, () => {
    if (picked.indices.length === 0 && state.selected === null) return;
    const indices = [...picked.indices].sort((a, b) => b - a); // small styles first
    state.selected = indices.length ? indices.map((index) => rows.shown[index]) : null;
    hide();
    updatePanel();
  });

  function search() {
    state.words = plain($("search").value).split(/\s+/).filter(Boolean);
    draw();
  }
  let typing = 0;
  $("search").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(search, 120); // not at every keystroke
  });

  function clear() {
    clearTimeout(typing);
    $("search").value = "";
    state.words = [];
    state.isolated = null;
    draw();
  }
  $("clear").addEventListener("click", clear);
  addEventListener("keydown", (event) => {
    if (event.key === "Escape") clear();
    if (event.key === "/" && document.activeElement !== $("search")) {
      event.preventDefault();
      $("search").focus();
    }
  });

  if (clusters) {
    for (const { kind } of data.colourings) {
      const button = element("button", kind, { type: "button" });
      button.dataset.kind = kind;
      button.addEventListener("click", () => colourBy(data.colourings.find((info) => info.kind === kind)));
      $("colouring").append(button);
    }
  }

  // Both axes must keep the same scale: Bokeh preserves it when zooming, but not on resize.
  let width = size()[0];
  new ResizeObserver(() => {
    const scale = (plot.x_range.end - plot.x_range.start) / width;
    width = size()[0];
    look(viewCentre(), scale);
  }).observe($("map"));
  for (const range of [plot.x_range, plot.y_range]) range.connect(range.change, () => requestAnimationFrame(placeNames));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

  use("pan");
  wholeMap();
  colourBy(styles);
  document.body.dataset.ready = "yes"; // tests wait for this
})();
