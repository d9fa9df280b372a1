//! Rules of xenstored, by table.
