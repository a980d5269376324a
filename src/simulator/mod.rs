//! The outside world on your desk: a WeCom, a bot, a service and a customer that keep the real ones' rules.
//!
//! They speak real HTTP on real sockets, so whatever passes here passes through the same code as
//! against the real ones. Faults happen only on request: a simulator that fails at random proves
//! nothing twice. All chance comes from a seed and all time from a [`Clock`], so that a script can be
//! repeated and three days can pass at once.
//!
//! [`Clock`]: crate::domain::Clock

pub mod bot;
pub mod customer;
mod journal;
pub mod load;
mod port;
pub mod service;
pub mod wecom;

pub use customer::Customer;
pub use journal::{Entry, Journal};
