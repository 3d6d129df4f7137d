//! The panel's own icons, drawn on a 24 by 24 grid with one stroke width. An
//! icon never stands alone: a word is always beside it, so it is hidden from
//! assistive technology.

use maud::{Markup, PreEscaped, html};

/// An icon's drawing: the inside of its SVG element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icon(&'static str);

/// A tick in a circle: well.
pub const GOOD: Icon =
    Icon(r#"<circle cx="12" cy="12" r="9"/><path d="m8 12.500 2.750 2.750L16 9.500"/>"#);
/// A triangle with a mark: needs attention.
pub const WARN: Icon =
    Icon(r#"<path d="M12 3.500 2.500 20h19z"/><path d="M12 10v4.500m0 2.500v.5"/>"#);
/// A cross in an octagon: failed.
pub const BAD: Icon = Icon(
    r#"<path d="M8.250 3h7.500L21 8.250v7.500L15.750 21h-7.500L3 15.750v-7.500z"/><path d="m9 9 6 6m0-6-6 6"/>"#,
);
/// An i in a circle: to know.
pub const INFO: Icon =
    Icon(r#"<circle cx="12" cy="12" r="9"/><path d="M12 11v5.500m0-9.500v.5"/>"#);
/// A clock: waits.
pub const WAIT: Icon = Icon(r#"<circle cx="12" cy="12" r="9"/><path d="M12 7v5l3.500 2"/>"#);
/// Two arrows in a ring: runs now.
pub const RUN: Icon = Icon(
    r#"<path d="M20 11a8 8 0 0 0-14-4.500L4 8.500m0-4.500v4.500h4.500M4 13a8 8 0 0 0 14 4.500l2-2m0 4.500v-4.500h-4.500"/>"#,
);
/// A square in a circle: stopped.
pub const STOP: Icon = Icon(r#"<circle cx="12" cy="12" r="9"/><path d="M9 9h6v6H9z"/>"#);
/// The sun over a line: today.
pub const TODAY: Icon =
    Icon(r#"<path d="M3 18h18M6.500 18a5.500 5.500 0 0 1 11 0M12 5v3m-7.500 1 2 2m13-2-2 2"/>"#);
/// An eye: which one is it?
pub const EYE: Icon = Icon(
    r#"<path d="M2.500 12s3.500-6 9.500-6 9.500 6 9.500 6-3.500 6-9.500 6-9.500-6-9.500-6z"/><circle cx="12" cy="12" r="2.750"/>"#,
);
/// Stacked disks.
pub const DISKS: Icon = Icon(
    r#"<rect x="4" y="4" width="16" height="7" rx="1"/><rect x="4" y="13" width="16" height="7" rx="1"/><path d="M8 7.500h4m-4 9h4m4-9h.5m-.5 9h.5"/>"#,
);
/// A server with an arrow out: where data comes from.
pub const SOURCE: Icon = Icon(
    r#"<rect x="3" y="5" width="10" height="14" rx="1"/><path d="M6 9h4m-4 3h4m5 0h6m-2.500-3 3 3-3 3"/>"#,
);
/// Layers: backups over time.
pub const COPIES: Icon = Icon(
    r#"<path d="m12 3 9 4.500-9 4.500-9-4.500zM3 12l9 4.500 9-4.500M3 16.500 12 21l9-4.500"/>"#,
);
/// A cloud: the external provider.
pub const PROVIDER: Icon = Icon(
    r#"<path d="M7 19a4.500 4.500 0 0 1-.5-9A6 6 0 0 1 18 10.500 4.250 4.250 0 0 1 17.500 19z"/>"#,
);
/// Lines: the log of jobs.
pub const JOBS: Icon = Icon(r#"<path d="M9 6h11M9 12h11M9 18h11M4 6h1m-1 6h1m-1 6h1"/>"#);
/// Three lines: the menu.
pub const MENU: Icon = Icon(r#"<path d="M4 6h16M4 12h16M4 18h16"/>"#);
/// A person.
pub const PERSON: Icon =
    Icon(r#"<circle cx="12" cy="8" r="4"/><path d="M4.500 20a7.500 7.500 0 0 1 15 0"/>"#);
/// A door with an arrow: leave.
pub const LEAVE: Icon =
    Icon(r#"<path d="M13 4H5v16h8M10 12h11m-3.500-3.500L21 12l-3.500 3.500"/>"#);
/// A globe: language.
pub const LANGUAGE: Icon = Icon(
    r#"<circle cx="12" cy="12" r="9"/><path d="M3 12h18M12 3c3 3 3.500 6 3.500 9s-.5 6-3.500 9c-3-3-3.500-6-3.500-9S9 6 12 3"/>"#,
);
/// A folder.
pub const FOLDER: Icon = Icon(r#"<path d="M3 6h6l2 2.500h10V19H3z"/>"#);
/// A sheet of paper: a file.
pub const FILE: Icon = Icon(r#"<path d="M6 3h8l4 4v14H6zM14 3v4h4"/>"#);
/// A chain link: a symbolic link.
pub const LINK: Icon = Icon(
    r#"<path d="m10 14 4-4M8.500 11 6 13.500a3.250 3.250 0 0 0 4.500 4.500l2.500-2.500m2.500-2.500L18 10.500A3.250 3.250 0 0 0 13.500 6L11 8.500"/>"#,
);
/// A gear-like square: anything else in a folder.
pub const OTHER: Icon =
    Icon(r#"<rect x="5" y="5" width="14" height="14" rx="2"/><path d="M9 12h6"/>"#);
/// An arrow down to a line: download.
pub const DOWNLOAD: Icon = Icon(r#"<path d="M12 4v11m-4.500-4.500L12 15l4.500-4.500M4 20h16"/>"#);
/// An arrow that turns back: restore.
pub const RESTORE: Icon =
    Icon(r#"<path d="M4 9h10a5.500 5.500 0 0 1 0 11H8M8 4.500 3.500 9 8 13.500"/>"#);
/// A plus sign.
pub const ADD: Icon = Icon(r#"<path d="M12 5v14M5 12h14"/>"#);
/// A bin.
pub const REMOVE: Icon = Icon(r#"<path d="M4 7h16M9 7V4h6v3M6.500 7l1 13h9l1-13"/>"#);
/// A triangle to the right: start.
pub const START: Icon = Icon(r#"<path d="M7 4.500v15l12-7.500z"/>"#);
/// A key.
pub const KEY: Icon =
    Icon(r#"<circle cx="8" cy="16" r="4"/><path d="m11 13 9-9m-3 3 2.500 2.500M14 10l2 2"/>"#);
/// A printer.
pub const PRINT: Icon = Icon(r#"<path d="M7 9V4h10v5M7 17H4V9h16v8h-3M7 14h10v6H7z"/>"#);

/// Draws an icon.
pub fn icon(icon: Icon) -> Markup {
    html! {
        svg.icon viewBox="0 0 24 24" aria-hidden="true" focusable="false" { (PreEscaped(icon.0)) }
    }
}

/// The mark of the house: a storehouse's trapezoid doorway within its jamb.
pub fn mark() -> Markup {
    html! {
        svg viewBox="0 0 32 32" aria-hidden="true" focusable="false" {
            path fill="#f3b294" d="M7 3h18l5 26h-6L20 8.500h-8L8 29H2z" {}
            path fill="#fbf3ea" d="M13 12.500h6L21.500 29h-11z" {}
        }
    }
}
