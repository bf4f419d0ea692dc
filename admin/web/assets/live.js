// Keeps the page current: the server sends the sections that have changed, rendered and escaped by its templates.
"use strict";
const link = document.getElementById("link");

function say(text, mark) {
  link.textContent = text;
  link.className = mark;
}

const source = new EventSource("/");
source.onopen = () => say("live", "live");
source.onerror = () => say("connection lost, trying again", "lost");
source.addEventListener("sections", (e) => {
  for (const s of JSON.parse(e.data)) {
    document.getElementById(s.id).innerHTML = s.html;
  }
});
addEventListener("pagehide", () => source.close());
