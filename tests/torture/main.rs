//! Power cuts and bad disks, on real file systems over real block devices: a
//! small guest with the kernel of the image and the program that ships, killed
//! at random moments. `make torture` does a hundred cuts, `make test` a few.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../harness/mod.rs"]
mod harness;

mod bad_disks;
mod guest;
mod power;
