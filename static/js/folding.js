// Rows that waited and are one event enter as one line, as the page itself shows them.
const LEAST = 5; // changes that make a fold
const PATIENCE = 3000;
const parser = new DOMParser();

/** The same changes, oldest first, in the lines of the page; as they came where it can't say so, or not of all of them. */
export async function folded(rows) {
  if (rows.length < LEAST) return rows;
  const answer = await ask(position(rows[0]), position(rows.at(-1))).catch(() => "");
  const lines = [...parser.parseFromString(answer, "text/html").body.children];
  return lines.reduce((sum, line) => sum + number(line), 0) === rows.length ? lines.reverse() : rows;
}

const position = (row) => Number(row.id.slice(1));

async function ask(low, high) {
  const query = new URLSearchParams(location.search);
  query.set("since", low - 1);
  query.set("cursor", high + 1);
  const headers = { "HX-Request": "true", "HX-Target": "fold-new", "X-Unattended": "1" };
  const answer = await fetch(`?${query}`, { headers, signal: AbortSignal.timeout(PATIENCE) });
  return answer.ok ? answer.text() : "";
}

/** How many changes a line shows. There may be more of them than one page takes. */
function number(line) {
  if (line.matches(".fold-more")) return NaN;
  return line.matches(".fold-body") ? 0 : Number(line.dataset.count ?? 1);
}
