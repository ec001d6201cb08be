/**
 * What every shelf must do; runs in Node on memory, and in a browser on IndexedDB.
 *
 * @param {() => any} open Opens the same shelf once more.
 * @param {(found: any, wanted: any, what: string) => void} same
 */
export async function shelfContract(open, same) {
  const shelf = open();
  await shelf.clear();
  same(await shelf.all('actions'), [], 'it begins empty');
  same(await shelf.change('actions', 'a', () => ({ n: 1 })), { n: 1 }, 'a change gives the value');
  await shelf.change('actions', 'b', () => ({ n: 2, deep: { list: ['ä', null] } }));
  await shelf.change('drafts', 'a', () => 'other');
  same(await shelf.change('actions', 'a', (value) => ({ n: value.n + 1 })), { n: 2 }, 'from the old');
  same((await shelf.all('actions')).sort(),
    [['a', { n: 2 }], ['b', { n: 2, deep: { list: ['ä', null] } }]], 'areas are apart');
  same(await shelf.change('actions', 'a', () => undefined), undefined, 'undefined takes it away');
  same(await shelf.change('actions', 'a', (value) => value), undefined, 'and stands for nothing');
  const value = { n: 0 };
  await shelf.change('actions', 'c', () => value);
  value.n = 9;
  same(await shelf.change('actions', 'c', (found) => found), { n: 0 }, 'it keeps copies');
  await Promise.all(Array.from({ length: 20 }, () => shelf.change('actions', 'c', ({ n }) => ({ n: n + 1 }))));
  same(await shelf.change('actions', 'c', (found) => found), { n: 20 }, 'no change is lost');
  await shelf.clear();
  same(await shelf.all('drafts'), [], 'cleared');
  await shelf.change('drafts', 'z', () => 1);
  same(await shelf.all('drafts'), [['z', 1]], 'and of use again');
  await shelf.clear();
}
