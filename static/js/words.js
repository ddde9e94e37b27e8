// What scripts say, in the page's language: the page brings it along (dashboard/wording/script_words.py).

const words = JSON.parse(document.body.dataset.words || "{}");

/** The sentence of that name, with the values put in their places. */
export const say = (name, values = {}) => (words[name] ?? "").replace(/\{(\w+)\}/g, (place, key) => values[key] ?? place);

/** The same of something counted: the sentences are `name-one` and `name-other`. */
export const sayMany = (name, number) => say(`${name}-${number === 1 ? "one" : "other"}`, { number });
