#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cso_fuzz::run("record", bytes));
