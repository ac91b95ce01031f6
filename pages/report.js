'use strict';
/* Displays the report in #data. Texts from a trace are inserted as text, never as markup. */
const data = JSON.parse(document.getElementById('data').textContent);
const make = (name, text = '', classes = '') => {
  const element = document.createElement(name);
  element.textContent = text;
  if (classes) element.className = classes;
  return element;
};
const wrap = (name, classes, ...children) => {
  const element = make(name, '', classes);
  element.append(...children);
  return element;
};

/* Groups of causes, each with the findings that it caused. */
function groupFindings() {
  const consequences = new Map();
  const causes = new Map();
  for (const finding of data.findings) {
    const [map, key] = finding.cause === null ? [causes, finding.group] : [consequences, finding.cause];
    if (!map.has(key)) map.set(key, []);
    map.get(key).push(finding);
  }
  return [...causes.values()].map(findings => ({
    findings, first: findings[0],
    caused: [...new Set(findings.map(finding => finding.index))].flatMap(index => consequences.get(index) ?? []),
  }));
}

const indexOf = finding => finding.index ?? finding.other_index;
const listCalls = findings => findings.slice(0, 50).map(finding => `#${indexOf(finding)} ${finding.call}`).join(', ') + (findings.length > 50 ? ', ...' : '');
const plural = (count, noun) => `${count} ${noun}${count === 1 ? '' : 's'}`;

/* The lines of a structure. Lines that the other side does not have are marked. */
function structure(value, other) {
  const lines = JSON.stringify(value, null, 1).split('\n');
  const otherLines = new Set(other === null ? lines : JSON.stringify(other, null, 1).split('\n'));
  const element = make('pre');
  for (const line of lines) element.append(otherLines.has(line) ? `${line}\n` : make('span', `${line}\n`, 'differs'));
  return element;
}

function side(label, value, call, otherCall) {
  const element = wrap('div', '', make('div', label, 'label'), make('code', value ?? ''));
  if (call !== null) element.append(wrap('details', '', make('summary', 'whole call'), structure(call, otherCall)));
  return element;
}

function article({ findings, first, caused }) {
  const title = wrap('h2', '', `#${indexOf(first)} ${first.call}${first.path ? '  ' + first.path : ''}`, make('span', first.kind, 'kind'));
  const calls = data.structures[`${first.index}/${first.other_index}`] ?? { recorded: null, replayed: null };
  const element = wrap('article', first.accepted === null ? '' : 'accepted', title,
    wrap('div', 'sides', side('recorded', first.recorded, calls.recorded, calls.replayed), side('replayed', first.replayed, calls.replayed, calls.recorded)));
  if (first.message) element.append(make('p', first.message));
  if (first.accepted !== null) element.append(make('p', `accepted: ${first.accepted}`));
  if (findings.length > 1) element.append(wrap('details', '', make('summary', `repeated ${plural(findings.length - 1, 'more time')}`), make('code', listCalls(findings.slice(1)))));
  if (caused.length > 0) element.append(wrap('details', '', make('summary', `caused ${plural(caused.length, 'more finding')}`), make('code', listCalls(caused))));
  return element;
}

const groups = groupFindings();
const list = make('main');
const text = make('input');
text.type = 'search';
text.placeholder = 'function, path, status';
text.ariaLabel = 'Filter';
const kind = make('select');
kind.ariaLabel = 'Kind';
for (const name of ['every kind', ...new Set(groups.map(group => group.first.kind))]) kind.append(make('option', name));

function filter() {
  const query = text.value.toLowerCase();
  list.replaceChildren(...groups.filter(({ first }) =>
    (kind.selectedIndex === 0 || first.kind === kind.value) && first.group.toLowerCase().includes(query)).map(article));
}

/* The filter is part of the address, so that a link can contain it. */
text.value = decodeURIComponent(location.hash.slice(1));
text.addEventListener('input', () => {
  history.replaceState(null, '', `#${encodeURIComponent(text.value)}`);
  filter();
});
kind.addEventListener('change', filter);
const isComplete = data.same && data.stopped === null;
document.body.append(
  wrap('h1', '', `${data.names[0]} against ${data.names[1]}: `, make('span', data.verdict, isComplete ? 'verdict same' : 'verdict')),
  wrap('ul', 'counts', ...Object.entries(data.calls).filter(([name, count]) => count > 0 || name === 'compared').map(([name, count]) => make('li', `${name.replaceAll('_', ' ')} ${count}`))),
  ...(data.stopped === null ? [] : [make('p', `stopped ${data.stopped}`)]),
  ...data.notes.map(note => make('p', `note: ${note}`)),
  wrap('div', 'filters', text, kind),
  list);
filter();
