//! What stands behind a virtual disk.

use std::fmt;

variant! {
    /// What stands behind a virtual disk.
    #[derive(Eq, PartialOrd, Ord, Hash)]
    pub enum Disk {
        /// A block device or file of this host.
        Local(path: String),
        /// A virtual disk image, `SR/VDI`, that the storage service attaches.
        Vdi "VDI" (name: String),
    }
}

impl fmt::Display for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Disk::Local(name) | Disk::Vdi(name)) = self;
        f.write_str(name)
    }
}
