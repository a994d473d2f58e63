// SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
// SPDX-License-Identifier: Apache-2.0
// What the pages do beyond htmx: the switch between day and night, telling of a lost connection, and of new studies with
// a hemorrhage. Every page can be read without it.
"use strict";
(() => {
  const live = document.getElementById("live");
  const connection = document.getElementById("connection");
  const told = document.getElementById("told");

  // Day and night.
  const button = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const current = () => document.documentElement.dataset.theme || (system.matches ? "night" : "day");
  const label = () => {
    button.textContent = current() === "night" ? "Day" : "Night";
    button.setAttribute("aria-label", `Switch to ${current() === "night" ? "day" : "night"} colours`);
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    const chosen = current() === "night" ? "day" : "night";
    document.documentElement.dataset.theme = chosen;
    try {
      localStorage.setItem("theme", chosen);
    } catch {
      // it holds until the page is left
    }
    label();
  });
  system.addEventListener("change", label);
  label();
  if (!live) return;

  // The live part says what it shows already; the service answers 204 as long as nothing has changed.
  document.body.addEventListener("htmx:config:request", (event) => {
    const { ctx } = event.detail;
    if (ctx.sourceElement === live) ctx.request.headers["X-Seen"] = document.getElementById("shown").dataset.seen;
  });

  // A lost connection; what was done, and what could not be.
  const say = (element, ...parts) => {
    if (element.textContent !== parts.map((part) => part.textContent ?? part).join("")) element.replaceChildren(...parts);
  };
  const refused = document.getElementById("refused");
  const done = document.getElementById("done");
  let lost = false;
  const tellOfLoss = (why) => {
    if (lost) return;
    lost = true;
    const now = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    say(connection, `${why} since ${now}. What you see may be out of date; it is tried again every few seconds.`);
  };
  const about = (form) => form.closest("[data-study]")?.querySelector("th a")?.textContent;
  const notDone = (form, why) => {
    const name = about(form);
    say(done);
    say(refused, `Not done${name ? ` (${name})` : ""}: ${why}`);
  };
  document.body.addEventListener("htmx:error", (event) => {
    const { ctx } = event.detail;
    if (!ctx) return;
    tellOfLoss("The connection to the appliance is lost");
    if (ctx.sourceElement !== live) notDone(ctx.sourceElement, "the connection is lost; do it again when it is back.");
  });
  document.body.addEventListener("htmx:response:error", (event) => {
    const { ctx } = event.detail;
    if (ctx.sourceElement === live) {
      tellOfLoss(`The appliance answers with a fault (${ctx.response.status})`);
      return;
    }
    let why = `the appliance answers ${ctx.response.status}`;
    try {
      why = JSON.parse(ctx.text).error || why;
    } catch {
      // no sentence of ours
    }
    notDone(ctx.sourceElement, why);
  });
  document.body.addEventListener("htmx:after:request", (event) => {
    const { ctx } = event.detail;
    if (ctx.response.status >= 400) return;
    lost = false;
    say(connection);
    if (ctx.sourceElement !== live) tellWhatWasDone(ctx.sourceElement, ctx.request.submitter);
  });

  // An opinion that was given on the board: the row keeps its place and says so, and the keyboard goes on to the next.
  const tellWhatWasDone = (form, button) => {
    say(refused);
    const row = form.closest("[data-study]");
    if (!row) return;
    const what = form.elements.stance.value === "agrees" ? "Agreed" : `Disagreed (${button?.value ?? "a reason"})`;
    const change = document.createElement("a");
    change.href = `/studies/${row.dataset.study}#opinion`;
    change.textContent = "Take it back or change it";
    say(done, `${what} about ${about(form)}. `, change);
    const rows = [...document.querySelectorAll("[data-study]")];
    const next = rows.slice(rows.indexOf(row) + 1).find((other) => other.querySelector(".reader button:not(:disabled)"));
    const hadFocus = row.contains(document.activeElement);
    for (const own of row.querySelectorAll(".reader button")) own.disabled = true;
    if (hadFocus) (next?.querySelector(".reader button") ?? change).focus({ preventScroll: !!next });
  };

  // Nothing moves under the reader's hand: the list waits while the pointer is at the buttons and was moved lately, or
  // the keyboard is there and was used lately; and a click that comes just after it moved is not taken.
  const HELD_MS = 3000;
  const GUARDED_MS = 700;
  let handAt = -Infinity;
  let movedAt = -Infinity;
  for (const kind of ["pointermove", "pointerdown", "keydown"]) {
    document.addEventListener(kind, () => (handAt = performance.now()), { capture: true, passive: true });
  }
  const order = () => [...document.querySelectorAll("[data-study]")].map((row) => row.dataset.study).join();
  let shownOrder = order();
  document.body.addEventListener("htmx:before:swap", (event) => {
    if (event.detail.ctx.sourceElement !== live || performance.now() > handAt + HELD_MS) return;
    if (document.querySelector(".reader:hover, .reader :focus-visible")) event.preventDefault();
  });
  document.addEventListener(
    "click",
    (event) => {
      if (!event.target.closest?.(".reader button") || performance.now() > movedAt + GUARDED_MS) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      say(refused, "Not done: the list has just moved. Look again, then click.");
    },
    { capture: true },
  );

  // New studies with a hemorrhage: told to a screen reader, and counted in the title.
  const found = () => [...document.querySelectorAll('[data-group="found"] [data-study]')];
  const newest = () => Math.max(0, ...[...document.querySelectorAll("[data-answer]")].map((row) => +row.dataset.answer));
  const count = () => {
    const number = document.querySelector('[data-group="found"]')?.dataset.count ?? "0";
    const { title } = document.getElementById("shown").dataset;
    document.title = number === "0" ? title : `(${number}) ${title}`;
  };
  let known = newest();
  count();
  document.body.addEventListener("htmx:after:swap", () => {
    const fresh = found().filter((row) => +row.dataset.answer > known);
    known = Math.max(known, newest());
    if (fresh.length) {
      const names = fresh.map((row) => row.querySelector("th a").textContent).join("; ");
      told.textContent = `New: hemorrhage found, ${names}`;
      for (const row of fresh) row.classList.add("fresh");
    }
    if (order() !== shownOrder) movedAt = performance.now();
    shownOrder = order();
    count();
  });
})();
