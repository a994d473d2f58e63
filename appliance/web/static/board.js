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

  // A lost connection, and what cannot be done.
  let lost = false;
  const say = (text) => {
    if (connection.textContent !== text) connection.textContent = text;
  };
  const tellOfLoss = (why) => {
    if (lost) return;
    lost = true;
    const now = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    say(`${why} since ${now}. What you see may be out of date; it is tried again every few seconds.`);
  };
  document.body.addEventListener("htmx:error", (event) => {
    if (event.detail.ctx) tellOfLoss("The connection to the appliance is lost");
  });
  document.body.addEventListener("htmx:response:error", (event) => {
    const { ctx } = event.detail;
    if (ctx.sourceElement === live) {
      tellOfLoss(`The appliance answers with a fault (${ctx.response.status})`);
      return;
    }
    let why = "";
    try {
      why = JSON.parse(ctx.text).error;
    } catch {
      // no sentence of ours
    }
    say(`Not done: ${why || `the appliance answers ${ctx.response.status}`}`);
  });
  document.body.addEventListener("htmx:after:request", (event) => {
    const { ctx } = event.detail;
    if (ctx.response.status >= 400) return;
    if (lost || ctx.sourceElement !== live) say("");
    lost = false;
  });

  // New studies with a hemorrhage: told to a screen reader, and counted in the title.
  const title = document.title;
  const found = () => [...document.querySelectorAll('[data-group="found"] [data-study]')];
  const count = () => {
    const number = found().length;
    document.title = number ? `(${number}) ${title}` : title;
  };
  let known = new Set(found().map((row) => row.dataset.study));
  count();
  document.body.addEventListener("htmx:after:swap", () => {
    const rows = found();
    const fresh = rows.filter((row) => !known.has(row.dataset.study));
    known = new Set(rows.map((row) => row.dataset.study));
    if (fresh.length) {
      const names = fresh.map((row) => row.querySelector("th a").textContent).join("; ");
      told.textContent = `New: hemorrhage found, ${names}`;
      for (const row of fresh) row.classList.add("fresh");
    }
    count();
  });
})();
