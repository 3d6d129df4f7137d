//! What the benches share.
#![allow(dead_code, reason = "each bench uses its own part")]

pub mod data;
pub mod engines;
pub mod machine;
pub mod measure;
pub mod trees;
