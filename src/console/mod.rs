//! `/console`: what operators look at and change with a browser. Pages are rendered here, whole; plain
//! forms change things, by the same [`crate::admin::Desk`] as the admin API; a small script of ours
//! refreshes what moves.
//!
//! The one decision a reader would question: there is no client-side application. A page that a server
//! writes works in any browser, under any path prefix and a policy that allows no inline script, and what
//! it shows was true when it was asked.

mod chart;
pub mod files;
mod form;
mod moment;
mod origin;
pub mod pages;
pub mod session;
mod shell;
mod stream;
mod text;

pub use shell::dress;
