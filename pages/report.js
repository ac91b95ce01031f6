'use strict';
/* Shows the report in #data. Whatever comes from a trace is put in as text, never as markup. */
const data = JSON.parse(document.getElementById('data').textContent);
const make = (name, text = '', classes = '') => {
  const element = document.createElement(name);
  element.textContent = text;
  if (classes) element.className = classes;
  return element;
};
const within = (name, classes, ...children) => {
  const element = make(name, '', classes);
  element.append(...children);
  return element;
};

/* Findings that are alike, causes only, each with what followed. */
function groups() {
  const followers = new Map();
  const found = new Map();
  for (const finding of data.findings) {
    const [where, key] = finding.cause === null ? [found, finding.group] : [followers, finding.cause];
    if (!where.has(key)) where.set(key, []);
    where.get(key).push(finding);
  }
  return [...found.values()].map(findings => ({
    findings, first: findings[0],
    then: [...new Set(findings.map(each => each.index))].flatMap(index => followers.get(index) ?? []),
  }));
}

const indexOf = finding => finding.index ?? finding.other_index;
const named = findings => findings.slice(0, 50).map(each => `#${indexOf(each)} ${each.call}`).join(', ') + (findings.length > 50 ? ', ...' : '');

/* A structure as lines; those that the other side has not are marked. */
function structure(value, other) {
  const lines = JSON.stringify(value, null, 1).split('\n');
  const there = new Set(other === null ? lines : JSON.stringify(other, null, 1).split('\n'));
  const element = make('pre');
  for (const line of lines) element.append(there.has(line) ? `${line}\n` : make('span', `${line}\n`, 'differs'));
  return element;
}

function side(label, value, told, other) {
  const element = within('div', '', make('div', label, 'label'), make('code', value ?? ''));
  if (told !== null) element.append(within('details', '', make('summary', 'the whole call'), structure(told, other)));
  return element;
}

function shown({ findings, first, then }) {
  const title = within('h2', '', `#${indexOf(first)} ${first.call}${first.path ? '  ' + first.path : ''}`, make('span', first.kind, 'kind'));
  const both = data.structures[`${first.index}/${first.other_index}`] ?? { recorded: null, replayed: null };
  const element = within('article', first.accepted === null ? '' : 'accepted', title,
    within('div', 'sides', side('recorded', first.recorded, both.recorded, both.replayed), side('replayed', first.replayed, both.replayed, both.recorded)));
  if (first.message) element.append(make('p', first.message));
  if (first.accepted !== null) element.append(make('p', `accepted: ${first.accepted}`));
  if (findings.length > 1) element.append(within('details', '', make('summary', `${findings.length - 1} more likewise`), make('code', named(findings.slice(1)))));
  if (then.length > 0) element.append(within('details', '', make('summary', `${then.length} followed from it`), make('code', named(then))));
  return element;
}

const all = groups();
const list = make('main');
const text = make('input');
text.type = 'search';
text.placeholder = 'function, path, status';
text.ariaLabel = 'Filter';
const kind = make('select');
kind.ariaLabel = 'Kind';
for (const each of ['every kind', ...new Set(all.map(group => group.first.kind))]) kind.append(make('option', each));

function filter() {
  const wanted = text.value.toLowerCase();
  list.replaceChildren(...all.filter(({ first }) =>
    (kind.selectedIndex === 0 || first.kind === kind.value) && first.group.toLowerCase().includes(wanted)).map(shown));
}

/* The filter stands in the address, so that it can be sent to somebody. */
text.value = decodeURIComponent(location.hash.slice(1));
text.addEventListener('input', () => {
  history.replaceState(null, '', `#${encodeURIComponent(text.value)}`);
  filter();
});
kind.addEventListener('change', filter);
const whole = data.same && data.stopped === null;
document.body.append(
  within('h1', '', `${data.names[0]} against ${data.names[1]}: `, make('span', data.verdict, whole ? 'verdict same' : 'verdict')),
  within('ul', 'counts', ...Object.entries(data.calls).filter(([name, count]) => count > 0 || name === 'compared').map(([name, count]) => make('li', `${name.replaceAll('_', ' ')} ${count}`))),
  ...(data.stopped === null ? [] : [make('p', `stopped ${data.stopped}`)]),
  ...data.notes.map(note => make('p', `note: ${note}`)),
  within('div', 'filters', text, kind),
  list);
filter();
