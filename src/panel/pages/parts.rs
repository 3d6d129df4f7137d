//! The pieces pages are put together from. Each keeps one promise everywhere:
//! a state is a word with an icon, an input has a label, a cell knows its
//! column's name when the table becomes cards on a phone.

use jiff::Timestamp;
use maud::{Markup, html};

use super::format;
use super::icons::{self, Icon, icon};
use crate::panel::texts::Language;

/// How good or bad something is. Always shown with an icon and a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing to do.
    Good,
    /// To know; nothing is wrong.
    Info,
    /// Needs a person's attention.
    Warn,
    /// Failed; act now.
    Bad,
}

impl Level {
    /// The style class.
    pub fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }

    /// The icon.
    pub fn icon(self) -> Icon {
        match self {
            Self::Good => icons::GOOD,
            Self::Info => icons::INFO,
            Self::Warn => icons::WARN,
            Self::Bad => icons::BAD,
        }
    }
}

/// A state in one or two words.
pub fn badge(level: Level, text: &str) -> Markup {
    html! { span.badge.(level.class()) { (icon(level.icon())) (text) } }
}

/// A state without a judgement, with an icon of its own.
pub fn tag(mark: Icon, class: &str, text: &str) -> Markup {
    html! { span.badge.(class) { (icon(mark)) (text) } }
}

/// A box with a message: a title in words and, below, what to do.
pub fn notice(level: Level, title: &str, body: Markup) -> Markup {
    html! {
        div.notice.(level.class()) {
            (icon(level.icon()))
            div {
                p.title { (title) }
                (body)
            }
        }
    }
}

/// A moment with its age, both in words; machine-readable for programs.
pub fn when(language: Language, at: Timestamp) -> Markup {
    html! { time.nowrap datetime=(at) { (format::time(language, at)) } }
}

/// A moment and, smaller, how long ago it was.
pub fn when_ago(language: Language, at: Timestamp) -> Markup {
    html! {
        (when(language, at)) " "
        small.soft { (format::ago(language, at, Timestamp::now())) }
    }
}

/// The hidden field without which no form is accepted.
pub fn csrf(token: &str) -> Markup {
    html! { input type="hidden" name="csrf" value=(token); }
}

/// A button that sends a form of its own.
pub fn post_button(token: &str, action: &str, class: &str, mark: Icon, text: &str) -> Markup {
    html! {
        form method="post" action=(action) {
            (csrf(token))
            button.button.(class) type="submit" { (icon(mark)) (text) }
        }
    }
}

/// A line of text to fill in, with its label, hint and error tied to it.
#[derive(Clone, Debug)]
pub struct Field<'a> {
    /// Name in the form; also the element's id.
    pub name: &'a str,
    /// What to fill in.
    pub label: &'a str,
    /// How, if not obvious.
    pub hint: Option<&'a str>,
    /// `text`, `password`, `number` or `url`.
    pub kind: &'a str,
    /// What stands there now.
    pub value: &'a str,
    /// What was wrong with it.
    pub error: Option<&'a str>,
    /// Browser's help, as in HTML's `autocomplete`; `off` for none.
    pub autocomplete: &'a str,
    /// Whether it may stay empty.
    pub optional: bool,
    /// Further style class.
    pub class: &'a str,
}

impl<'a> Field<'a> {
    /// An empty obligatory line of text.
    pub fn text(name: &'a str, label: &'a str) -> Self {
        Self {
            name,
            label,
            hint: None,
            kind: "text",
            value: "",
            error: None,
            autocomplete: "off",
            optional: false,
            class: "",
        }
    }

    /// An empty obligatory password.
    pub fn password(name: &'a str, label: &'a str, autocomplete: &'a str) -> Self {
        Self {
            kind: "password",
            autocomplete,
            ..Self::text(name, label)
        }
    }

    /// With a hint below the label.
    #[must_use]
    pub fn hint(self, hint: &'a str) -> Self {
        Self {
            hint: Some(hint),
            ..self
        }
    }

    /// With a value.
    #[must_use]
    pub fn value(self, value: &'a str) -> Self {
        Self { value, ..self }
    }

    /// With what was wrong, if anything.
    #[must_use]
    pub fn error(self, error: Option<&'a str>) -> Self {
        Self { error, ..self }
    }

    /// May stay empty.
    #[must_use]
    pub fn optional(self) -> Self {
        Self {
            optional: true,
            ..self
        }
    }

    /// With a style class.
    #[must_use]
    pub fn class(self, class: &'a str) -> Self {
        Self { class, ..self }
    }

    /// With the browser's help.
    #[must_use]
    pub fn autocomplete(self, autocomplete: &'a str) -> Self {
        Self {
            autocomplete,
            ..self
        }
    }

    /// Of another kind than text.
    #[must_use]
    pub fn kind(self, kind: &'a str) -> Self {
        Self { kind, ..self }
    }

    fn described_by(&self) -> Option<String> {
        let hint = self.hint.map(|_| format!("{}-hint", self.name));
        let error = self.error.map(|_| format!("{}-error", self.name));
        match (hint, error) {
            (Some(h), Some(e)) => Some(format!("{h} {e}")),
            (h, e) => h.or(e),
        }
    }

    fn around(&self, input: Markup) -> Markup {
        html! {
            div.field {
                label for=(self.name) { (self.label) }
                @if let Some(hint) = self.hint {
                    p.hint id={ (self.name) "-hint" } { (hint) }
                }
                (input)
                @if let Some(error) = self.error {
                    p.field-error id={ (self.name) "-error" } { (icon(icons::BAD)) span { (error) } }
                }
            }
        }
    }

    /// As one line.
    pub fn render(&self) -> Markup {
        self.around(html! {
            input.(self.class) type=(self.kind) id=(self.name) name=(self.name) value=(self.value)
                autocomplete=(self.autocomplete) autocapitalize="none" spellcheck="false"
                required[!self.optional] aria-invalid=[self.error.map(|_| "true")]
                aria-describedby=[self.described_by()];
        })
    }

    /// As several lines.
    pub fn area(&self) -> Markup {
        self.around(html! {
            textarea id=(self.name) name=(self.name) autocomplete="off" autocapitalize="none"
                spellcheck="false" required[!self.optional]
                aria-invalid=[self.error.map(|_| "true")]
                aria-describedby=[self.described_by()] { (self.value) }
        })
    }
}

/// One of several choices: a radio button with a title and an explanation.
pub fn choice(name: &str, value: &str, checked: bool, title: &str, body: &str) -> Markup {
    html! {
        label.choice {
            input type="radio" name=(name) value=(value) checked[checked] required;
            span {
                strong { (title) }
                @if !body.is_empty() { span.soft { (body) } }
            }
        }
    }
}

/// A box to tick, with its label.
pub fn tick(name: &str, value: &str, checked: bool, required: bool, text: &str) -> Markup {
    html! {
        label.choice {
            input type="checkbox" name=(name) value=(value) checked[checked] required[required];
            span { (text) }
        }
    }
}

/// What stands where a list would, when there is nothing yet.
pub fn empty(text: &str, actions: Markup) -> Markup {
    html! {
        div.empty {
            p { (text) }
            div.actions { (actions) }
        }
    }
}
