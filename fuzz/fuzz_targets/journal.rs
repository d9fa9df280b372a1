//! Journals: whatever a disk gives back of one.
#![cfg_attr(fuzzing, no_main)]

xenops_fuzz::target!(journal);
