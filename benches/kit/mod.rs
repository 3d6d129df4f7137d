//! What the benches share.

pub mod data;
pub mod machine;
pub mod measure;
pub mod trees;
