//! What every fuzz target runs, callable from a plain test that replays the corpora.
