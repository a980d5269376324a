//! The token cache's back ends: one suite for all, and what only a shared one promises.
//!
//! The modules named `redis` start real servers (`redis-server` of the distribution) and are ignored
//! where nobody asks for them.

mod conformance;
mod memory;
mod redis;
mod samples;
