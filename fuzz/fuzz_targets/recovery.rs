//! See `forebay_fuzz::recovery`.

#![no_main]

libfuzzer_sys::fuzz_target!(|case: forebay_fuzz::recovery::Case| forebay_fuzz::recovery::check(&case));
