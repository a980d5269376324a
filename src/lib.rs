//! (the architecture page comes with the last room)
pub mod domain;
pub mod egress;
pub mod lifecycle;
pub mod store;
