// Why something is wrong, in whose words, and how it is mended.

import { copyable, make, outsideLink, setAttribute, setText, setTextOrHide } from "./dom.js";

/** An empty explanation. */
export function createExplanation() {
  const view = {
    why: make("p", { class: "why" }), words: make("p", { class: "words" }), remedy: copyable("remedy"),
    link: outsideLink("", "What Microsoft says of it"),
  };
  view.root = make("div", { class: "explanation" }, view.why, view.words, view.remedy.root, view.link);
  return view;
}

/** `reason` is in the words of the service or the network. */
export function updateExplanation(view, { reason, why, remedy, link }) {
  view.root.hidden = !reason && !why;
  setTextOrHide(view.why, why);
  setTextOrHide(view.words, reason);
  setText(view.remedy.text, remedy);
  view.remedy.root.hidden = !remedy;
  const href = outsideLink(link, "").getAttribute("href");
  setAttribute(view.link, "href", href);
  view.link.hidden = !href;
}
