//! A suspend image as a host handles it: records of the container format, appended, read, made durable.

use serde::{Deserialize, Serialize};

/// What a stream is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ImageMode {
    /// To be written from the beginning; what was there is gone.
    Save,
    /// To be read.
    Restore,
}

/// A record of the container, by upstream's names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ImageRecord {
    /// The text `XenSavedDomv2-\n`.
    Signature,
    /// 0x000f: who wrote it and when, as an S-expression.
    Xenops(String),
    /// 0x00f0: libxenguest's own stream follows; the helper reads or writes it.
    Libxc,
    /// 0x0f00: QEMU's state, kept in the host's file for that domain.
    QemuTrad,
    /// 0xffff: nothing follows.
    EndOfImage,
}
