//! The two shapes of the wire's types, records and variants, each written once.
