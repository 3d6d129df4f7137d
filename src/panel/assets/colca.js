// Live parts on top of pages that work without them: nothing here is needed
// to use the panel. The server sends finished pieces of page, in the visitor's
// language; this script only puts them in place.
(() => {
  "use strict";

  // A running job. `state` events bring the figures, `phase` a sentence for
  // those who listen to the page, `end` the wish to load the finished page.
  for (const box of document.querySelectorAll("[data-live]")) {
    const pause = document.querySelector(box.dataset.pause || "#none");
    const say = document.querySelector(box.dataset.say || "#none");
    let paused = false;
    if (pause) {
      pause.hidden = false;
      pause.addEventListener("click", () => {
        paused = !paused;
        pause.setAttribute("aria-pressed", String(paused));
      });
    }
    const events = new EventSource(box.dataset.live);
    events.addEventListener("state", (event) => {
      if (!paused) box.innerHTML = event.data;
    });
    events.addEventListener("phase", (event) => {
      if (say && say.textContent !== event.data) say.textContent = event.data;
    });
    events.addEventListener("end", () => {
      events.close();
      location.reload();
    });
    addEventListener("pagehide", () => events.close());
  }

  // A page that waits for something to happen looks again.
  for (const wait of document.querySelectorAll("[data-reload]")) {
    setTimeout(() => location.reload(), 1000 * Number(wait.dataset.reload));
  }

  // Printing needs a script; without one the button stays hidden and the
  // browser's own menu does it.
  for (const button of document.querySelectorAll("[data-print]")) {
    button.hidden = false;
    button.addEventListener("click", () => window.print());
  }

  // A form that starts something must not be sent twice by a double click.
  for (const form of document.querySelectorAll("form[method=post]")) {
    form.addEventListener("submit", (event) => {
      if (form.dataset.sent) event.preventDefault();
      form.dataset.sent = "1";
    });
  }
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  });
})();
