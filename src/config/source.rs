//! Where settings come from: flags over variables over files. Tests fill a source instead of the
//! environment of the process, which all tests share.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;

use super::{Absent, Fault, Kind, SETTINGS, Setting, Warning};

/// No secret is longer; a longer file is a mistake (or `/dev/zero`).
const LONGEST_FILE: u64 = 64 * 1024;

/// Flags and variables as they were given. No `Debug`: the variables hold secrets.
#[derive(Clone, Default)]
pub struct Source {
    flags: HashMap<&'static str, String>,
    variables: HashMap<String, OsString>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").finish_non_exhaustive()
    }
}

impl Source {
    /// The environment of the process.
    pub fn process() -> Self {
        let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        Self { flags: HashMap::new(), variables: variables.collect() }
    }

    /// An environment for tests and for gateways inside of another program.
    pub fn of<N: Into<String>, V: Into<OsString>>(variables: impl IntoIterator<Item = (N, V)>) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { flags: HashMap::new(), variables }
    }

    /// Adds flags, by the variable each stands for.
    #[must_use]
    pub fn with_flags(mut self, flags: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        self.flags.extend(flags);
        self
    }

    /// The variable's value; an empty one counts as unset.
    pub(super) fn variable(&self, name: &str) -> Option<&OsString> {
        self.variables.get(name).filter(|value| !value.is_empty())
    }

    /// The given text of a setting that is no secret, unchecked: for whoever reports more faults of it.
    pub fn text(&self, variable: &str) -> Option<String> {
        let flag = self.flags.get(variable).filter(|text| !text.trim().is_empty()).cloned();
        flag.or_else(|| self.variable(variable)?.to_str().map(str::to_owned))
    }

    fn flag(&self, setting: &Setting) -> Option<Given> {
        let text = self.flags.get(setting.variable).filter(|text| !text.trim().is_empty())?;
        Some(Given { name: format!("--{}", setting.flag()?), text: text.trim().to_owned() })
    }
}

/// A value and the name it was given by.
struct Given {
    name: String,
    text: String,
}

/// Reads settings one after another and keeps everything that is wrong with them.
pub(super) struct Reader<'a> {
    source: &'a Source,
    pub(super) faults: Vec<Fault>,
    pub(super) warnings: Vec<Warning>,
    /// By which name each given setting was given, for faults found later.
    names: HashMap<&'static str, String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: &'a Source) -> Self {
        Self { source, faults: Vec::new(), warnings: Vec::new(), names: HashMap::new() }
    }

    /// A setting with a default value, which also stands in for a value at fault, so that the rules
    /// over several settings can still be checked. `None` only when the default itself were at fault.
    pub(super) fn required<T>(&mut self, variable: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let setting = setting(variable)?;
        let default = || match setting.absent {
            Absent::Value(text) => Some(Given { name: setting.variable.to_owned(), text: text.to_owned() }),
            Absent::Unset(_) => None,
        };
        let given = self.given(setting).ok().flatten();
        let value = given.and_then(|given| self.parse(setting, &given, &parse));
        value.or_else(|| self.parse(setting, &default()?, &parse))
    }

    /// A setting whose type says "not given" by its default, as it also does for a value at fault.
    pub(super) fn optional<T, F: From<T> + Default>(
        &mut self,
        variable: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<F> {
        let setting = setting(variable)?;
        let given = self.given(setting).ok().flatten();
        let value = given.and_then(|given| self.parse(setting, &given, parse));
        Some(value.map(F::from).unwrap_or_default())
    }

    pub(super) fn is_at_fault(&self, variable: &str) -> bool {
        self.faults.iter().any(|fault| Some(&fault.name) == self.names.get(variable))
    }

    /// Records a fault that shows only when settings are looked at together.
    pub(super) fn fault(&mut self, variable: &'static str, fault: String) {
        let name = self.names.get(variable).cloned().unwrap_or_else(|| variable.to_owned());
        let example = setting(variable).map_or_else(String::new, |setting| setting.example.to_owned());
        self.faults.push(Fault { name, fault, example });
    }

    pub(super) fn warn(&mut self, name: impl Into<String>, text: impl Into<String>) {
        self.warnings.push(Warning { name: name.into(), text: text.into() });
    }

    /// The variable's value unless Kubernetes put it there: a Service named `ops` injects
    /// `OPS_PORT=tcp://10.0.0.1:80` into every pod of its namespace.
    pub(super) fn variable(&mut self, name: &str) -> Option<&'a OsString> {
        let value = self.source.variable(name)?;
        if name.ends_with("_PORT") && value.to_string_lossy().starts_with("tcp://") {
            self.warn(name, "ignored: `tcp://…` is what Kubernetes injects for a Service of that name");
            return None;
        }
        Some(value)
    }

    fn parse<T>(
        &mut self,
        setting: &'static Setting,
        given: &Given,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.names.entry(setting.variable).or_insert_with(|| given.name.clone());
        parse(&given.text).or_else(|fault| self.reject(&given.name, fault, setting.example).ok_or(())).ok()
    }

    fn reject<T>(&mut self, name: &str, fault: impl Into<String>, example: &str) -> Option<T> {
        self.faults.push(Fault { name: name.to_owned(), fault: fault.into(), example: example.to_owned() });
        None
    }

    /// The value by flag, variable or file; an error is already recorded.
    fn given(&mut self, setting: &'static Setting) -> Result<Option<Given>, ()> {
        if let Some(given) = self.source.flag(setting) {
            return Ok(Some(given));
        }
        let value = self.variable(setting.variable);
        let file = setting.file_variable().and_then(|name| Some((self.source.variable(&name)?, name)));
        let name = file.as_ref().map_or(setting.variable, |(_, name)| name);
        if value.is_some() || file.is_some() {
            self.names.insert(setting.variable, name.to_owned());
        }
        match (value, file) {
            (Some(_), Some((_, name))) => {
                let fault = format!("set together with {}: keep one of the two", setting.variable);
                self.reject(&name, fault, &example_path(setting)).ok_or(())
            }
            (Some(value), None) => self.text(setting, value).map(Some).ok_or(()),
            (None, Some((path, name))) => self.file(setting, path, name).map(Some).ok_or(()),
            (None, None) => Ok(None),
        }
    }

    fn text(&mut self, setting: &Setting, value: &OsString) -> Option<Given> {
        let name = setting.variable.to_owned();
        match (value.to_str(), setting.kind) {
            (Some(text), Kind::Secret) => Some(Given { name, text: text.to_owned() }),
            (Some(text), Kind::Plain) => Some(Given { name, text: text.trim().to_owned() }),
            (None, _) => self.reject(&name, "is not UTF-8 text", setting.example),
        }
    }

    /// An empty file is a fault and not an unset secret: whoever mounts one wants to be protected.
    fn file(&mut self, setting: &Setting, path: &OsString, name: String) -> Option<Given> {
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(LONGEST_FILE + 1).read_to_end(&mut bytes));
        if let Err(error) = read {
            return self.reject(&name, format!("the file cannot be read: {error}"), &example_path(setting));
        }
        if bytes.len() as u64 > LONGEST_FILE {
            return self.reject(&name, "the file is larger than 64 KiB", &example_path(setting));
        }
        match String::from_utf8(bytes).map(|text| text.trim_end_matches(['\r', '\n']).to_owned()) {
            Ok(text) if text.is_empty() => self.reject(&name, "the file is empty", &example_path(setting)),
            Ok(text) => Some(Given { name, text }),
            Err(_) => self.reject(&name, "the file's content is not UTF-8 text", &example_path(setting)),
        }
    }
}

fn setting(variable: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.variable == variable)
}

fn example_path(setting: &Setting) -> String {
    format!("/run/secrets/{}", setting.variable.to_ascii_lowercase())
}
