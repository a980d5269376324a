//! Settings as flags, made from the list in `config`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use crate::config::{Absent, Config, Fault, Faults, Kind, SETTINGS, Setting, Source, Warning};
use crate::domain::Clock;
use crate::egress::DenyList;
use crate::services::Rules;
use crate::store::corps_file::{CorpsFile, CorpsFileError};

/// The flags that were given, by variable. Their values are checked with all other settings, so that
/// every fault is reported at once.
#[derive(Debug, Clone)]
pub(super) struct SettingFlags(Vec<(&'static str, String)>);

impl SettingFlags {
    /// All settings: these flags over the environment over files.
    pub(super) fn load(&self) -> Result<(Config, Vec<Warning>), Faults> {
        Config::load(&self.source())
    }

    /// As [`SettingFlags::load`], with the faults of what `CORPS_FILE` holds: they too stop the start.
    pub(super) fn load_with_corps(&self) -> Result<(Config, Vec<Warning>), Faults> {
        let source = self.source();
        let loaded = Config::load(&source);
        let path = source.text("CORPS_FILE").map(PathBuf::from);
        let denied = loaded.as_ref().map(|(config, _)| config.dispatch_deny_networks.clone());
        let rules = Arc::new(Rules::new(denied.unwrap_or_else(|_| DenyList::default())));
        let in_file = path.and_then(|path| CorpsFile::load(&path, rules, Clock::default().now()).err());
        match (loaded, in_file) {
            (loaded, None) => loaded,
            (Ok(_), Some(error)) => Err(corps_file_faults(&error)),
            (Err(Faults(mut faults)), Some(error)) => {
                faults.extend(corps_file_faults(&error).0);
                Err(Faults(faults))
            }
        }
    }

    fn source(&self) -> Source {
        Source::process().with_flags(self.0.iter().cloned())
    }
}

impl Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        command.args(SETTINGS.iter().filter_map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let plain = SETTINGS.iter().filter(|setting| setting.kind == Kind::Plain);
        let given = plain.filter_map(|setting| Some((setting.variable, matches.get_one::<String>(setting.variable)?)));
        Ok(Self(given.map(|(variable, value)| (variable, value.clone())).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// One fault a line, each with its path in the file.
pub(super) fn corps_file_faults(error: &CorpsFileError) -> Faults {
    const FILE: &str = "/etc/wxkf-gateway/corps.json";
    const CONTENT: &str = r#"{"corps":{"ww…":{"credentials":[{"token":"…","encodingAESKey":"…"}]}}}"#;
    match error {
        CorpsFileError::Invalid { faults, .. } => {
            let fault = |(path, rule): (&str, &str)| Fault {
                name: "CORPS_FILE".to_owned(),
                // A key of the file may hold a line break.
                fault: format!("{path} {rule}").trim().replace(char::is_control, " "),
                example: format!("{FILE}, which holds {CONTENT}"),
            };
            Faults(faults.iter().map(fault).collect())
        }
        unreadable @ CorpsFileError::Unreadable { .. } => Faults::one("CORPS_FILE", unreadable.to_string(), FILE),
    }
}

fn flag(setting: &'static Setting) -> Option<Arg> {
    let flag = setting.flag()?;
    let arg = Arg::new(setting.variable).long(flag).help_heading(setting.group).help(help(setting));
    Some(arg.value_name(setting.variable).next_line_help(true).allow_hyphen_values(true))
}

fn help(setting: &Setting) -> String {
    let default = match setting.absent {
        // With spaces, so that a long list can be wrapped.
        Absent::Value(text) => text.replace(',', ", "),
        Absent::Unset(text) => text.replace('`', ""),
    };
    format!("{}\n[default: {default}]", setting.help.trim())
}

/// Hides all settings but these, for commands that need only a few; the others are still taken, so that
/// one set of flags fits every command.
pub(super) fn only(variables: &'static [&'static str]) -> impl Fn(Arg) -> Arg {
    move |arg| {
        let hidden =
            SETTINGS.iter().any(|setting| arg.get_id() == setting.variable && !variables.contains(&setting.variable));
        arg.hide(hidden)
    }
}

/// What the flags do not show: how else settings are given, and the secrets.
pub(super) fn help_footer() -> String {
    let mut text = String::from("Secrets, by environment only (or NAME_FILE, a file that holds the secret):\n");
    for setting in SETTINGS.iter().filter(|setting| setting.kind == Kind::Secret) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {}\n          {}", setting.variable, help(setting).replace('\n', "\n          "));
    }
    text.push_str(
        "\nA flag goes before its variable; an empty value counts as unset. \
         Durations have units: 500ms, 2s, 9m45s, 24h.\n\
         Exit codes: 0 success, 1 failure, 2 wrong command line, 78 wrong settings.",
    );
    text
}
