//! Metadata: any records, and any import.
#![cfg_attr(fuzzing, no_main)]

xenops_fuzz::target!(metadata);
