//! Other services of a corp's app: contact changes, approvals, messages and whatever else reaches the
//! one callback URL beside customer service.
//!
//! What is here are plain functions over an event's XML: which services take it, in which form, and
//! signed how.

pub mod filter;
pub mod format;
pub mod signature;
