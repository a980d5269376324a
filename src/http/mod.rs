//! The HTTP kit that all `routes.rs` share.

pub mod audit;
pub mod auth;
pub mod body;
pub mod health;
pub mod problem;
pub mod slowing;

/// Says what the metrics of doors and record mean.
pub fn describe_metrics() {
    audit::describe_metrics();
    auth::describe_metrics();
}
