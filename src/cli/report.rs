//! The only writer to the terminal: data to stdout, talk to stderr, colours where the terminal has
//! them. A closed pipe is no failure: whoever reads has seen enough.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _, stderr};

use anstyle::{AnsiColor, Style};

pub(super) const RED: Style = AnsiColor::Red.on_default().bold();
pub(super) const CYAN: Style = AnsiColor::Cyan.on_default().bold();
pub(super) const GREEN: Style = AnsiColor::Green.on_default();
pub(super) const BOLD: Style = Style::new().bold();
pub(super) const DIM: Style = Style::new().dimmed();

/// A line of what the command was asked for.
pub fn data(line: impl Display) {
    let _ = writeln!(anstream::stdout(), "{line}");
}

/// What is of use as a whole only: that it cannot be written is a failure.
pub fn document(text: &str) -> io::Result<()> {
    match writeln!(anstream::stdout(), "{text}").and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// A line for the person at the terminal.
pub fn note(line: impl Display) {
    let _ = writeln!(anstream::stderr(), "{line}");
}

/// A line that the next one replaces, for the person at the terminal; nothing where there is none. It
/// must be shorter than the terminal is wide, or each would leave a line behind.
pub fn progress(line: impl Display) {
    if stderr().is_terminal() {
        let _ = write!(anstream::stderr(), "\r{line}\x1b[K");
        let _ = stderr().flush();
    }
}

/// What went wrong.
pub fn error(text: impl Display) {
    note(format_args!("{RED}error:{RED:#} {text}"));
}

/// What to do about it.
pub fn hint(text: impl Display) {
    note(format_args!("{CYAN}hint:{CYAN:#} {text}"));
}
