use bytes::Bytes;
use forebay_base::{Id128, Rng, SeededRng};

use crate::{Form, Payload, Text};

/// Draws random values of messages. Equal seeds give equal values.
pub(crate) struct Draw(SeededRng);

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        Self(SeededRng::new(seed))
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.bits() % end as u64) as usize
    }
}

/// A type of which random values can be drawn, such as a message of this form can carry.
pub(crate) trait Sample: Sized {
    fn sample(draw: &mut Draw, form: Form) -> Self;
}

macro_rules! numbers {
    ($($type:ident),*) => {$(
        impl Sample for $type {
            /// Edges of the range more often than their share.
            fn sample(draw: &mut Draw, _: Form) -> Self {
                match draw.below(6) {
                    0 => 0,
                    1 => -1,
                    2 => $type::MAX,
                    3 => $type::MIN,
                    _ => draw.bits() as $type,
                }
            }
        }
    )*};
}

numbers!(i8, i16, i32, i64);

impl Sample for bool {
    fn sample(draw: &mut Draw, _: Form) -> Self {
        draw.below(2) == 0
    }
}

impl Sample for Id128 {
    fn sample(draw: &mut Draw, _: Form) -> Self {
        Id128((u128::from(draw.bits()) << 64 | u128::from(draw.bits())).to_be_bytes())
    }
}

impl Sample for Text {
    fn sample(draw: &mut Draw, _: Form) -> Self {
        // Now and then longer than one byte of a compact length can say.
        let len = if draw.below(8) == 0 { 100 + draw.below(200) } else { draw.below(12) };
        let text: String = (0..len).map(|_| ['a', 'Z', '.', '\0', 'ß', '水', '🦀'][draw.below(7)]).collect();
        text.into()
    }
}

impl Sample for Bytes {
    fn sample(draw: &mut Draw, _: Form) -> Self {
        // Now and then long enough to be passed on uncopied.
        let len = if draw.below(8) == 0 { 1000 + draw.below(3000) } else { draw.below(40) };
        (0..len).map(|_| draw.bits() as u8).collect()
    }
}

impl Sample for Payload {
    fn sample(draw: &mut Draw, form: Form) -> Self {
        Bytes::sample(draw, form).into()
    }
}

impl<T: Sample> Sample for Vec<T> {
    fn sample(draw: &mut Draw, form: Form) -> Self {
        (0..draw.below(4)).map(|_| T::sample(draw, form)).collect()
    }
}

impl<T: Sample> Sample for Option<T> {
    fn sample(draw: &mut Draw, form: Form) -> Self {
        (draw.below(4) > 0).then(|| T::sample(draw, form))
    }
}
