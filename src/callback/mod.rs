//! WeCom's callbacks.
pub mod crypto;
