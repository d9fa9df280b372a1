//! Configuration files: any text.
#![cfg_attr(fuzzing, no_main)]

xenops_fuzz::target!(xl);
