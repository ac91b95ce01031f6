'use strict';
/* Adds a filter to the findings. The page shows all of them without this script. */
const list = document.querySelector('main');
const articles = [...list.children];
const text = document.createElement('input');
text.type = 'search';
text.placeholder = 'function, path, status';
text.ariaLabel = 'Filter';
const kind = document.createElement('select');
kind.ariaLabel = 'Kind';
for (const name of ['every kind', ...new Set(articles.map(article => article.dataset.kind))]) kind.append(new Option(name));

function filter() {
  const query = text.value.toLowerCase();
  list.replaceChildren(...articles.filter(article =>
    (kind.selectedIndex === 0 || article.dataset.kind === kind.value) && article.dataset.text.includes(query)));
}

/* The filter is part of the address, so that a link can contain it. */
text.value = decodeURIComponent(location.hash.slice(1));
text.addEventListener('input', () => {
  history.replaceState(null, '', `#${encodeURIComponent(text.value)}`);
  filter();
});
kind.addEventListener('change', filter);
if (articles.length > 1) {
  const filters = document.createElement('div');
  filters.className = 'filters';
  filters.append(text, kind);
  list.before(filters);
}
filter();
