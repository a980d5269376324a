//! (the architecture page comes with the last room)
pub mod callback;
pub mod domain;
pub mod egress;
pub mod lifecycle;
pub mod simulator;
pub mod store;
