//! The shapes of the wire's types, each written once: records, tuples and variants.

/// The name that something has on the wire: the literal where one is given, else its own.
macro_rules! wire_name {
    ($name:ident) => {
        stringify!($name)
    };
    ($name:ident $wire:literal) => {
        $wire
    };
}

/// serde's way in, through `Value` and `Decode`.
macro_rules! deserialize_by_decoding {
    ($type:ty) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value = <$crate::interface::Value as serde::Deserialize>::deserialize(deserializer)?;
                $crate::interface::Decode::decode(&value).map_err(serde::de::Error::custom)
            }
        }
    };
}

/// Writes what is bound to the names given as a dictionary, without the options that are none.
macro_rules! encode_fields {
    ($serializer:ident, $record:expr, $($field:ident $($wire:literal)?),+) => {{
        let mut fields = serde::Serializer::serialize_struct($serializer, $record, [$(stringify!($field)),+].len())?;
        $(if !$crate::interface::decode::Field::is_omitted($field) {
            serde::ser::SerializeStruct::serialize_field(&mut fields, wire_name!($field $($wire)?), $field)?;
        })+
        serde::ser::SerializeStruct::end(fields)
    }};
}

/// One field out of a dictionary, with its default if it has one.
macro_rules! decode_field {
    ($fields:ident, $wire:expr) => {
        $fields.required($wire)?
    };
    ($fields:ident, $wire:expr, $default:expr) => {
        $fields.defaulted($wire, || $default)
    };
}

/// A record: a struct here, a dictionary on the wire. The literal after its name is upstream's name,
/// which stands in error texts; one after a field is the key, where it is not the field's name.
/// A field with `= default` takes it on any failure.
macro_rules! record {
    ($(#[$meta:meta])* pub struct $type:ident $record:literal {
        $($(#[$doc:meta])* pub $field:ident $($wire:literal)? : $ty:ty $(= $default:expr)?),+ $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $type {
            $($(#[$doc])* pub $field: $ty),+
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let Self { $($field),+ } = self;
                encode_fields!(serializer, $record, $($field $($wire)?),+)
            }
        }

        impl $crate::interface::Decode for $type {
            fn decode(value: &$crate::interface::Value) -> Result<Self, $crate::interface::Malformed> {
                let fields = $crate::interface::decode::Fields::of(value, $record)?;
                Ok(Self { $($field: decode_field!(fields, wire_name!($field $($wire)?) $(, $default)?)),+ })
            }
        }

        deserialize_by_decoding!($type);
    };
}

/// A tuple: a struct here, a sequence of fixed length on the wire.
macro_rules! tuple {
    ($(#[$meta:meta])* pub struct $type:ident($($(#[$doc:meta])* pub $field:ident : $ty:ty),+ $(,)?)) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $type {
            $($(#[$doc])* pub $field: $ty),+
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                ($(&self.$field),+).serialize(serializer)
            }
        }

        impl $crate::interface::Decode for $type {
            fn decode(value: &$crate::interface::Value) -> Result<Self, $crate::interface::Malformed> {
                let ($($field),+) = $crate::interface::Decode::decode(value)?;
                Ok(Self { $($field),+ })
            }
        }

        deserialize_by_decoding!($type);
    };
}

/// A variant's payload on its way out: none, values in a row, or a record of its own.
macro_rules! encode_payload {
    ($serializer:ident, $tag:expr) => {
        $serializer.serialize_str($tag)
    };
    ($serializer:ident, $tag:expr, ($($arg:ident),+)) => {
        // A payload that is null collapses into the bare tag.
        if matches!([$($crate::interface::Decode::is_null($arg)),+].as_slice(), [true]) {
            $serializer.serialize_str($tag)
        } else {
            serde::Serialize::serialize(&($tag, ($($arg),+)), $serializer)
        }
    };
    ($serializer:ident, $tag:expr, { $($field:ident $($wire:literal)? : $ty:ty),+ }) => {{
        struct Payload<'a> {
            $($field: &'a $ty),+
        }
        impl serde::Serialize for Payload<'_> {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let Self { $($field),+ } = *self;
                encode_fields!(serializer, $tag, $($field $($wire)?),+)
            }
        }
        serde::Serialize::serialize(&($tag, Payload { $($field),+ }), $serializer)
    }};
}

/// A variant's payload on its way in.
macro_rules! decode_payload {
    ($variant:path, $tag:expr, $payload:ident) => {{
        <() as $crate::interface::Decode>::decode($payload)?;
        $variant
    }};
    ($variant:path, $tag:expr, $payload:ident, ($($arg:ident),+)) => {{
        let ($($arg),+) = $crate::interface::Decode::decode($payload)?;
        $variant($($arg),+)
    }};
    ($variant:path, $tag:expr, $payload:ident, { $($field:ident $($wire:literal)? $(= $default:expr)?),+ }) => {{
        let fields = $crate::interface::decode::Fields::of($payload, $tag)?;
        $variant { $($field: decode_field!(fields, wire_name!($field $($wire)?) $(, $default)?)),+ }
    }};
}

/// A variant: an enum here, `"Tag"` or `["Tag", payload]` on the wire. A payload in parentheses is a value
/// or a row of them, one in braces a record. `default` names what an unknown tag stands for.
macro_rules! variant {
    ($(#[$meta:meta])* pub enum $type:ident $(default $fallback:ident)? {
        $($(#[$doc:meta])* $tag:ident $($wire:literal)?
            $(($($arg:ident : $arg_ty:ty),+))?
            $({ $($(#[$field_doc:meta])* $field:ident $($key:literal)? : $ty:ty $(= $default:expr)?),+ $(,)? })?
        ),+ $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub enum $type {
            $($(#[$doc])* $tag $(($($arg_ty),+))? $({ $($(#[$field_doc])* $field: $ty),+ })?),+
        }

        impl serde::Serialize for $type {
            #[allow(unused_parens, reason = "one value needs none, a row of them does")]
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Self::$tag $(($($arg),+))? $({ $($field),+ })? => encode_payload!(
                        serializer, wire_name!($tag $($wire)?)
                        $(, ($($arg),+))? $(, { $($field $($key)? : $ty),+ })?
                    ),)+
                }
            }
        }

        impl $crate::interface::Decode for $type {
            #[allow(unused_parens, reason = "one value needs none, a row of them does")]
            fn decode(value: &$crate::interface::Value) -> Result<Self, $crate::interface::Malformed> {
                let (tag, payload) = $crate::interface::decode::tag_and_payload(value)?;
                $(if tag.eq_ignore_ascii_case(wire_name!($tag $($wire)?)) {
                    return Ok(decode_payload!(
                        Self::$tag, wire_name!($tag $($wire)?), payload
                        $(, ($($arg),+))? $(, { $($field $($key)? $(= $default)?),+ })?
                    ));
                })+
                None$(.or(Some(Self::$fallback)))?.ok_or_else(|| $crate::interface::Malformed::unknown_tag(tag))
            }
        }

        deserialize_by_decoding!($type);
    };
}

/// The record that an empty dictionary stands for.
macro_rules! every_field_has_a_default {
    ($type:ty) => {
        impl Default for $type {
            fn default() -> Self {
                $crate::interface::Decode::decode(&$crate::interface::Value::Dict(Vec::new()))
                    .expect("every field has a default")
            }
        }
    };
}
