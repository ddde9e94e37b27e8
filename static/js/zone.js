// Times in the reader's own zone, for accounts that chose it. How much of a time is shown stays as the server has it:
// the shape of its text tells.

const chosen = document.body.dataset.times === "local";
const { lang } = document.documentElement;
const made = (options) => new Intl.DateTimeFormat(lang === "en" ? "en-GB" : lang, options);
const DAY = made({ day: "numeric", month: "short", year: "numeric" });
const DAY_OF_YEAR = made({ day: "numeric", month: "short" });
const MINUTES = made({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const SECONDS = made({ hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const ZONE = made({ timeZoneName: "short" });

const SHAPES = [
  [/^\d\d:\d\d:\d\d$/, (moment) => SECONDS.format(moment)],
  [/^\d\d:\d\d$/, (moment) => MINUTES.format(moment)],
  [/, \d\d:\d\d:\d\d UTC$/, (moment) => `${DAY.format(moment)}, ${SECONDS.format(moment)} ${zone(moment)}`],
  [/, \d\d:\d\d$/, (moment) => `${DAY.format(moment)}, ${MINUTES.format(moment)}`],
  [/ \d\d:\d\d$/, (moment) => `${DAY_OF_YEAR.format(moment)} ${MINUTES.format(moment)}`],
  [/ \d{4}$/, (moment) => DAY.format(moment)],
];

const zone = (moment) => ZONE.formatToParts(moment).find(({ type }) => type === "timeZoneName").value;

/** Once for each `<time>`; with `data-since` its second line is a range. */
export function intoZone(time) {
  if (!chosen || "zone" in time.dataset) return;
  time.dataset.zone = "";
  const moment = new Date(time.dateTime);
  const lines = time.querySelectorAll(".l1, .l2");
  for (const line of lines.length ? lines : [time]) {
    const text = line.textContent.trim();
    const [, words] = SHAPES.find(([shape]) => shape.test(text)) ?? [];
    if (time.dataset.since && line.matches(".l2")) line.textContent = range(new Date(time.dataset.since), moment);
    else if (words) line.textContent = words(moment);
  }
}

function range(since, moment) {
  return (DAY.format(since) === DAY.format(moment) ? MINUTES : DAY).formatRange(since, moment);
}

/** What says in which zone times are, such as the head of a column. */
export function sayZone(words) {
  if (chosen && words.textContent !== words.dataset.inZone) words.textContent = words.dataset.inZone;
}
