//! Virtual GPUs.

use super::pci;

/// The VM and the GPU's number, such as `0`.
pub type Id = super::device_id::DeviceId;

record! {
    /// The configuration of a virtual GPU.
    #[derive(Eq)]
    pub struct Vgpu "t" {
        /// Its VM and name.
        pub id: Id = Id::default(),
        /// Its place among the VM's GPUs.
        pub position: i64 = 0,
        /// The virtual function, where the card has them.
        pub virtual_pci_address: Option<pci::Address> = None,
        /// The card.
        pub physical_pci_address: pci::Address = pci::Address::default(),
        /// How it is made.
        pub implementation: Implementation = Implementation::Empty,
    }
}

every_field_has_a_default!(Vgpu);

impl Vgpu {
    /// The same, with the card's address where old clients put it taken to where it belongs now.
    pub fn upgraded(mut self) -> Vgpu {
        let old = match &mut self.implementation {
            Implementation::GvtG { physical_pci_address: old, .. }
            | Implementation::Nvidia { physical_pci_address: old, .. }
            | Implementation::MxGpu { physical_function: old, .. } => old.take(),
            Implementation::Empty => None,
        };
        self.physical_pci_address = old.unwrap_or(self.physical_pci_address);
        self
    }
}

record! {
    /// What a virtual GPU is doing.
    #[derive(Copy, Eq)]
    pub struct State "state" {
        /// Its VM wants it.
        pub active: bool,
        /// It is in the domain.
        pub plugged: bool,
        /// The process that emulates it.
        pub emulator_pid: Option<i64>,
    }
}

variant! {
    /// How a virtual GPU is made.
    #[derive(Eq)]
    pub enum Implementation default Empty {
        /// Intel's mediated pass-through.
        GvtG "GVT_g" {
            /// Where old clients put the card's address.
            physical_pci_address: Option<pci::Address>,
            /// MiB.
            low_gm_sz: i64,
            /// MiB.
            high_gm_sz: i64,
            /// Fence registers.
            fence_sz: i64,
            /// Path.
            monitor_config_file: Option<String>,
        },
        /// Nvidia's vGPU.
        Nvidia {
            /// Where old clients put the card's address.
            physical_pci_address: Option<pci::Address>,
            /// Path.
            config_file: Option<String>,
            /// Where the guest sees it.
            virtual_pci_address: pci::Address = pci::Address { dev: 11, ..Default::default() },
            /// The type's number.
            type_id: Option<String>,
            /// The instance's UUID.
            uuid: Option<String>,
            /// The type's class.
            vclass: Option<String>,
            /// Passed on to the emulator.
            extra_args: String = String::new(),
        },
        /// AMD's.
        MxGpu "MxGPU" {
            /// Where old clients put the card's address.
            physical_function: Option<pci::Address>,
            /// Virtual functions on a card.
            vgpus_per_pgpu: i64,
            /// Bytes.
            framebufferbytes: i64,
        },
        /// None.
        Empty,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_address_overrides_the_new() {
        let (old, new) = (pci::Address { bus: 1, ..Default::default() }, pci::Address { bus: 2, ..Default::default() });
        for physical_function in [Some(old), None] {
            let implementation =
                Implementation::MxGpu { physical_function, vgpus_per_pgpu: 4, framebufferbytes: 1 << 30 };
            let vgpu = Vgpu { physical_pci_address: new, implementation, ..Vgpu::default() }.upgraded();
            assert_eq!(vgpu.physical_pci_address, physical_function.unwrap_or(new));
            assert_eq!(vgpu.clone().upgraded(), vgpu);
        }
    }
}
