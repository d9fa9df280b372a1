//! Virtual block devices.

use super::device_number::DeviceNumber;
use super::disk::Disk;
use super::pairs::Pairs;

/// The VM and the device's Linux name, such as `xvda`.
pub type Id = super::device_id::DeviceId;

record! {
    /// The configuration of a virtual block device.
    pub struct Vbd "t" {
        /// Its VM and name.
        pub id: Id = Id::default(),
        /// Where the guest sees it; chosen from the name where absent.
        pub position: Option<DeviceNumber> = None,
        /// Whether the guest may write.
        pub mode: Mode = Mode::ReadWrite,
        /// What is behind it; none for an empty CD drive.
        pub backend: Option<Disk> = None,
        /// What the guest takes it for.
        pub ty: Kind = Kind::Disk,
        /// Whether the guest can give it up while it runs.
        pub unpluggable: bool = true,
        /// Keys to write into the back end's xenstore directory.
        pub extra_backend_keys: Pairs = Pairs::default(),
        /// Keys to write where only dom0 reads.
        pub extra_private_keys: Pairs = Pairs::default(),
        /// I/O priority.
        pub qos: Option<Qos> = None,
        /// Whether writes outlive a reboot.
        pub persistent: bool = true,
        /// Whether it can be attached before the guest is paused during a migration.
        pub can_attach_early: bool = false,
    }
}

every_field_has_a_default!(Vbd);

record! {
    /// What a block device is doing.
    pub struct State "state" {
        /// Its VM wants it plugged.
        pub active: bool,
        /// It is in the domain.
        pub plugged: bool,
        /// The I/O priority in force.
        pub qos_target: Option<Qos>,
        /// What is behind it now.
        pub backend_present: Option<Disk>,
    }
}

variant! {
    /// Whether the guest may write.
    #[derive(Copy, Eq)]
    pub enum Mode {
        /// It may not.
        ReadOnly,
        /// It may.
        ReadWrite,
    }
}

variant! {
    /// What a guest takes a block device for.
    #[derive(Copy, Eq)]
    pub enum Kind {
        /// A drive with a medium that can be ejected.
        Cdrom "CDROM",
        /// A fixed disk.
        Disk,
        /// A floppy drive.
        Floppy,
    }
}

variant! {
    /// I/O priority of the back end's process.
    #[derive(Copy, Eq)]
    pub enum Qos {
        /// By Linux's I/O scheduler.
        Ionice(scheduler: Scheduler),
    }
}

variant! {
    /// A class of Linux's I/O scheduler.
    #[derive(Copy, Eq)]
    pub enum Scheduler {
        /// First served.
        RealTime(class: Class),
        /// Served when nobody else asks.
        Idle,
        /// Ordinary.
        BestEffort(class: Class),
    }
}

variant! {
    /// A priority within a class.
    #[derive(Copy, Eq)]
    pub enum Class {
        /// 0.
        Highest,
        /// 2.
        High,
        /// 4.
        Normal,
        /// 6.
        Low,
        /// 7.
        Lowest,
        /// As given.
        Other(level: i64),
    }
}

impl Qos {
    /// What `ionice` prints of a process: `best-effort: prio 4`, `idle`, `realtime: prio 0`.
    pub fn of_ionice(words: &str) -> Option<Qos> {
        let (class, rest) = words.trim().split_once(':').unwrap_or((words.trim(), ""));
        let priority = || rest.trim().strip_prefix("prio").and_then(|n| n.trim().parse().ok()).map(Class::of_number);
        Some(Qos::Ionice(match class {
            "idle" => Scheduler::Idle,
            "realtime" => Scheduler::RealTime(priority()?),
            "best-effort" => Scheduler::BestEffort(priority()?),
            _ => return None,
        }))
    }
}

impl Class {
    /// The class that upstream gives a name, else the number itself.
    fn of_number(number: i64) -> Class {
        match number {
            0 => Class::Highest,
            2 => Class::High,
            4 => Class::Normal,
            6 => Class::Low,
            7 => Class::Lowest,
            other => Class::Other(other),
        }
    }
}
