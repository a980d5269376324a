//! What is wrong with the settings, and what is only worth a warning. Neither ever shows a secret.

use std::fmt;

/// One wrong setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// As the user gave it: `PORT`, `--port`, `MASTER_KEY_FILE`.
    pub name: String,
    pub fault: String,
    pub example: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, fault, example } = self;
        write!(f, "{name}: {fault} (example: {name}={example})")
    }
}

/// All wrong settings: the start ends with exit code 78.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    /// For what only shows later than at loading, such as the content of `CORPS_FILE`.
    pub fn one(name: &str, fault: impl Into<String>, example: &str) -> Self {
        Self(vec![Fault { name: name.to_owned(), fault: fault.into(), example: example.to_owned() }])
    }
}

/// One line a fault.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{fault}")?;
        }
        Ok(())
    }
}

/// A setting that works but may not be what was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    pub name: String,
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.text)
    }
}
