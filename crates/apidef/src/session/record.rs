//! How records are read and written: every field optional on the way in, left out when zero on the way out.

use serde::{Deserialize, Deserializer};

pub(super) fn null_is_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    input: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(input)?.unwrap_or_default())
}

pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A stored record: every field optional on the way in, left out when zero on the way out.
macro_rules! record {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        pub struct $name {
            $(
                $(#[$field_doc])*
                #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_default")]
                pub $field: $type,
            )*
            /// Keys that nothing here acts on, kept as they came.
            #[serde(flatten)]
            pub other: Map<String, Value>,
        }
    };
}

pub(super) use record;
