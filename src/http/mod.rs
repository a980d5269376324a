//! The HTTP kit that all `routes.rs` share.

pub mod audit;
pub mod auth;
pub mod body;
pub mod health;
pub mod meters;
pub mod problem;
pub mod routes;
pub mod slowing;
pub mod trace;
