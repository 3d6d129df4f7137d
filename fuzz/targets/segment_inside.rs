#![no_main]
//! See `src/hostile.rs`.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| colca::hostile::feed("segment-inside", bytes));
