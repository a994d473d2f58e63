// SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
// SPDX-License-Identifier: Apache-2.0
// Sets the look that the reader has chosen before the page is drawn: day or night, else what the system prefers.
"use strict";
(() => {
  try {
    const chosen = localStorage.getItem("theme");
    if (chosen === "day" || chosen === "night") document.documentElement.dataset.theme = chosen;
  } catch {
    // a browser that keeps nothing: the system's choice holds
  }
})();
