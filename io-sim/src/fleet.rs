//! The VMs of a run: their configurations, and under which of its names each goes.

use crate::world::{Choices, Concern};
use xenops_core::host::Uuid;
use xenops_core::interface::device_number::{Bus, DeviceNumber};
use xenops_core::interface::vbd::{Class, Kind, Mode, Qos, Scheduler};
use xenops_core::interface::vm::{
    Action, BuilderInfo, HvmInfo, Priority, PvBoot, PvDirectBoot, PvIndirectBoot, PvInfo, SchedulerParams,
};
use xenops_core::interface::{DeviceId, Disk, Metadata, Network, Pairs, Vbd, Vif, Vm, vif};

/// A disk that several VMs have.
pub const SHARED: &str = "sr/shared";

/// A VM that is there and of which nothing is ever asked.
pub const BYSTANDER: Uuid = Uuid(*b"\x5e\xed\0\0\0\0\x40\0\x80\0\0\0\0\0\xff\x0a");

/// Kinds of guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guest {
    /// A kernel of the host, paravirtualised.
    Pv,
    /// A kernel on the guest's disk, taken out by a boot loader.
    PvBootloader,
    /// Paravirtualised within a PVH shim.
    PvInPvh,
    /// PVH.
    Pvh,
    /// With a device model.
    Hvm,
}

const GUESTS: [Guest; 5] = [Guest::Pv, Guest::Pvh, Guest::Hvm, Guest::PvBootloader, Guest::PvInPvh];

/// A disk of a VM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskShape {
    /// Its name in the guest.
    pub device: &'static str,
    /// What is behind it; none is an empty drive.
    pub backend: Option<Disk>,
    /// It can be written.
    pub writable: bool,
    /// It is a drive for media.
    pub drive: bool,
    /// What is written outlives a reboot.
    pub persistent: bool,
    /// With an I/O priority.
    pub prioritised: bool,
    /// It is there from the start; others are added by the way.
    pub first: bool,
}

/// A VM as its run has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Its identity, and the one that it may be renamed to.
    pub ids: [Uuid; 2],
    /// What it is.
    pub guest: Guest,
    /// Its disks.
    pub disks: Vec<DiskShape>,
    /// How many network interfaces it has, and how many of them from the start.
    pub nics: (u32, u32),
    /// MiB: most, and what it gets.
    pub memory: (i64, i64),
    /// vCPUs: most, and from the start.
    pub vcpus: (i64, i64),
    /// When its guest crashes, shuts down, reboots.
    pub actions: [Vec<Action>; 3],
}

/// One of a few; the first is the ordinary one.
pub fn pick<T: Clone>(choices: &mut Choices, concern: Concern, of: &[T]) -> T {
    of[choices.choose(concern, of.len() as u32) as usize].clone()
}

/// The two identities of the VM in place `n`.
pub fn identities(n: u32) -> [Uuid; 2] {
    let id = |second: u8| {
        let mut bytes = *b"\x5e\xed\0\0\0\0\x40\0\x80\0\0\0\0\0\0\0";
        bytes[14] = n as u8 + 1;
        bytes[15] = second;
        Uuid(bytes)
    };
    [id(0xa), id(0xb)]
}

impl Shape {
    /// Draw one.
    pub fn draw(n: u32, choices: &mut Choices) -> Shape {
        let config = Concern::Config;
        let guest = pick(choices, config, &GUESTS);
        let on = |choices: &mut Choices, lists: &[&[Action]]| pick(choices, config, lists).to_vec();
        use Action::{Coredump, Pause, Shutdown, Start};
        let actions = [
            on(choices, &[&[Shutdown], &[Start], &[Pause], &[Coredump, Start], &[Coredump, Shutdown], &[]]),
            on(choices, &[&[Shutdown], &[Shutdown], &[Start], &[]]),
            on(choices, &[&[Start], &[Start], &[Shutdown], &[Pause]]),
        ];
        let vcpu_max = pick(choices, config, &[1, 2, 4]);
        let most = pick(choices, config, &[128, 256, 1024]);
        Shape {
            ids: identities(n),
            guest,
            disks: disks(n, guest, choices),
            nics: pick(choices, config, &[(1, 1), (2, 1), (2, 2), (1, 0)]),
            memory: (most, pick(choices, config, &[most, most / 2])),
            vcpus: (vcpu_max, pick(choices, config, &[vcpu_max, 1])),
            actions,
        }
    }

    /// Its row under this identity.
    pub fn vm(&self, id: Uuid) -> Vm {
        let [on_crash, on_shutdown, on_reboot] = self.actions.clone();
        Vm {
            id: id.text(),
            name: format!("vm{}", id.0[14]),
            ssidref: 0,
            xsdata: [("vm-data/role", "simulated")].into_iter().collect(),
            platformdata: Pairs::default(),
            bios_strings: Pairs::default(),
            ty: self.builder(),
            suppress_spurious_page_faults: false,
            machine_address_size: None,
            memory_static_max: self.memory.0 << 20,
            memory_dynamic_max: self.memory.0 << 20,
            memory_dynamic_min: self.memory.1 << 20,
            vcpu_max: self.vcpus.0,
            vcpus: self.vcpus.1,
            scheduler_params: SchedulerParams {
                priority: Some(Priority { weight: 256, cap: 0 }),
                affinity: vec![vec![0, 1]],
            },
            on_crash,
            on_shutdown,
            on_reboot,
            on_softreboot: vec![Action::Softreboot],
            pci_msitranslate: false,
            pci_power_mgmt: false,
            has_vendor_device: false,
            generation_id: None,
        }
    }

    fn builder(&self) -> BuilderInfo {
        let direct = || PvBoot::Direct(PvDirectBoot { kernel: "/boot/guest".to_owned(), ..PvDirectBoot::default() });
        let info = |boot| PvInfo {
            boot,
            framebuffer: false,
            framebuffer_ip: None,
            vncterm: false,
            vncterm_ip: None,
            pci_passthrough: false,
        };
        match self.guest {
            Guest::Pv => BuilderInfo::Pv(info(direct())),
            Guest::PvBootloader => BuilderInfo::Pv(info(PvBoot::Indirect(PvIndirectBoot {
                bootloader: "pygrub".to_owned(),
                devices: self.disks.iter().filter_map(|disk| disk.backend.clone()).take(1).collect(),
                ..PvIndirectBoot::default()
            }))),
            Guest::PvInPvh => BuilderInfo::PvInPvh(info(direct())),
            Guest::Pvh => BuilderInfo::Pvh(info(direct())),
            Guest::Hvm => BuilderInfo::Hvm(HvmInfo { boot_order: "cd".to_owned(), ..HvmInfo::default() }),
        }
    }

    /// Where its guest sees the disk of that name.
    pub fn number(&self, device: &str) -> Option<DeviceNumber> {
        let number = DeviceNumber::of_linux_name(device)?;
        if self.guest == Guest::Hvm { DeviceNumber::new(Bus::Ide, number.disk, 0) } else { Some(number) }
    }

    /// One of its disks under this identity.
    pub fn vbd(&self, id: Uuid, disk: &DiskShape) -> Vbd {
        Vbd {
            id: DeviceId::new(id.text(), disk.device),
            // By its number, and not by an old name, which an import makes a new one: a guest that QEMU serves has it emulated.
            position: self.number(disk.device).filter(|_| self.guest == Guest::Hvm),
            mode: if disk.writable { Mode::ReadWrite } else { Mode::ReadOnly },
            backend: disk.backend.clone(),
            ty: if disk.drive { Kind::Cdrom } else { Kind::Disk },
            qos: disk.prioritised.then_some(Qos::Ionice(Scheduler::BestEffort(Class::High))),
            persistent: disk.persistent,
            ..Vbd::default()
        }
    }

    /// One of its network interfaces under this identity.
    pub fn vif(&self, id: Uuid, nic: u32) -> Vif {
        Vif {
            id: DeviceId::new(id.text(), nic.to_string()),
            position: i64::from(nic),
            mac: String::new(),
            backend: Network::Local("xenbr0".to_owned()),
            locking_mode: vif::LockingMode::Unlocked,
            ..Vif::default()
        }
    }

    /// All of it as a text to import.
    pub fn metadata(&self, id: Uuid) -> String {
        let metadata = Metadata {
            vm: self.vm(id),
            vbds: self.disks.iter().filter(|disk| disk.first).map(|disk| self.vbd(id, disk)).collect(),
            vifs: (0..self.nics.1).map(|nic| self.vif(id, nic)).collect(),
            pcis: Vec::new(),
            vgpus: Vec::new(),
            vusbs: Vec::new(),
            domains: None,
        };
        serde_json::to_string(&metadata).expect("metadata is plain data")
    }

    /// Where it is suspended to.
    pub fn image(&self) -> Disk {
        Disk::Local(format!("/srv/suspend/{}", self.ids[0]))
    }

    /// Whether it goes by this name.
    pub fn is(&self, id: Uuid) -> bool {
        self.ids.contains(&id)
    }
}

fn disks(n: u32, guest: Guest, choices: &mut Choices) -> Vec<DiskShape> {
    let config = Concern::Config;
    let names = ["xvda", "xvdb", "xvdd"];
    let own = |slot: &str| {
        [
            Disk::Local(format!("/srv/vm{n}/{slot}.img")),
            Disk::Vdi(format!("sr/vm{n}-{slot}")),
            Disk::Local(format!("/dev/vg/vm{n}-{slot}")),
        ]
    };
    let count = pick(choices, config, &[1, 2, 3, 0]).max(u32::from(guest == Guest::PvBootloader));
    let mut disks = Vec::new();
    for (slot, device) in names.into_iter().enumerate() {
        let drive = slot == 2;
        let shared = slot == 1 && choices.odds(config, 3);
        let backend = if shared { Disk::Vdi(SHARED.to_owned()) } else { pick(choices, config, &own(device)) };
        disks.push(DiskShape {
            device,
            backend: if drive && choices.odds(config, 2) { None } else { Some(backend) },
            writable: !(drive || shared && choices.odds(config, 2)),
            drive,
            persistent: drive || !choices.odds(config, 4),
            prioritised: choices.odds(config, 5),
            first: (slot as u32) < count,
        });
    }
    disks
}
