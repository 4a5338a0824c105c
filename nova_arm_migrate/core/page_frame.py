# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.
"""The style, the program and the frame of the page (``core.page``).

The program draws only the cells that can be seen, on one canvas, so that a
fleet of 500 classes scrolls as fast as one of five. It sets texts only with
``textContent`` and ``fillText``, so what a host wrote is never markup.
"""

STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; height: 100vh; display: flex; flex-direction: column;
  font: 15px/1.4 system-ui, sans-serif; color: #111; background: #fff; }
header { padding: .6rem 1rem; border-bottom: 1px solid #888; }
h1 { font-size: 1.15rem; margin: 0 0 .3rem; }
header p { margin: .15rem 0; }
#legend span { display: inline-block; min-width: 1.5em; text-align: center;
  border: 1px solid #555; margin-left: .9rem; margin-right: .3rem;
  font-weight: bold; }
main { flex: 1; min-height: 0; display: flex; }
#fleet { flex: 1; min-width: 0; overflow: auto; position: relative;
  outline-offset: -3px; }
#fleet:focus-visible { outline: 3px solid #0050a0; }
#fleet canvas { position: sticky; left: 0; top: 0; display: block; }
#room { position: absolute; left: 0; top: 0; visibility: hidden; }
#details { width: 24rem; overflow: auto; padding: .7rem 1rem;
  border-left: 1px solid #888; overflow-wrap: anywhere; }
#details h2 { font-size: 1.05rem; margin: 0 0 .4rem; }
#details dt { font-weight: bold; margin-top: .5rem; }
#details dd { margin: 0; }
#details code { background: #eee; padding: 0 .2em; }
@media (max-width: 50rem) {
  main { flex-direction: column; }
  #details { width: auto; max-height: 45%; border-left: 0;
    border-top: 1px solid #888; }
}
"""

SCRIPT = """
'use strict';
const data = JSON.parse(document.getElementById('data').textContent);
const fleet = document.getElementById('fleet');
const canvas = document.getElementById('canvas');
const room = document.getElementById('room');
const details = document.getElementById('details');
const size = data.profiles.length;
const CELL = 24, LEFT = 230, TOP = 46;
let row = 0, column = 0, drawing = false;

function element(name, text) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  return made;
}

function names(profile, most) {
  const shown = profile.names.slice(0, most).join(', ');
  const more = profile.names.length - most;
  return more > 0 ? shown + ' and ' + more + ' more' : shown;
}

function label(profile) {
  const count = profile.names.length;
  return profile.names[0] + (count > 1 ? ' +' + (count - 1) : '');
}

function quoted(name) {
  return /^[\\w.@%+=:,/-]+$/.test(name) ? name
    : "'" + name.replaceAll("'", "'\\\\''") + "'";
}

function resize() {
  const scale = window.devicePixelRatio || 1;
  const width = fleet.clientWidth, height = fleet.clientHeight;
  room.style.width = LEFT + size * CELL + 'px';
  room.style.height = TOP + size * CELL + 'px';
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.style.width = width + 'px';
  canvas.style.height = height + 'px';
  redraw();
}

function redraw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(function () { drawing = false; draw(); });
}

function draw() {
  const scale = window.devicePixelRatio || 1;
  const width = fleet.clientWidth, height = fleet.clientHeight;
  const x0 = fleet.scrollLeft, y0 = fleet.scrollTop;
  const firstColumn = Math.floor(x0 / CELL), firstRow = Math.floor(y0 / CELL);
  const lastColumn = Math.min(size, Math.ceil((x0 + width - LEFT) / CELL));
  const lastRow = Math.min(size, Math.ceil((y0 + height - TOP) / CELL));
  const pen = canvas.getContext('2d');
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.textBaseline = 'middle';
  pen.textAlign = 'center';
  pen.font = 'bold 15px system-ui, sans-serif';
  pen.save();
  pen.beginPath();
  pen.rect(LEFT, TOP, width - LEFT, height - TOP);
  pen.clip();
  for (let r = firstRow; r < lastRow; r++) {
    const y = TOP + r * CELL - y0;
    for (let c = firstColumn; c < lastColumn; c++) {
      const x = LEFT + c * CELL - x0;
      const mark = data.marks[data.details[data.cells[r][c]][0]];
      pen.fillStyle = mark.colour;
      pen.fillRect(x, y, CELL - 1, CELL - 1);
      pen.fillStyle = '#111';
      pen.fillText(mark.symbol, x + CELL / 2, y + CELL / 2);
    }
  }
  pen.strokeStyle = '#111';
  pen.lineWidth = 2;
  pen.beginPath();
  for (let i = firstRow; i < lastRow; i++) {
    if (i && data.profiles[i].pool !== data.profiles[i - 1].pool) {
      const y = TOP + i * CELL - y0;
      pen.moveTo(LEFT, y);
      pen.lineTo(LEFT + size * CELL - x0, y);
    }
  }
  for (let i = firstColumn; i < lastColumn; i++) {
    if (i && data.profiles[i].pool !== data.profiles[i - 1].pool) {
      const x = LEFT + i * CELL - x0;
      pen.moveTo(x, TOP);
      pen.lineTo(x, TOP + size * CELL - y0);
    }
  }
  pen.stroke();
  pen.lineWidth = 4;
  pen.strokeStyle = '#0050a0';
  pen.strokeRect(LEFT + column * CELL - x0, TOP + row * CELL - y0,
    CELL - 1, CELL - 1);
  pen.restore();
  pen.fillStyle = '#111';
  pen.font = '13px system-ui, sans-serif';
  pen.save();
  pen.beginPath();
  pen.rect(0, TOP, LEFT, height - TOP);
  pen.clip();
  for (let r = firstRow; r < lastRow; r++) {
    const y = TOP + r * CELL - y0 + CELL / 2;
    if (r === row) {
      pen.fillStyle = '#cfe2f5';
      pen.fillRect(0, y - CELL / 2, LEFT, CELL - 1);
      pen.fillStyle = '#111';
    }
    pen.textAlign = 'right';
    pen.fillText(r + 1, 34, y);
    pen.textAlign = 'left';
    pen.fillText(label(data.profiles[r]).slice(0, 40), 42, y, LEFT - 48);
  }
  pen.restore();
  pen.save();
  pen.beginPath();
  pen.rect(LEFT, 0, width - LEFT, TOP);
  pen.clip();
  for (let c = firstColumn; c < lastColumn; c++) {
    const x = LEFT + c * CELL - x0;
    if (c === column) {
      pen.fillStyle = '#cfe2f5';
      pen.fillRect(x, 0, CELL - 1, TOP);
      pen.fillStyle = '#111';
    }
    pen.save();
    pen.translate(x + CELL / 2, TOP - 6);
    pen.rotate(-Math.PI / 2);
    pen.textAlign = 'left';
    pen.fillText(c + 1, 0, 0);
    pen.restore();
  }
  pen.restore();
  pen.textAlign = 'left';
  pen.fillText('from \\u2193   to \\u2192', 42, TOP - 12);
}

function show() {
  const from = data.profiles[row], to = data.profiles[column];
  const [sign, more, ...places] = data.details[data.cells[row][column]];
  const [field, said, guest, host, ...others] =
    places.map((place) => data.texts[place]);
  const mark = data.marks[sign];
  const list = element('dl');
  function add(term, ...given) {
    list.append(element('dt', term));
    for (const one of given) {
      const item = element('dd');
      item.append(one);
      list.append(item);
    }
  }
  add('From row ' + (row + 1) + ', pool ' + from.pool, names(from, 20));
  add('To column ' + (column + 1) + ', pool ' + to.pool, names(to, 20));
  if (field) {
    add('Field', element('code', field));
    add('What and remedy', said.replaceAll('\\x01', () => guest)
      .replaceAll('\\x02', () => host));
  }
  if (more) {
    const unnamed = more - others.length;
    add('Also', others.join(', ')
      + (unnamed > 0 ? ' and ' + unnamed + ' more' : ''));
  }
  if (row !== column) {
    add('All fields', element('code', data.command + ' '
      + quoted(from.names[0] + data.suffix) + ' '
      + quoted(to.names[0] + data.suffix)));
  }
  details.replaceChildren(
    element('h2', mark.symbol + ' ' + mark.name), list);
}

function select(r, c) {
  row = Math.max(0, Math.min(size - 1, r));
  column = Math.max(0, Math.min(size - 1, c));
  const x = column * CELL, y = row * CELL;
  const wide = fleet.clientWidth - LEFT - CELL;
  const high = fleet.clientHeight - TOP - CELL;
  fleet.scrollLeft = Math.min(x, Math.max(fleet.scrollLeft, x - wide));
  fleet.scrollTop = Math.min(y, Math.max(fleet.scrollTop, y - high));
  show();
  redraw();
}

const KEYS = {
  ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1],
  ArrowRight: [0, 1], PageUp: [-10, 0], PageDown: [10, 0],
  Home: [0, -size], End: [0, size],
};
fleet.addEventListener('keydown', function (event) {
  const step = KEYS[event.key];
  if (!step || event.altKey || event.metaKey) return;
  event.preventDefault();
  const far = event.ctrlKey ? size : 1;
  select(row + step[0] * far, column + step[1] * far);
});
fleet.addEventListener('click', function (event) {
  const box = fleet.getBoundingClientRect();
  const x = event.clientX - box.left, y = event.clientY - box.top;
  if (x >= fleet.clientWidth || y >= fleet.clientHeight) return;
  const c = Math.floor((x - LEFT + fleet.scrollLeft) / CELL);
  const r = Math.floor((y - TOP + fleet.scrollTop) / CELL);
  fleet.focus();
  if (r >= size || c >= size) return;
  select(y < TOP ? row : r, x < LEFT ? column : c);
});
document.getElementById('find').addEventListener('change', function (event) {
  const text = event.target.value.trim();
  if (!text) return;
  let found = data.profiles.findIndex((one) => one.names.includes(text));
  if (found < 0) {
    found = data.profiles.findIndex(
      (one) => one.names.some((name) => name.includes(text)));
  }
  event.target.setCustomValidity(found < 0 ? 'no such host' : '');
  event.target.reportValidity();
  if (found >= 0) select(found, column);
});
fleet.addEventListener('scroll', redraw);
new ResizeObserver(resize).observe(fleet);
for (const mark of data.marks) {
  const sign = element('span', mark.symbol);
  sign.style.background = mark.colour;
  document.getElementById('legend').append(sign, mark.name);
}
resize();
select(0, Math.min(1, size - 1));
"""

FRAME = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header>
<h1>{title}</h1>
<p>A row is where a guest is started, a column is where it goes. Hosts with the
same record share a row. Lines separate pools. Click a cell, or press the arrow
keys, Home, End, Page Up and Page Down.</p>
<p id="legend"><label>Find a host
<input id="find" type="search"></label></p>
</header>
<main>
<div id="fleet" tabindex="0" role="application" aria-describedby="details"
aria-label="Where guests can move; the arrow keys select a cell">
<canvas id="canvas"></canvas><div id="room"></div>
</div>
<section id="details" aria-live="polite" aria-label="The selected cell">
<noscript>This page needs JavaScript.</noscript>
</section>
</main>
<script type="application/json" id="data">{data}</script>
<script>{script}</script>
</body>
</html>
"""
