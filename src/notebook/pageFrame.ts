import { escapeHtml } from "./show/escapeHtml.js";
import { display } from "./show/show.js";
import type { Shown } from "./show/show.js";

/** A page of the kernel's in a cell's output. */
export interface PageFrame {
  /** Shows another picture and note where the page cannot be: it is drawn anew, so only while nobody looks at it. */
  update(picture: string | undefined, note: string): Promise<void>;
}

/**
 * Shows a page in the running cell. Its place holds a picture and a note until the page says that it is alive: in a file
 * that was exported, or with the kernel gone, they stay.
 *
 * @param height pixels
 */
export async function pageFrame(url: string, height: number, title: string): Promise<PageFrame> {
  let shown: Shown | undefined;
  return {
    async update(picture, note) {
      const html = frameHtml(url, height, title, picture, note);
      if (shown === undefined) shown = await display({ html });
      else await shown.update({ html });
    },
  };
}

function frameHtml(url: string, height: number, title: string, picture: string | undefined, note: string): string {
  const { origin } = new URL(url);
  // Without scripts, or without an answer, the frame stays as small as nothing.
  const reveal = `const frame = document.currentScript.previousElementSibling;
addEventListener("message", function alive(event) {
  if (event.origin !== ${JSON.stringify(origin)} || event.source !== frame.contentWindow) return;
  removeEventListener("message", alive);
  frame.style.height = "${height}px";
  frame.style.visibility = "visible";
  frame.previousElementSibling.hidden = true;
});
frame.src = frame.dataset.page;`;
  return `<div><div>${picture === undefined ? "" : `<img alt="${escapeHtml(title)}" src="${picture}" style="max-width:100%">`}<p>${escapeHtml(note)}</p></div><iframe title="${escapeHtml(title)}" data-page="${escapeHtml(url)}" style="width:100%;height:0;border:0;visibility:hidden" allow="clipboard-write" referrerpolicy="no-referrer"></iframe><script>{${reveal}}</script></div>`;
}
