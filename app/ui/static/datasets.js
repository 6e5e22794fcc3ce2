// How much of a file of bars has been sent.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const form = document.getElementById("upload-form");
  const sent = document.getElementById("sent");
  form.addEventListener("htmx:xhr:progress", (event) => {
    const { loaded, total } = event.detail;
    sent.hidden = !total || loaded === total;
    sent.value = total ? (100 * loaded) / total : 0;
  });
  form.addEventListener("htmx:afterRequest", () => { sent.hidden = true; });
});
