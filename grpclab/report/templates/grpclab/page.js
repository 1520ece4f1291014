'use strict';
// What a report does beyond being read: theme, tables that sort and filter, the trials of a configuration, copies and
// downloads. All of it is added to a page that is complete without; text of the study only ever becomes text.
(() => {
const all = (what, home = document) => [...home.querySelectorAll(what)];
function made(tag, more = {}, ...inside) {
  const element = Object.assign(document.createElement(tag), more);
  element.append(...inside);
  return element;
}
const status = document.body.appendChild(made('p', {className: 'page-skip'}));
status.setAttribute('role', 'status');
const say = text => { status.textContent = text; };

// ---- theme: that of the system until one is chosen
const root = document.documentElement;
const themeButton = document.getElementById('theme');
const kept = (value) => {
  try { return value ? localStorage.setItem('grpclab-theme', value) : localStorage.getItem('grpclab-theme'); }
  catch { return null; } // a browser that keeps nothing for files
};
const isDark = () => (root.dataset.theme || (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light')) === 'dark';
function setTheme(theme) {
  if (theme) root.dataset.theme = theme;
  if (themeButton) themeButton.textContent = isDark() ? 'Light theme' : 'Dark theme';
}
setTheme(['dark', 'light'].includes(kept()) ? kept() : '');
if (themeButton) {
  themeButton.hidden = false;
  themeButton.onclick = () => { setTheme(isDark() ? 'light' : 'dark'); kept(root.dataset.theme); };
}

// ---- the study inside the page
async function unpacked(id) {
  if (!window.DecompressionStream) throw Error('it cannot unpack the data; one of 2023 or later can');
  const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), c => c.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate'))).arrayBuffer();
}
const once = make => { let found; return () => found ??= make(); };
const file = once(() => unpacked('grpclab-trials'));
const study = once(async () => JSON.parse(new TextDecoder().decode(await unpacked('grpclab-study'))));
const trials = once(async () => {
  const rows = await grpclabParquet.read(await file());
  for (const row of rows)
    for (const name in row) if (typeof row[name] === 'bigint') row[name] = Number(row[name]);
  return rows;
});
const failing = (home, work) => work().catch(error => home.append(made('p', {className: 'gl-none', textContent: `This browser cannot do that: ${error.message}.`})));

// ---- folded sections: opened by a link that leads into one, and for paper
const unfold = () => {
  const home = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const fold = home && (home.querySelector(':scope > .page-fold') ?? home.closest('.page-fold'));
  if (fold && !fold.open) { fold.open = true; home.scrollIntoView(); }
};
addEventListener('hashchange', unfold);
for (const link of all('a[href^="#"]')) link.addEventListener('click', () => { if (link.hash === location.hash) unfold(); });
unfold();
addEventListener('beforeprint', () => { for (const fold of all('.page-fold')) fold.open = true; });

// ---- copies and downloads
async function copy(text, button) {
  try { await navigator.clipboard.writeText(text); }
  catch {
    const area = document.body.appendChild(made('textarea', {value: text}));
    area.select(); document.execCommand('copy'); area.remove();
  }
  button.dataset.label ??= button.textContent;
  button.textContent = 'Copied'; say('Copied as Markdown');
  setTimeout(() => { button.textContent = button.dataset.label; }, 1500);
}
function save(content, type, name) {
  const link = made('a', {href: URL.createObjectURL(new Blob([content], {type})), download: name});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
const cell = value => {
  const text = value == null || Number.isNaN(value) ? '' : value === true ? 'True' : value === false ? 'False' : String(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};
function csv(rows) {
  const names = Object.keys(rows[0] ?? {});
  return [names, ...rows.map(row => names.map(name => row[name]))].map(line => line.map(cell).join(',') + '\n').join('');
}
for (const button of all('[data-download]')) {
  button.hidden = false;
  button.onclick = () => failing(button.parentElement, async () => {
    const kind = button.dataset.download, name = `${button.dataset.name}.${kind}`;
    if (kind === 'parquet') save(await file(), 'application/vnd.apache.parquet', name);
    else save(csv(await trials()), 'text/csv;charset=utf-8', name);
  });
}
const summary = document.getElementById('copy-summary');
if (summary) {
  summary.hidden = false;
  summary.onclick = () => failing(summary.parentElement, async () => copy((await study()).markdown, summary));
}

// ---- figures as files
const alone = figure => {
  const drawing = figure.querySelector('.gl-wide > svg').cloneNode(true);
  drawing.removeAttribute('aria-hidden');
  drawing.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
  drawing.setAttribute('xmlns:xlink', 'http://www.w3.org/1999/xlink');
  return drawing.outerHTML.replace(/var\(--c([0-9a-f]{6})\)/g, '#$1');
};
const named = figure => (figure.querySelector('h3')?.textContent || 'figure').toLowerCase().replace(/[^a-z0-9]+/g, '-').slice(0, 60);
async function png(figure) {
  const [, , width, height] = figure.querySelector('.gl-wide > svg').getAttribute('viewBox').split(' ').map(Number);
  const image = made('img', {width: 3 * width, height: 3 * height});
  image.src = 'data:image/svg+xml;charset=utf-8,' + encodeURIComponent(alone(figure));
  await image.decode();
  const canvas = made('canvas', {width: 3 * width, height: 3 * height});
  canvas.getContext('2d').drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise(done => canvas.toBlob(done));
}
for (const figure of all('.gl-figure')) {
  const home = figure.querySelector('details');
  if (!home || !figure.querySelector('.gl-wide > svg')) continue;
  const asSvg = made('button', {type: 'button', className: 'gl-open', textContent: 'SVG'});
  const asPng = made('button', {type: 'button', className: 'gl-open', textContent: 'PNG'});
  asSvg.onclick = () => save(alone(figure), 'image/svg+xml', `${named(figure)}.svg`);
  asPng.onclick = () => failing(home, async () => save(await png(figure), 'image/png', `${named(figure)}.png`));
  home.append(made('p', {}, 'Save this figure: ', asSvg, ' ', asPng));
}

// ---- tables: sort by a click on a heading, filter by words, copy as Markdown
const UNITS = {'µs': 1e-6, 'ms': 1e-3, 's': 1};
function amount(text) {
  const found = text.match(/[+\-−]?(?:\d[\d,]*\.?\d*|\.\d+)(?:e[+-]?\d+)?(?:\s*(µs|ms|s)\b)?/i);
  return found ? parseFloat(found[0].replace('−', '-').replaceAll(',', '')) * (UNITS[found[1]] ?? 1) : -Infinity;
}
const groups = table => [...table.tBodies].map(body => ({body, head: body.querySelector(':scope > .gl-group'), rows: [...body.rows].filter(row => !row.matches('.gl-group, .gl-more'))}));
function close(row) {
  if (row.nextElementSibling?.matches('.gl-more')) row.nextElementSibling.remove();
  row.querySelector('[aria-expanded]')?.setAttribute('aria-expanded', 'false');
}
const quoted = text => text.replace(/\s+/g, ' ').trim().replace(/[\\`*_[\]<>|#~]/g, '\\$&').replaceAll('@', '@\u200b');
function markdown(table) {
  const line = cells => `| ${cells.join(' | ')} |`;
  const heads = [...table.tHead.rows[0].cells].map(head => quoted(head.textContent));
  const rule = [...table.tHead.rows[0].cells].map(head => head.matches('.gl-num') ? '--:' : '---');
  const lines = [line(heads), line(rule)];
  for (const {head, rows} of groups(table)) {
    const shown = rows.filter(row => !row.hidden);
    if (head && shown.length) lines.push(line([`**${quoted(head.innerText)}**`, ...heads.slice(1).map(() => '')]));
    for (const row of shown) lines.push(line([...row.cells].map(one => quoted([...one.childNodes].filter(n => n.nodeType !== 1 || !n.matches('button, [data-trials]')).map(n => n.innerText ?? n.textContent).join(' ')))));
  }
  return lines.join('\n') + '\n';
}
for (const table of all('.gl-scroll > table')) {
  const rows = groups(table).flatMap(group => group.rows), label = table.parentElement.getAttribute('aria-label');
  if (rows.length < 3 || !table.tHead) continue;
  rows.forEach((row, at) => { row.dataset.at = at; });
  for (const [column, head] of [...table.tHead.rows[0].cells].entries()) {
    const button = made('button', {type: 'button', className: 'gl-sort'}, ...head.childNodes);
    button.title = 'sort';
    head.append(button);
    button.onclick = () => {
      const next = {ascending: 'descending', descending: ''}[head.getAttribute('aria-sort')] ?? 'ascending';
      for (const other of table.tHead.rows[0].cells) other.removeAttribute('aria-sort');
      if (next) head.setAttribute('aria-sort', next);
      const key = row => head.matches('.gl-num') ? amount(row.cells[column]?.innerText ?? '') : (row.cells[column]?.innerText ?? '').toLowerCase();
      const turn = next === 'descending' ? -1 : 1;
      for (const {body, rows: mine} of groups(table)) {
        mine.forEach(close);
        const keys = new Map(mine.map(row => [row, next ? key(row) : Number(row.dataset.at)]));
        mine.sort((a, b) => (keys.get(a) < keys.get(b) ? -turn : keys.get(a) > keys.get(b) ? turn : a.dataset.at - b.dataset.at));
        body.append(...mine);
      }
      say(next ? `sorted by ${button.textContent}, ${next}` : 'in the order of the study');
    };
  }
  const bar = made('div', {className: 'gl-bar'});
  if (rows.length > 8) {
    const find = made('input', {type: 'search', placeholder: 'Filter'}), told = made('span', {});
    find.setAttribute('aria-label', `Filter: ${label}`);
    told.setAttribute('role', 'status');
    find.oninput = () => {
      const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const {head, rows: mine} of groups(table)) {
        let any = false;
        for (const row of mine) {
          const text = `${head?.textContent ?? ''} ${row.textContent}`.toLowerCase();
          row.hidden = !words.every(word => text.includes(word));
          if (row.hidden) close(row); else { any = true; shown += 1; }
        }
        if (head) head.hidden = !any;
      }
      told.textContent = words.length ? `${shown} of ${rows.length}` : '';
    };
    bar.append(find, told);
  }
  const button = made('button', {type: 'button', className: 'gl-button', textContent: 'Copy as Markdown'});
  button.onclick = () => copy(markdown(table), button);
  bar.append(button);
  table.parentElement.before(bar);
}

// ---- the trials of a configuration
const seconds = x => { if (x == null || Number.isNaN(x)) return '–'; const y = Number(x.toPrecision(3)); return Math.abs(y) >= 1 ? `${y} s` : Math.abs(y) >= 1e-3 ? `${Number((y * 1e3).toPrecision(3))} ms` : `${Number((y * 1e6).toPrecision(3))} µs`; };
const share = x => x == null || Number.isNaN(x) ? '–' : `${(100 * x).toFixed(0)}%`;
const whole = x => x == null || Number.isNaN(x) ? '–' : Number(x.toPrecision(4)).toLocaleString('en');
const COLUMNS = [
  ['block', row => row.block], ['position', row => row.order], ['requests/s', row => whole(row.throughput_rps)],
  ['p50', row => seconds(row.latency_p50_s)], ['p90', row => seconds(row.latency_p90_s)], ['p99', row => seconds(row.latency_p99_s)],
  ['calls', row => whole(row.requests)], ['errors', row => whole(row.errors)],
  ['server CPU per call', row => seconds(row.server_cpu_per_call_s)], ['kernel', row => share(row.server_kernel_share)],
  ['generator busy', row => share(row.client_busy_share)], ['connections', row => whole(row.connections)],
  ['', row => row.valid ? row.limited_by ?? '' : `invalid: ${row.invalid_reason}`],
];
const lines = pairs => made('dl', {className: 'gl-facts'}, ...pairs.map(([term, text]) => made('div', {}, made('dt', {textContent: term}), made('dd', {textContent: text}))));
const told = value => value === null || value === undefined ? 'unknown' : typeof value === 'object' ? JSON.stringify(value) : String(value);
async function opened(name) {
  const mine = (await trials()).filter(row => row.configuration === name), {details} = await study();
  const head = made('tr', {}, ...COLUMNS.map(([title]) => made('th', {scope: 'col', textContent: title})));
  const body = mine.map(row => made('tr', {}, ...COLUMNS.map(([, show]) => made('td', {textContent: told(show(row))}))));
  const parts = [made('div', {className: 'gl-inner', tabIndex: 0}, made('table', {}, made('thead', {}, head), made('tbody', {}, ...body)))];
  const first = mine[0] ?? {}, seen = details[first.trial] ?? {};
  const factors = Object.keys(first).filter(key => /^(server|client|load|link)\./.test(key));
  if (factors.length) parts.push(made('details', {}, made('summary', {textContent: `All ${factors.length} settings`}), lines(factors.map(key => [key, told(first[key] ?? null) === 'unknown' ? 'not set' : told(first[key])]))));
  const idle = JSON.parse(first.without_effect || '{}');
  for (const [side, said] of Object.entries(seen.advertised ?? {}))
    parts.push(made('h4', {textContent: `What the ${side} announced in the first of these trials`}), lines(Object.entries(said ?? {}).map(([key, value]) => [key.replaceAll('_', ' '), told(value)])));
  if (Object.keys(idle).length) parts.push(made('h4', {textContent: 'Settings without effect'}), lines(Object.entries(idle)));
  for (const row of mine) {
    const log = details[row.trial]?.log;
    if (log) parts.push(made('details', {}, made('summary', {textContent: `End of the server log: ${row.trial}`}), made('pre', {textContent: log, tabIndex: 0})));
  }
  if (!mine.length) parts.push(made('p', {textContent: 'It has no measured trials.'}));
  return parts;
}
for (const home of all('[data-trials]')) {
  const button = made('button', {type: 'button', className: 'gl-open', textContent: 'trials'}), row = home.closest('tr');
  button.setAttribute('aria-expanded', 'false');
  button.setAttribute('aria-label', `trials of ${home.dataset.trials}`);
  home.append(button);
  button.onclick = () => {
    if (row.nextElementSibling?.matches('.gl-more')) return close(row);
    const inside = made('td', {colSpan: row.cells.length});
    row.after(made('tr', {className: 'gl-more'}, inside));
    button.setAttribute('aria-expanded', 'true');
    failing(inside, async () => inside.append(...await opened(home.dataset.trials)));
  };
}
})();
