// What a screen reader is told of new rows: the latest count, and not more often than one can listen.

const EVERY = 10_000;
let latest = null;
let timer = null;

/** `sentence` is called when it is said, which may be later than now; an empty one takes the last one back. */
export function announce(sentence) {
  latest = sentence;
  if (timer === null) say();
}

function say() {
  timer = null;
  if (!latest) return;
  const words = latest();
  latest = null;
  const news = document.getElementById("news");
  if (news) news.textContent = words;
  if (words) timer = setTimeout(say, EVERY);
}
