/// A value that proves itself: the number, and `padding` bytes that follow from it.
pub fn numbered_value(number: u64, padding: usize) -> Vec<u8> {
    let mut value = number.to_be_bytes().to_vec();
    let mut state = number ^ 0x9E37_79B9_7F4A_7C15;
    value.extend((0..padding).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    }));
    value
}

/// The number of such a value, if every byte of it is right.
pub fn number_of(value: &[u8]) -> Option<u64> {
    let number = u64::from_be_bytes(value.get(..8)?.try_into().ok()?);
    (numbered_value(number, value.len() - 8) == value).then_some(number)
}
