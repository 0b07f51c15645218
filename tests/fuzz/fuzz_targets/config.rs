#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| exorelay_fuzz::run("config", octets));
