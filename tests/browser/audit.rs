//! What every page must keep to, looked at in the browser at the width of a
//! desk and of a phone, in light and dark; with a screenshot of each.

use std::path::PathBuf;

use crate::chrome::Chrome;

/// Faults of the page as it is now, each in a sentence. Runs in the browser.
const FAULTS: &str = r#"
const faults = [];
const say = (what, element) => faults.push(
  what + (element ? ": " + element.outerHTML.slice(0, 160) : ""));
const root = document.documentElement;
if (!["es-PE", "en"].includes(root.lang)) say("lang is " + root.lang);
if (root.scrollWidth > root.clientWidth) {
  say("wider than the window: " + root.scrollWidth + " > " + root.clientWidth);
  for (const e of document.body.querySelectorAll("*")) {
    if (e.getBoundingClientRect().right > root.clientWidth + 1 && !e.children.length) say("sticks out", e);
  }
}
if (document.querySelectorAll("h1").length !== 1) say("not one h1");
if (!document.title) say("no title");
for (const tag of ["header", "main", "footer"]) {
  if (document.querySelectorAll(tag).length !== 1) say("not one " + tag);
}
const seen = new Set();
for (const e of document.querySelectorAll("[id]")) {
  if (seen.has(e.id)) say("id twice", e);
  seen.add(e.id);
}
for (const e of document.querySelectorAll("[aria-labelledby], [aria-describedby], label[for]")) {
  const ids = e.getAttribute("aria-labelledby") || e.getAttribute("aria-describedby") || e.htmlFor;
  for (const id of ids.split(" ")) if (!document.getElementById(id)) say("refers to nothing", e);
}
for (const e of document.querySelectorAll("input:not([type=hidden]), select, textarea")) {
  if (!e.labels.length || !e.labels[0].textContent.trim()) say("input without label", e);
}
for (const e of document.querySelectorAll("form[method=post]")) {
  if (!e.querySelector("input[name=csrf]")?.value) say("form without token", e);
}
for (const e of document.querySelectorAll("a, button, progress, nav, section")) {
  if (!(e.textContent.trim() || e.ariaLabel)) say("has no name", e);
}
for (const e of document.querySelectorAll("[style], style, script:not([src])")) say("inline style or script", e);
const shown = (e) => e.checkVisibility() && e.getClientRects().length > 0
  && !e.closest(".hidden-text, .skip, [aria-hidden=true]");
for (const e of document.querySelectorAll("button, input:not([type=hidden]), select, .button, .nav a")) {
  const box = e.getBoundingClientRect();
  if (shown(e) && (box.height < 22 || box.width < 22)) say("too small to hit: " + box.width + "x" + box.height, e);
}
// Contrast of every text with the nearest background that is not see-through.
const parse = (c) => { const n = c.match(/[\d.]+/g).map(Number); return n.length > 3 ? n : [...n, 1]; };
const light = ([r, g, b]) => {
  const f = (v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
  return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b);
};
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const bad = new Set();
while (walker.nextNode()) {
  const e = walker.currentNode.parentElement;
  if (!walker.currentNode.textContent.trim() || !shown(e) || bad.has(e)) continue;
  const style = getComputedStyle(e);
  let under = e;
  let back = [255, 255, 255, 1];
  for (; under; under = under.parentElement) {
    const c = parse(getComputedStyle(under).backgroundColor);
    if (c[3] === 1) { back = c; break; }
  }
  const [a, b] = [light(parse(style.color)), light(back)].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  if (ratio < 7) { bad.add(e); say("contrast " + ratio.toFixed(2), e); }
  if (parseFloat(style.fontSize) < 14.9) { bad.add(e); say("text of " + style.fontSize, e); }
}
return faults;
"#;

/// Where screenshots go: `target/screenshots`.
fn folder() -> PathBuf {
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_colca"));
    let target = binary.ancestors().nth(2).unwrap();
    let folder = target.join("screenshots");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Only the pictures, of a page that may change any moment.
pub async fn picture(chrome: &Chrome, name: &str) {
    for (width, height) in [(390, 1500), (1280, 900)] {
        chrome.size(width, height).await;
        let picture = folder().join(format!("{name}-{width}.png"));
        std::fs::write(picture, chrome.screenshot().await).unwrap();
    }
}

/// The picture of a page as a printer would have it.
pub async fn printed(chrome: &Chrome, name: &str) {
    chrome.media("print").await;
    chrome.size(794, 1123).await;
    let picture = folder().join(format!("{name}.png"));
    std::fs::write(picture, chrome.screenshot().await).unwrap();
    chrome.media("").await;
    chrome.size(1280, 900).await;
}

/// Looks at pages and remembers what was wrong with them, so that one run
/// names every fault of the walk.
#[derive(Default)]
pub struct Audit {
    faults: Vec<String>,
}

impl Audit {
    /// Checks the page that is open and keeps its pictures under `name`.
    pub async fn look(&mut self, chrome: &Chrome, name: &str) {
        for (width, height, dark) in [
            (390, 844, true),
            (390, 844, false),
            (1280, 900, true),
            (1280, 900, false),
        ] {
            chrome.dark(dark).await;
            chrome.size(width, height).await;
            let shade = if dark { "-dark" } else { "" };
            for fault in chrome.run(FAULTS).await.as_array().unwrap() {
                let fault = fault.as_str().unwrap();
                self.faults.push(format!("{name}-{width}{shade}: {fault}"));
            }
            let all = chrome
                .run("return document.documentElement.scrollHeight")
                .await;
            let tall = u32::try_from(all.as_u64().unwrap()).unwrap().max(height);
            chrome.size(width, tall).await;
            let picture = folder().join(format!("{name}-{width}{shade}.png"));
            std::fs::write(picture, chrome.screenshot().await).unwrap();
        }
        chrome.size(1280, 900).await;
        self.quiet(chrome, name).await;
    }

    /// As [`Audit::look`], after something was refused: the answer's status is
    /// the one thing the console may speak of.
    pub async fn look_at_refused(&mut self, chrome: &Chrome, name: &str) {
        let complaints = chrome.complaints().await;
        for complaint in complaints {
            if !complaint.contains("the server responded with a status of 4") {
                self.faults.push(format!("{name}: {complaint}"));
            }
        }
        self.look(chrome, name).await;
    }

    /// The browser's console has nothing to say.
    pub async fn quiet(&mut self, chrome: &Chrome, name: &str) {
        for complaint in chrome.complaints().await {
            self.faults.push(format!("{name}: {complaint}"));
        }
    }

    /// Nothing was wrong with any page.
    pub fn finish(mut self) {
        let faults = std::mem::take(&mut self.faults);
        assert!(
            faults.is_empty(),
            "{} faults:\n{}",
            faults.len(),
            faults.join("\n")
        );
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        // The walk ended early: what was found until then is said too.
        if !self.faults.is_empty() {
            eprintln!("faults so far:\n{}", self.faults.join("\n"));
        }
    }
}
