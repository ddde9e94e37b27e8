// Where a new row belongs: above all others of its day, and the day above the ones before.

const dayName = new Intl.DateTimeFormat("en-GB", { weekday: "long", day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });

export function enter(row) {
  const day = row.querySelector("time").dateTime.slice(0, 10);
  row.classList.add("is-new");
  (document.querySelector(`#rows [data-day="${day}"]`) ?? begin(day)).querySelector(".rows").prepend(row);
}

function begin(day) {
  const section = document.getElementById("day-template").content.firstElementChild.cloneNode(true);
  const { weekday, day: number, month, year } = Object.fromEntries(dayName.formatToParts(new Date(day)).map(({ type, value }) => [type, value]));
  section.dataset.day = day;
  section.querySelector("[data-day-name]").textContent = `${weekday} ${number} ${month} ${year}`;
  const rows = document.getElementById("rows");
  rows.querySelectorAll(".day-head b").forEach((name) => name.remove()); // what was "Today" no longer is
  rows.querySelector(".blank")?.remove();
  rows.prepend(section);
  return section;
}
