// What pages do with a script that they also do without one: files that are dropped onto a form. And what a screen
// reader is told of a part that was swapped in: the text of its [data-said], not all of it.
"use strict";

function takeDrops(form) {
  const input = form.querySelector('input[type="file"]');
  const mark = (over) => form.classList.toggle("over", over);
  form.addEventListener("dragover", (event) => {
    event.preventDefault();
    mark(true);
  });
  form.addEventListener("dragleave", (event) => {
    if (!form.contains(event.relatedTarget)) mark(false);
  });
  form.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    if (event.dataTransfer.files.length !== 1) return;
    input.files = event.dataTransfer.files;
    form.requestSubmit();
  });
}

function say(event) {
  const said = event.detail.target.querySelector("[data-said]");
  const status = document.getElementById("said");
  const text = said ? said.textContent.trim() : "";
  if (status.textContent !== text) status.textContent = text;
}

document.addEventListener("htmx:afterSettle", say);
document.documentElement.classList.add("scripted");
document.querySelectorAll("[data-drop]").forEach(takeDrops);
