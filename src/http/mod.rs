//! The HTTP kit that all `routes.rs` share.

pub mod audit;
pub mod auth;
pub mod body;
pub mod health;
pub mod problem;
