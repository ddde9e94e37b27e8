// Passkeys. A form carries what the browser is to sign, or its address answers with it; the signature goes back in the form.

const able = () => window.PublicKeyCredential?.parseCreationOptionsFromJSON && navigator.credentials;

async function optionsOf(form) {
  if (form.dataset.options) return JSON.parse(form.dataset.options).publicKey;
  const answer = await fetch(form.action, { headers: { Accept: "application/json" }, cache: "no-store" });
  if (!answer.ok) throw new Error(`answered ${answer.status}`);
  return (await answer.json()).request_options.publicKey;
}

function signed(form, options) {
  if (form.dataset.passkey === "create") {
    return navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) });
  }
  return navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
}

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("[data-passkey]");
  if (!form) return;
  event.preventDefault();
  const said = form.querySelector("[data-passkey-said]");
  said.hidden = true;
  try {
    form.elements.credential.value = JSON.stringify(await signed(form, await optionsOf(form)));
    form.submit();
  } catch {
    said.hidden = false; // cancelled, timed out, or no passkey for this site
  }
});

if (able()) {
  for (const form of document.querySelectorAll("[data-passkey]")) form.hidden = false;
  for (const words of document.querySelectorAll("[data-no-passkey]")) words.hidden = true;
}
