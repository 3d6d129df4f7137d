//! Every text that people read in the panel, in Spanish (as spoken in Peru)
//! and English, kept in two Fluent files so that a translator never opens code.
//!
//! A text is asked for by [`Key`]. A test below reads the pages' sources and
//! asserts that each key written there exists in both files, that both files
//! hold the same keys with the same arguments, and that no text is unused.

use std::borrow::Cow;
use std::sync::LazyLock;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use unic_langid::LanguageIdentifier;

use super::pages::format;

/// The file of Spanish texts.
const SPANISH: &str = include_str!("locales/es-PE.ftl");
/// The file of English texts.
const ENGLISH: &str = include_str!("locales/en.ftl");

/// A language the panel speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// Spanish as spoken in Peru, the first language.
    #[default]
    Spanish,
    /// English.
    English,
}

impl Language {
    /// The tag for the page's `lang` attribute.
    pub fn tag(self) -> &'static str {
        match self {
            Self::Spanish => "es-PE",
            Self::English => "en",
        }
    }

    /// The language of a tag such as `es`, `es-PE` or `en-GB`; `None` for others.
    pub fn from_tag(tag: &str) -> Option<Self> {
        let primary = tag.split(['-', '_']).next().unwrap_or_default();
        if primary.eq_ignore_ascii_case("es") {
            Some(Self::Spanish)
        } else if primary.eq_ignore_ascii_case("en") {
            Some(Self::English)
        } else {
            None
        }
    }

    /// What a browser asks for: the chosen language (cookie) if any, else the
    /// first of `Accept-Language` with the highest weight that we speak, else Spanish.
    pub fn negotiate(chosen: Option<&str>, accept: Option<&str>) -> Self {
        if let Some(language) = chosen.and_then(Self::from_tag) {
            return language;
        }
        let mut best: Option<(f32, Self)> = None;
        for part in accept.unwrap_or_default().split(',') {
            let mut fields = part.split(';');
            let Some(language) = Self::from_tag(fields.next().unwrap_or_default().trim()) else {
                continue;
            };
            let weight = fields
                .find_map(|f| f.trim().strip_prefix("q=")?.trim().parse().ok())
                .unwrap_or(1.0_f32);
            if weight > 0.0 && best.is_none_or(|(w, _)| weight > w) {
                best = Some((weight, language));
            }
        }
        best.map_or(Self::Spanish, |(_, language)| language)
    }

    fn bundle(self) -> &'static Bundle {
        static BUNDLES: LazyLock<[Bundle; 2]> = LazyLock::new(|| {
            [
                load(Language::Spanish, SPANISH),
                load(Language::English, ENGLISH),
            ]
        });
        match self {
            Self::Spanish => &BUNDLES[0],
            Self::English => &BUNDLES[1],
        }
    }

    /// The text of `key`.
    pub fn t(self, key: impl Into<Key>) -> Cow<'static, str> {
        self.text(key.into(), None)
    }

    /// The text of `key` with its arguments filled in. Numbers are written as
    /// the language writes them and may choose between singular and plural.
    pub fn f<'a, const N: usize>(
        self,
        key: impl Into<Key>,
        args: [(&'static str, Arg<'a>); N],
    ) -> Cow<'a, str> {
        let args: FluentArgs<'a> = args.into_iter().map(|(n, a)| (n, a.0)).collect();
        let text: Cow<'_, str> = self.text(key.into(), Some(&args));
        Cow::Owned(text.into_owned())
    }

    fn text<'b>(self, key: Key, args: Option<&'b FluentArgs<'_>>) -> Cow<'b, str> {
        let bundle = self.bundle();
        let Some(pattern) = bundle.get_message(key.0).and_then(|m| m.value()) else {
            // A test keeps this from happening; a person still sees a page.
            tracing::error!(key = key.0, language = self.tag(), "text is missing");
            return Cow::Borrowed(key.0);
        };
        let mut errors = Vec::new();
        let text = bundle.format_pattern(pattern, args, &mut errors);
        if !errors.is_empty() {
            tracing::error!(
                key = key.0,
                language = self.tag(),
                ?errors,
                "text is missing an argument"
            );
        }
        text
    }
}

/// The name of a text in the Fluent files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(pub &'static str);

impl From<&'static str> for Key {
    fn from(name: &'static str) -> Self {
        Self(name)
    }
}

/// An argument of a text: a word or a number.
#[derive(Clone, Debug)]
pub struct Arg<'a>(FluentValue<'a>);

impl<'a> From<&'a str> for Arg<'a> {
    fn from(text: &'a str) -> Self {
        Self(FluentValue::String(Cow::Borrowed(text)))
    }
}

impl<'a> From<&'a String> for Arg<'a> {
    fn from(text: &'a String) -> Self {
        Self(FluentValue::String(Cow::Borrowed(text)))
    }
}

impl From<String> for Arg<'_> {
    fn from(text: String) -> Self {
        Self(FluentValue::String(Cow::Owned(text)))
    }
}

impl From<u64> for Arg<'_> {
    fn from(number: u64) -> Self {
        Self(FluentValue::from(number))
    }
}

impl From<usize> for Arg<'_> {
    fn from(number: usize) -> Self {
        Self(FluentValue::from(number))
    }
}

type Bundle = FluentBundle<FluentResource>;

fn load(language: Language, source: &str) -> Bundle {
    let id: LanguageIdentifier = language.tag().parse().unwrap_or_default();
    let mut bundle = FluentBundle::new_concurrent(vec![id]);
    // Texts go into HTML in one direction only; isolation marks would end up
    // in names that people copy.
    bundle.set_use_isolating(false);
    bundle.set_formatter(Some(match language {
        Language::Spanish => |value, _| write_number(Language::Spanish, value),
        Language::English => |value, _| write_number(Language::English, value),
    }));
    let resource = FluentResource::try_new(source.to_owned()).unwrap_or_else(|(rest, errors)| {
        tracing::error!(language = language.tag(), ?errors, "texts do not parse");
        rest
    });
    bundle.add_resource_overriding(resource);
    bundle
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn write_number(language: Language, value: &FluentValue<'_>) -> Option<String> {
    match value {
        FluentValue::Number(n) if n.value >= 0.0 && n.value.fract() == 0.0 => {
            Some(format::count(language, n.value as u64))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;

    use super::*;

    /// Message name and the arguments it uses.
    fn messages(source: &str) -> BTreeMap<String, BTreeSet<String>> {
        let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut name = String::new();
        for line in source.lines() {
            if line.starts_with(|c: char| c.is_ascii_lowercase()) {
                let (key, _) = line.split_once('=').expect("a message has an equals sign");
                name = key.trim().to_owned();
                let fresh = all.insert(name.clone(), BTreeSet::new()).is_none();
                assert!(fresh, "{name} is written twice");
            }
            let mut rest = line;
            while let Some(at) = rest.find('$') {
                rest = &rest[at + 1..];
                let end = rest
                    .find(|c: char| !c.is_ascii_alphanumeric() && c != '-')
                    .unwrap_or(rest.len());
                if let Some(args) = all.get_mut(&name) {
                    args.insert(rest[..end].to_owned());
                }
            }
        }
        all
    }

    fn sources(folder: &Path, into: &mut String) {
        for entry in std::fs::read_dir(folder).expect("the sources are there") {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                sources(&path, into);
            } else if path.extension().is_some_and(|e| e == "rs") {
                into.push_str(&std::fs::read_to_string(&path).expect("a readable source"));
            }
        }
    }

    /// Keys written in the pages: `.t("key"`, `.f("key"` and `Key("key"`.
    fn used() -> BTreeSet<String> {
        let mut text = String::new();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/panel/pages");
        sources(&root, &mut text);
        let squeezed: String = text.split_whitespace().collect();
        let mut keys = BTreeSet::new();
        for mark in [".t(\"", ".f(\"", "Key(\""] {
            for (at, _) in squeezed.match_indices(mark) {
                let rest = &squeezed[at + mark.len()..];
                keys.insert(rest[..rest.find('"').expect("a closed literal")].to_owned());
            }
        }
        keys
    }

    #[test]
    fn both_files_parse_and_hold_the_same_texts() {
        for source in [SPANISH, ENGLISH] {
            if let Err((_, errors)) = FluentResource::try_new(source.to_owned()) {
                panic!("{errors:?}");
            }
        }
        assert_eq!(messages(SPANISH), messages(ENGLISH));
    }

    #[test]
    fn every_text_asked_for_exists_and_none_is_left_over() {
        let written: BTreeSet<String> = messages(SPANISH).into_keys().collect();
        let used = used();
        assert!(used.len() > 100, "the search for keys finds them");
        let missing: Vec<_> = used.difference(&written).collect();
        let unused: Vec<_> = written.difference(&used).collect();
        assert!(missing.is_empty(), "missing from the files: {missing:?}");
        assert!(unused.is_empty(), "never asked for: {unused:?}");
    }

    #[test]
    fn language_is_negotiated() {
        let n = Language::negotiate;
        assert_eq!(n(None, None), Language::Spanish);
        assert_eq!(n(None, Some("de,fr;q=0.5")), Language::Spanish);
        assert_eq!(
            n(None, Some("de, es;q=0.3, en-GB;q=0.8")),
            Language::English
        );
        assert_eq!(n(None, Some("en;q=0")), Language::Spanish);
        assert_eq!(n(Some("en"), Some("es-PE")), Language::English);
        assert_eq!(n(Some("xx"), Some("en")), Language::English);
    }

    #[test]
    fn numbers_choose_the_plural_and_are_written_in_the_language() {
        let es = |n: u64| Language::Spanish.f("count-entries", [("n", n.into())]);
        assert_eq!(es(1), "1 elemento");
        assert_eq!(es(2), "2 elementos");
        assert_eq!(es(79_123), "79\u{a0}123 elementos");
        let en = |n: u64| Language::English.f("count-entries", [("n", n.into())]);
        assert_eq!(en(1), "1 entry");
        assert_eq!(en(79_123), "79,123 entries");
    }
}
