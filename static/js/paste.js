// A list of several lines, pasted into the search field: browsers would make one line of it.

document.addEventListener("paste", (event) => {
  const field = event.target.closest("#q");
  const lines = event.clipboardData?.getData("text").split(/\s*\n\s*/).filter(Boolean) ?? [];
  if (!field || lines.length < 2) return;
  event.preventDefault();
  const acting = document.getElementById("selection");
  if (acting && lines.every((line) => /^(mxc:\/\/|https?:\/\/|@|[0-9a-f]{64}$)/i.test(line))) return send(acting, lines);
  field.value = lines.join(" ");
  field.form.querySelector("[formaction]").click();
});

/** Any number of lines, for which an address has no room. */
function send(form, lines) {
  const list = document.createElement("textarea");
  Object.assign(list, { name: "list", value: lines.join("\n"), hidden: true });
  form.append(list);
  form.submit();
}
