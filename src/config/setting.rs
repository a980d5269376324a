//! What a setting is, and the macro that makes the struct, the loader, the flags and every table of
//! settings from one list.
//!
//! A macro rather than a derive or a configuration crate: variable, default, example and the reason
//! to change a setting stand in one place, and all faults can be collected before any is reported.

use std::fmt::Write as _;

/// One setting as users see it.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    pub variable: &'static str,
    pub kind: Kind,
    /// The heading it stands under.
    pub group: &'static str,
    /// What it is, and why one would change it.
    pub help: &'static str,
    pub absent: Absent,
    pub example: &'static str,
}

/// How a setting may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// As a flag or a variable.
    Plain,
    /// As a variable or a file that `NAME_FILE` names; never as a flag, which every process list shows.
    Secret,
}

/// What holds when a setting is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// This value.
    Value(&'static str),
    /// No value; the text says what that means.
    Unset(&'static str),
}

impl Setting {
    /// `EVENT_TTL` → `event-ttl`; none for secrets.
    pub fn flag(&self) -> Option<String> {
        (self.kind == Kind::Plain).then(|| self.variable.to_ascii_lowercase().replace('_', "-"))
    }

    /// `NAME_FILE` of a secret.
    pub fn file_variable(&self) -> Option<String> {
        (self.kind == Kind::Secret).then(|| format!("{}_FILE", self.variable))
    }

    /// The default in words.
    pub fn default_text(&self) -> &'static str {
        match self.absent {
            Absent::Value(text) | Absent::Unset(text) => text,
        }
    }
}

/// The settings as the table of the README; a test compares the two.
pub fn markdown_table(settings: &[Setting]) -> String {
    let mut table = String::from("| variable | default | meaning |\n|---|---|---|\n");
    for setting in settings {
        let default = match setting.absent {
            Absent::Value(text) => format!("`{}`", text.replace(',', ", ")),
            Absent::Unset(text) => text.to_owned(),
        };
        let secret = if setting.kind == Kind::Secret { " (secret)" } else { "" };
        // Writing to a String cannot fail.
        let _ = writeln!(table, "| `{}`{secret} | {default} | {} |", setting.variable, setting.help.trim());
    }
    table
}

/// Turns the list of settings into `Config`, `SETTINGS` and `Config::read`.
macro_rules! settings {
    ($($group:literal {$(
        $(#[doc = $doc:literal])+
        $kind:ident $field:ident: $type:ty = $variable:literal, $absent:ident $default:expr, $parse:expr,
            $example:literal;
    )+})+) => {
        /// Every setting of the gateway, checked.
        pub struct Config {$($(
            $(#[doc = $doc])+
            pub $field: $type,
        )+)+
            /// What OpenTelemetry's variables ask for; `None`: no traces.
            pub traces: Option<TraceSettings>,
        }

        /// Every setting in the order in which it is shown.
        pub const SETTINGS: &[Setting] = &[$($(
            Setting {
                variable: $variable,
                kind: Kind::$kind,
                group: $group,
                help: concat!($($doc),+),
                absent: Absent::$absent($default),
                example: $example,
            },
        )+)+];

        impl Config {
            /// Reads every setting, faults and all, so that they are known at once.
            fn read(reader: &mut Reader<'_>) -> Option<Self> {
                $($(let $field = settings!(@$absent reader, $variable, $parse);)+)+
                Some(Self { $($($field: $field?,)+)+ traces: None })
            }
        }
    };
    (@Value $reader:ident, $variable:literal, $parse:expr) => { $reader.required($variable, $parse) };
    (@Unset $reader:ident, $variable:literal, $parse:expr) => { $reader.optional($variable, $parse) };
}

pub(super) use settings;
