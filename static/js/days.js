// Where a new row belongs: above all others of its day, and the day above the ones before.

const language = document.documentElement.lang;
const dayName = new Intl.DateTimeFormat(language === "en" ? "en-GB" : language, { weekday: "long", day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });

export function enter(row) {
  const line = row.matches(".fold-body") ? row.previousElementSibling : row;
  const day = line.querySelector("time").dateTime.slice(0, 10);
  row.classList.add("is-new");
  (document.querySelector(`#rows [data-day="${day}"]`) ?? begin(day)).querySelector(".rows").prepend(row);
}

function begin(day) {
  const section = document.getElementById("day-template").content.firstElementChild.cloneNode(true);
  section.dataset.day = day;
  section.querySelector("[data-day-name]").textContent = named(new Date(day));
  const rows = document.getElementById("rows");
  rows.querySelectorAll(".day-head b").forEach((name) => name.remove()); // what was "Today" no longer is
  rows.querySelector(".blank")?.remove();
  rows.prepend(section);
  return section;
}

/** As the server writes it: in English without commas. */
function named(day) {
  const text = dayName.format(day);
  return language === "en" ? text.replaceAll(",", "") : text;
}
