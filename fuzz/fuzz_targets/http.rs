//! HTTP and frames: any bytes on a connection.
#![cfg_attr(fuzzing, no_main)]

xenops_fuzz::target!(http);
