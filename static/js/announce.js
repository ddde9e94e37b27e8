// What a screen reader is told of new rows: the latest count, and not more often than one can listen.

const EVERY = 10_000;
let words = null;
let timer = null;

/** `latest` gives the sentence when it is said, which may be later than now. */
export function announce(latest) {
  words = latest;
  timer ??= setTimeout(say, 0);
}

function say() {
  const news = document.getElementById("news");
  if (words && news) news.textContent = words();
  timer = words ? setTimeout(say, EVERY) : null;
  words = null;
}
