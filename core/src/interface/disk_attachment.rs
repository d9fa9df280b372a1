//! What the storage service made of a virtual disk image that it attached.

use super::pairs::Pairs;

record! {
    /// A disk between attach and activate.
    #[derive(Eq)]
    pub struct AttachedVdi "attached_vdi" {
        /// The domain of the storage back end.
        pub domid: i64,
        /// How to reach the disk.
        pub attach_info: Attachment,
    }
}

record! {
    /// How to reach an attached disk.
    #[derive(Eq)]
    pub struct Attachment "backend" {
        /// The ways there are, all to the same data.
        pub implementations: Vec<Implementation>,
    }
}

variant! {
    /// A way to reach an attached disk.
    #[derive(Eq)]
    pub enum Implementation {
        /// Through a Xen block back end.
        XenDisk {
            /// The back end's `params` key.
            params: String,
            /// Further keys of the back end.
            extra: Pairs,
            /// Such as `vbd3`.
            backend_type: String,
        },
        /// As a block device.
        BlockDevice {
            /// Its path.
            path: String,
        },
        /// As a file.
        File {
            /// Its path.
            path: String,
        },
        /// Over NBD.
        Nbd {
            /// `nbd:unix:SOCKET:exportname=NAME`.
            uri: String,
        },
    }
}
