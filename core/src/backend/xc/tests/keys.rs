//! What stands in xenstore, and who may read it, against real guests of the same kind.

use super::world::World;
use super::*;
use crate::host::{Access, Perms};

/// `n0,r7` and the like.
fn words(perms: &Perms) -> String {
    let letter = |access: &Access| match access {
        Access::None => 'n',
        Access::Read => 'r',
        Access::Write => 'w',
        Access::Both => 'b',
    };
    let mut words = format!("{}{}", letter(&perms.others), perms.owner);
    for (domid, access) in &perms.acl {
        words += &format!(",{}{domid}", letter(access));
    }
    words
}

/// Each line: path, value, permissions, as a store shows them; `*` stands for any value.
fn assert_holds(world: &World, root: &str, dump: &str) {
    for line in dump.trim().lines() {
        let (path, rest) = line.trim().split_once(" = ").unwrap();
        let (value, perms) = rest.rsplit_once(' ').unwrap();
        let path = if path == "." { root.to_owned() } else { format!("{root}/{path}") };
        let (found, its) = (world.get(&path), world.perms.get(&path).map(words));
        let value = value.trim_matches('"');
        assert!(value == "*" || found == Some(value), "{path}: {found:?} is not {value:?}");
        assert!(found.is_some(), "{path} is missing");
        assert_eq!(its.as_deref(), Some(perms.trim_matches(['(', ')'])), "{path}");
    }
}

fn started(ty: BuilderInfo) -> World {
    let mut world = plain(ty);
    start(&mut world);
    world
}

#[test]
fn a_disks_keys() {
    let world = started(pv());
    let back = r#"
        . = "" (n0,r7)
        frontend = "/local/domain/7/device/vbd/51712" (n0,r7)
        params = "/a.img" (n0,r7)
        script = "/etc/xen/scripts/block" (n0,r7)
        frontend-id = "7" (n0,r7)
        online = "1" (n0,r7)
        removable = "1" (n0,r7)
        bootable = "1" (n0,r7)
        state = "2" (n0,r7)
        dev = "xvda" (n0,r7)
        type = "phy" (n0,r7)
        mode = "w" (n0,r7)
        device-type = "disk" (n0,r7)
        discard-enable = "1" (n0,r7)
        vdi = "["Local","/a.img"]" (n0,r7)"#;
    assert_holds(&world, "/local/domain/0/backend/vbd/7/51712", back);
    let front = r#"
        . = "" (n7,r0)
        backend = "/local/domain/0/backend/vbd/7/51712" (n7,r0)
        backend-id = "0" (n7,r0)
        state = "1" (n7,r0)
        virtual-device = "51712" (n7,r0)
        device-type = "disk" (n7,r0)
        trusted = "1" (n7,r0)"#;
    assert_holds(&world, "/local/domain/7/device/vbd/51712", front);
    let trusted = r#"
        . = "" (n0)
        backend = "/local/domain/0/backend/vbd/7/51712" (n0)"#;
    assert_holds(&world, "/xenops/domain/7/device/vbd/51712", trusted);
    let private = r#"
        . = "" (n0)
        backend-kind = "vbd" (n0)
        backend-id = "0" (n0)
        vbd-id = "xvda" (n0)"#;
    assert_holds(&world, &format!("/xapi/{UUID}/private/vbd/51712"), private);
    assert_holds(&world, &format!("/xapi/{UUID}/hotplug/7/vbd/51712"), r#". = "" (n0)"#);
}

#[test]
fn a_network_interfaces_keys() {
    let world = started(pv());
    let back = r#"
        . = "" (n0,r7)
        frontend = "/local/domain/7/device/vif/0" (n0,r7)
        frontend-id = "7" (n0,r7)
        online = "1" (n0,r7)
        state = "2" (n0,r7)
        script = "/etc/xen/scripts/vif-bridge" (n0,r7)
        mac = "00:16:3e:00:00:00" (n0,r7)
        bridge = "xenbr0" (n0,r7)
        handle = "0" (n0,r7)
        type = "vif" (n0,r7)
        mtu = "1500" (n0,r7)"#;
    assert_holds(&world, "/local/domain/0/backend/vif/7/0", back);
    let front = r#"
        . = "" (n7,r0)
        backend = "/local/domain/0/backend/vif/7/0" (n7,r0)
        backend-id = "0" (n7,r0)
        state = "1" (n7,r0)
        handle = "0" (n7,r0)
        mac = "00:16:3e:00:00:00" (n7,r0)
        trusted = "1" (n7,r0)
        mtu = "1500" (n7,r0)
        disconnect = "0" (n7,r0)"#;
    assert_holds(&world, "/local/domain/7/device/vif/0", front);
    let private = r#"
        vif-id = "0" (n0)
        bridge = "xenbr0" (n0)
        MTU = "1500" (n0)
        locking-mode = "unlocked" (n0)
        xenopsd-backend = "classic" (n0)"#;
    assert_holds(&world, &format!("/xapi/{UUID}/private/vif/0"), private);
    let extras = r#"
        . = "" (n7)
        static-ip-setting/enabled = "0" (n7)
        static-ip-setting/error-code = "0" (n7)"#;
    assert_holds(&world, "/local/domain/7/xenserver/device/vif/0", extras);
    assert!(world.get("/local/domain/0/backend/vif/7/0/hotplug-status") == Some("connected"));
    let twin = started(hvm());
    assert_eq!(twin.get("/local/domain/0/backend/vif/7/0/type"), Some("vif_ioemu"));
}

#[test]
fn a_domains_keys() {
    let world = started(pv());
    let tree = format!(
        r#"
        . = "" (n0,r7)
        vm = "/vm/{UUID}" (n0,r7)
        name = "gpv" (n0,r7)
        cpu/0/availability = "online" (n0,r7)
        cpu/1/availability = "offline" (n0,r7)
        memory/static-max = "196608" (n0,r7)
        memory/target = "131072" (n0,r7)
        memory/dynamic-min = "131072" (n0,r7)
        memory/dynamic-max = "196608" (n0,r7)
        memory/initial-target = "131072" (n0,r7)
        device = "" (n7)
        device/vbd = "" (n7)
        device/vif = "" (n7)
        control = "" (n7)
        control/platform-feature-multiprocessor-suspend = "1" (n7)
        control/platform-feature-xs_reset_watches = "1" (n7)
        data = "" (n7)
        drivers = "" (n7)
        feature = "" (n7)
        attr = "" (n7)
        error = "" (n7)
        xenserver/attr = "" (n7)
        vm-data/foo = "bar" (n7)
        platform/vcpu/number = "2" (n0,r7)
        platform/vcpu/current = "1" (n0,r7)
        platform/acpi_s3 = "1" (n0,r7)
        platform/acpi_s4 = "0" (n0,r7)
        platform/generation-id = "1:2" (n0,r7)
        domid = "7" (n0,r7)
        domain-type = "pv" (n0,r7)
        store/port = "1" (n0,r7)
        store/ring-ref = "778753" (n0,r7)
        console/port = "2" (n0,r7)
        console/ring-ref = "778754" (n0,r7)
        console/limit = "65536" (n0,r7)
        unique-domain-id = * (n0,r7)"#
    );
    assert_holds(&world, "/local/domain/7", &tree);
    assert_eq!(world.get("/local/domain/7/action-request"), None);
    assert_eq!(world.get("/local/domain/7/control/evil"), None);
    let vm = format!(
        r#"
        . = "" (n0,r7)
        uuid = "{UUID}" (n0,r7)
        name = "gpv" (n0,r7)
        domains/7 = "/local/domain/7" (n0,r7)
        domains/7/create-time = * (n0,r7)"#
    );
    assert_holds(&world, &format!("/vm/{UUID}"), &vm);
    assert_holds(&world, "/libxl/7", ". = \"\" (n0)\n type = \"PV\" (n0)");
    assert_holds(&world, "/xenops/domain/7", ". = \"\" (n0)\n device/vbd = \"\" (n0)");
}

#[test]
fn an_hvm_domains_keys() {
    let world = started(hvm());
    let tree = r#"
        hvmloader = "" (n7)
        hvmloader/bios = "seabios" (n7)
        hvmloader/allow-memory-relocate = "0" (n7)
        platform/acpi = "1" (n0,r7)
        platform/device-model = "qemu_xen" (n0,r7)
        serial/0/tty = "/dev/pts/3" (n0,r7)
        console/vnc-port = "5900" (n0,r7)"#;
    assert_holds(&world, "/local/domain/7", tree);
    assert_holds(&world, "/libxl/7", "type = \"HVM\" (n0)\n dm-version = \"qemu_xen\" (n0)");
    assert_holds(&world, &format!("/vm/{UUID}"), r#"rtc/timeoffset = "" (n0,r7)"#);
    assert_eq!(world.context.extra.as_ref().unwrap().xen_platform, Some((1, 1)));
}

#[test]
fn a_tree_that_outlives_its_domain_is_the_next_ones_to_read() {
    let mut world = started(pv());
    world.ok(MicroOp::VmDestroy);
    world.context.domid = None;
    world.add_domain(8, crate::host::Uuid::default(), false);
    world.ok(MicroOp::VmCreate);
    let vm = format!(". = \"\" (n0,r9)\n uuid = \"{UUID}\" (n0,r9)\n name = \"gpv\" (n0,r9)\n domains = \"\" (n0,r9)");
    assert_holds(&world, &format!("/vm/{UUID}"), &vm);
}
