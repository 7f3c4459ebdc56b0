//! One declaration per message: struct, default, encoder and decoder of every version come from it.
//!
//! ```text
//! messages! {
//!     /// Doc of the struct.
//!     request PourRequest: Pour => PourResponse {      // `request`, `response` or `part` (of a message)
//!         /// Doc of the field.
//!         basin: Text [..];                            // in all versions served
//!         depth_mm: i32 [3..] = -1;                    // from version 3 on; its default is not 0
//!         gate: Option<Text> [..] null [2..] = Some(Text::default());   // null only from version 2 on
//!         patience: i8 [4..] or refuse;                // set, but below version 4: an error, not a loss
//!         spill: Vec<i32> [5..=6] tag 0;               // a tagged field (KIP-482), in versions 5 and 6
//!     }
//! }
//! ```
//!
//! Fields lie on the wire in the order of the declaration, tagged ones after all others. Tags must ascend. An
//! `Option` is null by default and may be null in every version it is in, unless `null` says otherwise.

macro_rules! messages {
    ($(
        $(#[$about:meta])*
        $kind:ident $name:ident $(: $api:ident $(=> $response:ident)?)? {
            $(
                $(#[$doc:meta])*
                $field:ident: $type:ty [$($versions:tt)+] $(or $refuse:ident)? $(tag $tag:literal)?
                    $(null [$($null:tt)+])? $(= $default:expr)?;
            )+
        }
    )+) => {$(
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $($(#[$doc])* pub $field: $type,)+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: declare!(default $type $(, $default)?),)+ }
            }
        }

        impl $crate::Field for $name {
            fn write(
                &self,
                encoder: &mut $crate::Encoder,
                form: $crate::Form,
            ) -> Result<(), $crate::EncodeError> {
                $(
                    declare!(refused [$($refuse)?] {
                        if !declare!(within form, $($versions)+)
                            && self.$field != declare!(default $type $(, $default)?)
                        {
                            let (field, version) = (stringify!($field), form.version);
                            return Err($crate::EncodeError::NotInVersion { field, version });
                        }
                    });
                    declare!(plain [$($tag)?] {
                        if declare!(within form, $($versions)+) {
                            $(
                                if self.$field.is_none() && !declare!(within form, $($null)+) {
                                    return Err($crate::EncodeError::Null(stringify!($field)));
                                }
                            )?
                            $crate::Field::write(&self.$field, encoder, form)?;
                        }
                    });
                )+
                if form.flexible {
                    #[allow(unused_mut, reason = "not every struct has tagged fields")]
                    let mut tags = $crate::codec::Tags::default();
                    $(declare!(tagged [$($tag)?] {
                        if declare!(within form, $($versions)+)
                            && self.$field != declare!(default $type $(, $default)?)
                        {
                            let write = |encoder: &mut _| $crate::Field::write(&self.$field, encoder, form);
                            tags.add(declare!(tag [$($tag)?]), write)?;
                        }
                    });)+
                    tags.finish(encoder);
                }
                Ok(())
            }

            fn read(
                decoder: &mut $crate::Decoder,
                form: $crate::Form,
            ) -> Result<Self, $crate::DecodeError> {
                let mut message = Self::default();
                $(
                    declare!(plain [$($tag)?] {
                        if declare!(within form, $($versions)+) {
                            message.$field = $crate::Field::read(decoder, form)?;
                            $(
                                if message.$field.is_none() && !declare!(within form, $($null)+) {
                                    return Err($crate::DecodeError::Null);
                                }
                            )?
                        }
                    });
                )+
                if form.flexible {
                    #[allow(unused_variables, reason = "not every struct has tagged fields")]
                    decoder.tagged(|tag, decoder| {
                        $(declare!(tagged [$($tag)?] {
                            if tag == declare!(tag [$($tag)?]) && declare!(within form, $($versions)+) {
                                message.$field = $crate::Field::read(decoder, form)?;
                                return Ok(true);
                            }
                        });)+
                        Ok(false)
                    })?;
                }
                Ok(message)
            }

            fn len_min(form: $crate::Form) -> usize {
                let mut len = usize::from(form.flexible);
                $(
                    declare!(plain [$($tag)?] {
                        if declare!(within form, $($versions)+) {
                            len += <$type as $crate::Field>::len_min(form);
                        }
                    });
                )+
                len
            }
        }

        #[cfg(test)]
        impl $crate::tests::Sample for $name {
            fn sample(draw: &mut $crate::tests::Draw, form: $crate::Form) -> Self {
                let mut message = Self::default();
                $(
                    if declare!(within form, $($versions)+) && declare!(written form [$($tag)?]) {
                        message.$field = $crate::tests::Sample::sample(draw, form);
                        $(
                            if message.$field.is_none() && !declare!(within form, $($null)+) {
                                message.$field = Some(Default::default());
                            }
                        )?
                    }
                )+
                message
            }
        }

        declare!(message $kind $name $($api $($response)?)?);
    )+};
}

/// The small choices inside `messages!`.
macro_rules! declare {
    (default $type:ty) => { <$type>::default() };
    (default $type:ty, $default:expr) => { $default };

    (within $form:ident, $($versions:tt)+) => {
        std::ops::RangeBounds::<i16>::contains(&($($versions)+), &$form.version)
    };

    (plain [] { $($code:tt)* }) => { $($code)* };
    (plain [$tag:literal] { $($code:tt)* }) => {};

    (tagged [] { $($code:tt)* }) => {};
    (tagged [$tag:literal] { $($code:tt)* }) => { $($code)* };
    (tag [$tag:literal]) => { $tag };

    (refused [] { $($code:tt)* }) => {};
    (refused [refuse] { $($code:tt)* }) => { $($code)* };

    (written $form:ident []) => { true };
    (written $form:ident [$tag:literal]) => { $form.flexible };

    (message part $name:ident) => {};
    (message response $name:ident $api:ident) => {
        impl $crate::Message for $name {
            const API: $crate::kafka::ApiKey = $crate::kafka::ApiKey::$api;
        }
    };
    (message request $name:ident $api:ident $response:ident) => {
        declare!(message response $name $api);

        impl $crate::Request for $name {
            type Response = $response;
        }
    };
}
