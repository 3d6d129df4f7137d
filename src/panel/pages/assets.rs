//! Style, script and pictures, built into the binary and served under a name
//! that carries their hash, so that a browser may keep them for good.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// A file built into the binary.
#[derive(Debug)]
pub struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
    path: LazyLock<String>,
}

impl Asset {
    /// Where it is served.
    pub fn path(&self) -> &str {
        &self.path
    }
}

macro_rules! asset {
    ($(#[$doc:meta])* $id:ident, $name:literal, $kind:literal) => {
        $(#[$doc])*
        pub static $id: Asset = Asset {
            name: $name,
            kind: $kind,
            bytes: include_bytes!(concat!("../assets/", $name)),
            path: LazyLock::new(|| {
                let hash = blake3::hash(include_bytes!(concat!("../assets/", $name)));
                format!("/assets/{}/{}", &hash.to_hex()[..12], $name)
            }),
        };
    };
}

asset!(
    /// The one style sheet.
    STYLE, "colca.css", "text/css; charset=utf-8");
asset!(
    /// The one script; pages work without it.
    SCRIPT, "colca.js", "text/javascript; charset=utf-8");
asset!(
    /// The picture in the window's tab.
    FAVICON, "favicon.svg", "image/svg+xml");
asset!(
    /// The row of doorways under the bar; the style sheet asks for it by name.
    FRIEZE, "frieze.svg", "image/svg+xml");

/// Serves `/assets/HASH/NAME`. Any hash will do: it only tells versions apart.
pub async fn serve(Path((_, name)): Path<(String, String)>) -> Response {
    let all = [&STYLE, &SCRIPT, &FAVICON, &FRIEZE];
    match all.into_iter().find(|a| a.name == name) {
        Some(asset) => (
            [
                (header::CONTENT_TYPE, asset.kind),
                (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
            ],
            asset.bytes,
        )
            .into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
