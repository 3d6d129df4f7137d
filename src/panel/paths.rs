//! Paths within snapshots, in addresses.
//!
//! File names are bytes, not text: `?path=` is decoded to the exact bytes,
//! and [`encode`] writes them so that they come back unchanged.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

/// The `path` of a query string, split at `/`: `?path=a%20b/c`. Empty parts
/// and `.` are dropped; `..` is kept and answers `Missing` when looked up.
/// No `path` means the top.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryPath(pub Vec<Vec<u8>>);

impl QueryPath {
    /// From a raw query string (without `?`).
    pub fn parse(query: &str) -> Self {
        Self(
            decode(value(query, "path=").unwrap_or_default())
                .split(|b| *b == b'/')
                .filter(|part| !part.is_empty() && *part != b".")
                .map(<[u8]>::to_vec)
                .collect(),
        )
    }
}

/// The `after` of a query string: the name after which a part of a folder begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryAfter(pub Option<Vec<u8>>);

impl<S: Sync> FromRequestParts<S> for QueryAfter {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let query = parts.uri.query().unwrap_or_default();
        Ok(Self(value(query, "after=").map(decode)))
    }
}

fn value<'q>(query: &'q str, key: &str) -> Option<&'q str> {
    query.split('&').find_map(|pair| pair.strip_prefix(key))
}

impl<S: Sync> FromRequestParts<S> for QueryPath {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

/// A path as the value of `?path=`: every byte but letters, digits and `-._~/` as `%XX`.
pub fn encode<N: AsRef<[u8]>>(path: &[N]) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for (i, name) in path.iter().enumerate() {
        if i > 0 {
            out.push('/');
        }
        for b in name.as_ref() {
            if b.is_ascii_alphanumeric() || b"-._~".contains(b) {
                out.push(char::from(*b));
            } else {
                // Writing to a String cannot fail.
                let _ = write!(out, "%{b:02X}");
            }
        }
    }
    out
}

/// A path for people, with `U+FFFD` for what is not UTF-8.
pub fn show<N: AsRef<[u8]>>(path: &[N]) -> String {
    path.iter()
        .map(|name| String::from_utf8_lossy(name.as_ref()).into_owned())
        .collect::<Vec<_>>()
        .join("/")
}

/// Undoes percent-encoding and `+`; a `%` that is not followed by two digits stands for itself.
fn decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let digit = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16));
        match (bytes[i], digit(i + 1), digit(i + 2)) {
            (b'%', Some(hi), Some(lo)) => {
                out.push(u8::try_from(hi * 16 + lo).unwrap_or_default());
                i += 3;
            }
            (b'+', _, _) => {
                out.push(b' ');
                i += 1;
            }
            (b, _, _) => {
                out.push(b);
                i += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives_an_address() {
        let path = vec![
            (1..=255).filter(|b| *b != b'/').collect::<Vec<u8>>(),
            b"b c".to_vec(),
        ];
        let query = format!("x=1&path={}", encode(&path));
        assert_eq!(QueryPath::parse(&query).0, path);
    }

    #[test]
    fn stray_percent_signs_stand_for_themselves() {
        assert_eq!(
            QueryPath::parse("path=100%/a%2").0,
            vec![b"100%".to_vec(), b"a%2".to_vec()]
        );
    }
}
