//! JSON-RPC: any text as a call and as an answer.
#![cfg_attr(fuzzing, no_main)]

xenops_fuzz::target!(json);
