//! Names as a search compares them, and what a search looks for.

use memchr::memmem::Finder;
use unicode_normalization::char::decompose_canonical;

use crate::engine::error::{Error, Kind, Result};

/// Appends a name in lower case and without accents, as UTF-8. What is not
/// UTF-8 is taken for Latin-1, which old file servers wrote.
pub(super) fn fold(name: &[u8], out: &mut Vec<u8>) {
    if name.is_ascii() {
        out.extend(name.iter().map(u8::to_ascii_lowercase));
        return;
    }
    for chunk in name.utf8_chunks() {
        let good = chunk.valid().chars();
        let other = chunk.invalid().iter().copied().map(char::from);
        for c in good.chain(other).flat_map(char::to_lowercase) {
            decompose_canonical(c, |part| {
                if !('\u{300}'..='\u{36f}').contains(&part) {
                    out.extend_from_slice(part.encode_utf8(&mut [0; 4]).as_bytes());
                }
            });
        }
    }
}

/// What is looked for: a part of a name, or with `*` and `?` in it a pattern
/// for the whole name.
pub(super) struct Pattern {
    text: Vec<u8>,
    glob: bool,
    /// The longest run of letters that every match contains.
    literal: Finder<'static>,
}

impl Pattern {
    pub(super) fn new(text: &str) -> Result<Self> {
        let refused = |why: &str| Err(Error::new(Kind::Refused, why));
        let wanted = text.trim();
        if wanted.is_empty() {
            return refused("there is nothing to look for; give a part of a file's name");
        }
        if wanted.contains(['/', '\0']) {
            return refused(
                "a name contains no \"/\"; look for the name alone, without its folder",
            );
        }
        let mut text = Vec::with_capacity(wanted.len());
        fold(wanted.as_bytes(), &mut text);
        if text.is_empty() {
            return refused("there are only accents to look for; give a part of a file's name");
        }
        let literal = text
            .split(|b| matches!(b, b'*' | b'?'))
            .max_by_key(|run| run.len())
            .unwrap_or_default();
        Ok(Self {
            glob: text.iter().any(|b| matches!(b, b'*' | b'?')),
            literal: Finder::new(literal).into_owned(),
            text,
        })
    }

    /// Numbers of the matching names in `names`, each of which ends with NUL.
    pub(super) fn rows(&self, names: &[u8]) -> Vec<usize> {
        let mut found = Vec::new();
        let (mut at, mut row) = (0, 0);
        while let Some(hit) = self.literal.find(&names[at..]) {
            // The name it is in, and how many names were passed.
            let passed = &names[at..at + hit];
            row += memchr::memchr_iter(0, passed).count();
            let begin = memchr::memrchr(0, passed).map_or(at, |n| at + n + 1);
            let Some(len) = memchr::memchr(0, &names[begin..]) else {
                break;
            };
            let name = &names[begin..begin + len];
            if !self.glob || matches(&self.text, name) {
                found.push(row);
            }
            at = begin + len + 1;
            row += 1;
        }
        found
    }
}

/// Whether a whole name matches a pattern: `*` is any text, `?` one letter.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    // Where to go on if the latest `*` has to take one letter more.
    let mut retry = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p, n));
                p += 1;
            }
            Some(b'?') => {
                n += letter(&name[n..]);
                p += 1;
            }
            Some(b) if *b == name[n] => {
                n += 1;
                p += 1;
            }
            _ => match retry {
                Some((star, from)) => {
                    let from = from + letter(&name[from..]);
                    retry = Some((star, from));
                    (p, n) = (star + 1, from);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

/// Bytes of the first letter.
fn letter(name: &[u8]) -> usize {
    let more = name.iter().skip(1).take_while(|b| **b & 0xc0 == 0x80);
    1 + more.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(name: &[u8]) -> String {
        let mut out = Vec::new();
        fold(name, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn case_and_accents_do_not_matter() {
        assert_eq!(
            folded("Resolución ÑANDÚ.PDF".as_bytes()),
            "resolucion nandu.pdf"
        );
        assert_eq!(folded("Resolucio\u{301}n".as_bytes()), "resolucion");
        assert_eq!(folded(b"A\xd1O \xff.txt"), "ano y.txt");
        assert_eq!(folded("ПРИВЕТ Ключ".as_bytes()), "привет ключ");
    }

    fn found(pattern: &str, names: &[&str]) -> Vec<usize> {
        let mut text = Vec::new();
        for name in names {
            fold(name.as_bytes(), &mut text);
            text.push(0);
        }
        Pattern::new(pattern).unwrap().rows(&text)
    }

    #[test]
    fn parts_and_patterns_are_found() {
        let names = [
            "Informe.docx",
            "informe final.DOCX",
            "",
            "acta",
            "ñam",
            "aaab",
        ];
        assert_eq!(found("INFORME", &names), [0, 1]);
        assert_eq!(found("docx", &names), [0, 1]);
        assert_eq!(found("*.docx", &names), [0, 1]);
        assert_eq!(found("informe?docx", &names), [0]);
        assert_eq!(found("informe*", &names), [0, 1]);
        assert_eq!(found("forme*", &names), [0; 0]);
        assert_eq!(found("a", &names), [1, 3, 4, 5]);
        assert_eq!(found("???", &names), [4]);
        assert_eq!(found("*a*a*b", &names), [5]);
        assert_eq!(found("*", &names), [0, 1, 2, 3, 4, 5]);
        assert_eq!(found("?", &["я", "яя"]), [0]);
    }

    #[test]
    fn a_search_for_nothing_is_refused() {
        for bad in ["", "  ", "a/b", "\u{301}"] {
            assert_eq!(
                Pattern::new(bad).err().unwrap().kind(),
                Kind::Refused,
                "{bad:?}"
            );
        }
    }
}
