//! Upstream's table of device numbers, and what holds for all of them.

use super::*;
use proptest::prelude::*;

/// Number, a name, key.
const TABLE: [(Bus, u32, u32, &str, u32); 21] = [
    (Bus::Xen, 0, 0, "xvda", 51712),
    (Bus::Xen, 0, 1, "xvda1", 51713),
    (Bus::Xen, 15, 0, "xvdp", 51952),
    (Bus::Xen, 16, 0, "xvdq", 268439552),
    (Bus::Xen, 26, 0, "xvdaa", 268442112),
    (Bus::Xen, 26, 3, "d26p3", 268442115),
    (Bus::Xen, 536, 37, "d536p37", 268572709),
    (Bus::Xen, 536, 37, "xvdtq37", 268572709),
    (Bus::Xen, 1048575, 0, "xvdbgqcv", 536870656),
    (Bus::Scsi, 0, 0, "sda", 2048),
    (Bus::Scsi, 1, 3, "sdb3", 2067),
    (Bus::Ide, 0, 0, "hda", 768),
    (Bus::Ide, 0, 1, "hda1", 769),
    (Bus::Ide, 1, 0, "hdb", 832),
    (Bus::Ide, 2, 0, "hdc", 5632),
    (Bus::Ide, 2, 2, "hdc2", 5634),
    (Bus::Ide, 3, 0, "hdd", 5696),
    (Bus::Ide, 4, 0, "hde", 8448),
    (Bus::Ide, 8, 0, "hdi", 14336),
    (Bus::Ide, 15, 0, "hdp", 22848),
    (Bus::Floppy, 0, 0, "fda", 51968),
];

#[test]
fn upstreams_table() {
    for (bus, disk, partition, name, key) in TABLE {
        let number = DeviceNumber { bus, disk, partition };
        assert_eq!(DeviceNumber::of_linux_name(name), Some(number), "{name}");
        assert_eq!(number.xenstore_key(), Some(key), "{name}");
        assert_eq!(DeviceNumber::of_xenstore_key(key), Some(number), "{name}");
        if !name.starts_with('d') {
            assert_eq!(number.linux_name(), upgrade_linux_name(name));
        }
    }
}

#[test]
fn names_are_not_range_checked_but_keys_must_exist() {
    let key = |name| DeviceNumber::of_linux_name(name).unwrap().xenstore_key();
    assert_eq!(key("xvda16"), Some(51728));
    assert_eq!(key("hdu"), None);
    assert_eq!(DeviceNumber::new(Bus::Ide, 20, 0), None);
    assert_eq!(DeviceNumber::new(Bus::Floppy, 0, 1), None);
    assert_eq!(DeviceNumber::of_xenstore_key(9 << 8), None);
}

#[test]
fn what_is_no_name() {
    for name in
        ["", "xvd", "xvd1", "xvdA", "xvda1x", "d", "d5p", "dp1", "d+5", "xvda-1", "sd", "nbd0", "xvda99999999999"]
    {
        assert_eq!(DeviceNumber::of_linux_name(name), None, "{name}");
    }
}

#[test]
fn clients_may_give_numbers() {
    let number = |bus, disk| Some(DeviceNumber { bus, disk, partition: 0 });
    for (hvm, text, expected) in [
        (false, "0", number(Bus::Xen, 0)),
        (true, "0", number(Bus::Ide, 0)),
        (true, "3", number(Bus::Ide, 3)),
        (true, "4", number(Bus::Xen, 4)),
        (true, "0x10", number(Bus::Xen, 16)),
        (false, "0b11", number(Bus::Xen, 3)),
        (false, "1_0", number(Bus::Xen, 10)),
        (true, "hdc", number(Bus::Ide, 2)),
        (true, "xvdc", number(Bus::Xen, 2)),
        (false, "-1", None),
        (false, "1048576", None),
    ] {
        assert_eq!(DeviceNumber::of_string(hvm, text), expected, "{text}");
    }
}

#[test]
fn the_text_for_logs() {
    assert_eq!(DeviceNumber { bus: Bus::Xen, disk: 26, partition: 0 }.to_string(), "Xen(26, 0)");
}

proptest! {
    #[test]
    fn what_exists_has_a_key_and_a_name(bus in 0..4usize, disk in 0..1u32 << 20, partition in 0..64u32) {
        let bus = [Bus::Xen, Bus::Scsi, Bus::Floppy, Bus::Ide][bus];
        let disk = if bus == Bus::Xen { disk } else { disk % 20 };
        if let Some(number) = DeviceNumber::new(bus, disk, partition) {
            let key = number.xenstore_key().unwrap();
            prop_assert_eq!(DeviceNumber::of_xenstore_key(key), Some(number));
            let renamed = if bus == Bus::Ide { Bus::Xen } else { bus };
            prop_assert_eq!(
                DeviceNumber::of_linux_name(&number.linux_name()),
                Some(DeviceNumber { bus: renamed, ..number })
            );
        }
    }

    #[test]
    fn nothing_is_too_strange(bus in 0..4usize, disk: u32, partition: u32, key: u32, text in "[xsfhvd]{0,3}[a-z]{0,9}[0-9]{0,12}.?") {
        let number = DeviceNumber { bus: [Bus::Xen, Bus::Scsi, Bus::Floppy, Bus::Ide][bus], disk, partition };
        number.xenstore_key();
        prop_assert_eq!(DeviceNumber::of_linux_name(&number.linux_name()).map(|n| n.disk), Some(disk));
        DeviceNumber::of_xenstore_key(key);
        DeviceNumber::of_string(true, &text);
    }
}
