//! The frame around every page: bar, navigation, messages, main part, foot.

use maud::{DOCTYPE, Markup, html};

use super::icons::{self, Icon, icon};
use super::parts::{self, Level};
use super::{assets, links};
use crate::panel::texts::{Key, Language};

/// A message shown once, on the page after the action it speaks of.
#[derive(Clone, Debug)]
pub struct Flash {
    /// How good or bad the news is.
    pub level: Level,
    /// The news.
    pub title: String,
    /// More, such as what to do.
    pub body: String,
}

/// What the frame needs to know about the visit.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// The visitor's language.
    pub language: Language,
    /// Path and query of the page, to come back to after switching language.
    pub here: String,
    /// Who is logged in.
    pub user: Option<String>,
    /// Token every form carries.
    pub csrf: String,
    /// Messages to show once.
    pub flashes: Vec<Flash>,
    /// Jobs that run or wait.
    pub running: usize,
}

/// The parts of the panel, as the navigation lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Is everything well?
    Today,
    /// Disks and pool.
    Disks,
    /// Where data comes from.
    Sources,
    /// What is kept.
    Snapshots,
    /// The external provider.
    Provider,
    /// What the box did.
    Jobs,
    /// Outside the navigation.
    None,
}

const SECTIONS: [(Section, &str, Icon, Key); 6] = [
    (Section::Today, links::TODAY, icons::TODAY, Key("nav-today")),
    (Section::Disks, links::DISKS, icons::DISKS, Key("nav-disks")),
    (
        Section::Sources,
        links::SOURCES,
        icons::SOURCE,
        Key("nav-sources"),
    ),
    (
        Section::Snapshots,
        links::SNAPSHOTS,
        icons::COPIES,
        Key("nav-snapshots"),
    ),
    (
        Section::Provider,
        links::PROVIDER,
        icons::PROVIDER,
        Key("nav-provider"),
    ),
    (Section::Jobs, links::JOBS, icons::JOBS, Key("nav-jobs")),
];

/// A page's head: its title, where it belongs, and whether it renews itself.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// Shown in the window's title and as the first heading.
    pub title: &'a str,
    /// The part of the panel it belongs to.
    pub section: Section,
    /// Without JavaScript, load again after so many seconds.
    pub refresh: Option<u32>,
}

impl<'a> Head<'a> {
    /// A page that does not renew itself.
    pub fn new(section: Section, title: &'a str) -> Self {
        Self {
            title,
            section,
            refresh: None,
        }
    }
}

/// A page's first heading with a sentence below and buttons beside.
pub fn heading(title: &str, lead: &str, actions: Markup) -> Markup {
    html! {
        div.page-head {
            div {
                h1 { (title) }
                @if !lead.is_empty() { p.soft { (lead) } }
            }
            div.actions { (actions) }
        }
    }
}

/// Puts `body` into the frame. The body brings its own first heading.
pub fn page(frame: &Frame, head: Head<'_>, body: Markup) -> Markup {
    let l = frame.language;
    let inside = frame.user.is_some();
    html! {
        (DOCTYPE)
        html lang=(l.tag()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (head.title) " · Colca" }
                link rel="icon" type="image/svg+xml" href=(assets::FAVICON.path());
                link rel="stylesheet" href=(assets::STYLE.path());
                script defer src=(assets::SCRIPT.path()) {}
                @if let Some(seconds) = head.refresh {
                    noscript { meta http-equiv="refresh" content=(seconds); }
                }
            }
            body {
                a.skip href="#contenido" { (l.t("skip")) }
                (bar(frame))
                @if inside {
                    details.menu {
                        summary {
                            (icon(icons::MENU)) (l.t("menu"))
                            @if frame.running > 0 { (running(frame)) }
                        }
                        (nav(frame, head.section))
                        (who(frame))
                    }
                }
                div.(if inside { "frame" } else { "alone" }) {
                    @if inside { div.side { (nav(frame, head.section)) } }
                    div {
                        main #contenido tabindex="-1" {
                            @for flash in &frame.flashes {
                                div role="status" {
                                    (parts::notice(flash.level, &flash.title, html! {
                                        @if !flash.body.is_empty() { p { (flash.body) } }
                                    }))
                                }
                            }
                            (body)
                        }
                        footer.foot {
                            p { (l.f("foot", [("version", env!("CARGO_PKG_VERSION").into())])) }
                        }
                    }
                }
            }
        }
    }
}

fn bar(frame: &Frame) -> Markup {
    let l = frame.language;
    let (other, name, tag) = match l {
        Language::Spanish => (links::ENGLISH, "English", "en"),
        Language::English => (links::SPANISH, "Español", "es"),
    };
    html! {
        header.bar {
            div.bar-row {
                a.brand href=(links::TODAY) { (icons::mark()) span { "Colca" } }
                div.bar-tools {
                    a href=(links::with_next(other, &frame.here)) lang=(tag) hreflang=(tag) {
                        (icon(icons::LANGUAGE)) (name)
                    }
                    @if frame.user.is_some() {
                        (who(frame))
                        form method="post" action=(links::LOGOUT) {
                            (parts::csrf(&frame.csrf))
                            button type="submit" { (icon(icons::LEAVE)) (l.t("logout")) }
                        }
                    }
                }
            }
            div.frieze {}
        }
    }
}

/// Who is logged in: in the bar of a desk, in the menu of a phone.
fn who(frame: &Frame) -> Markup {
    html! {
        @if let Some(user) = &frame.user {
            span.who {
                (icon(icons::PERSON))
                span.hidden-text { (frame.language.t("logged-in-as")) " " }
                (user)
            }
        }
    }
}

fn nav(frame: &Frame, here: Section) -> Markup {
    let l = frame.language;
    html! {
        nav.nav aria-label=(l.t("nav")) {
            ul {
                @for (section, path, mark, key) in SECTIONS {
                    li {
                        a href=(path) aria-current=[(section == here).then_some("page")] {
                            (icon(mark)) (l.t(key))
                            @if section == Section::Jobs && frame.running > 0 { (running(frame)) }
                        }
                    }
                }
            }
        }
    }
}

fn running(frame: &Frame) -> Markup {
    html! {
        span.badge.info {
            (icon(icons::RUN)) (frame.running)
            span.hidden-text { " " (frame.language.t("nav-running")) }
        }
    }
}
