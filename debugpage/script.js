// Refreshes the page in place: what is typed, selected or scrolled to stays. It
// waits while the page is hidden, or somebody is busy with it.
"use strict";
(() => {
  const seconds = Number(document.currentScript.dataset.refresh);
  const busy = () => {
    const at = document.activeElement;
    const selected = document.getSelection();
    return document.hidden || (at && at.matches("input, select")) || (selected && !selected.isCollapsed);
  };
  const refresh = async () => {
    if (busy()) return;
    const live = document.getElementById("live");
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(10000) });
      const next = new DOMParser().parseFromString(await answer.text(), "text/html");
      const main = next.getElementById("main");
      if (!main) throw new Error(`the answer, ${answer.status}, is not the page`);
      if (busy()) return;
      const focused = document.activeElement && document.activeElement.getAttribute("href");
      document.title = next.title;
      document.getElementById("main").replaceWith(document.adoptNode(main));
      if (focused) {
        const again = main.querySelector(`a[href="${CSS.escape(focused)}"]`);
        if (again) again.focus({ preventScroll: true });
      }
    } catch (failure) {
      live.classList.add("stale");
      live.title = `The last refresh has failed: ${failure.message}`;
    }
  };
  const again = () => setTimeout(() => refresh().finally(again), seconds * 1000);
  again();
})();
