//! (the architecture page comes with the last room)
pub mod access_token;
pub mod domain;
pub mod egress;
pub mod lifecycle;
pub mod store;
pub mod wecom;
