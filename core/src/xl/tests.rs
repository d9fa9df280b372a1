//! Files that people write, what is said about wrong ones, and what holds for all.

use super::*;
use crate::interface::vbd::{Kind, Mode};
use crate::interface::vm::{Action, BuilderInfo, HvmInfo, PvBoot, PvDirectBoot, PvIndirectBoot, PvInfo, Tpm};
use crate::interface::{DeviceId, DeviceNumber, Disk, Metadata, Network, Pci, Vbd, Vif, Vm, pci};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

const FRESH: &str = "04efbb51-2bce-495f-9d86-75fc70ba01e0";

fn read(text: &str) -> Result<(Metadata, Vec<Warning>), Error> {
    parse(text, FRESH.parse().unwrap())
}

fn vm(text: &str) -> Metadata {
    match read(text) {
        Ok((metadata, warnings)) if warnings.is_empty() => metadata,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn a_file_of_upstreams_kind() {
    let Metadata { vm, vbds, vifs, pcis, .. } = vm("
        # Debian
        name = 'web' ; memory=0x100
        kernel = '/boot/vmlinuz'; ramdisk = \"/boot/initrd\"; root = 'root=/dev/xvda ro'
        disk = [ 'phy:/dev/vg/web,xvda,w',
                 'sm:sr/vdi,xvdb,r', # data
                 ',xvdc:cdrom,r',
               ]
        vif = [ 'mac=00:16:3e:00:00:01,bridge=xenbr1', '' ]
        pci = [ '0000:3b:00.0', '3c:00.1,msitranslate=0,power_mgmt=1' ]
        vcpus = 2");
    assert_eq!((vm.id.as_str(), vm.name.as_str(), vm.vcpus, vm.vcpu_max), (FRESH, "web", 2, 2));
    assert_eq!([vm.memory_static_max, vm.memory_dynamic_max, vm.memory_dynamic_min], [256 << 20; 3]);
    assert_eq!((&vm.on_crash[..], &vm.on_reboot[..]), (&[Action::Shutdown][..], &[Action::Start][..]));
    let BuilderInfo::Pv(PvInfo { boot: PvBoot::Direct(boot), pci_passthrough: true, .. }) = vm.ty else {
        panic!("{:?}", vm.ty)
    };
    assert_eq!((boot.kernel.as_str(), boot.cmdline.as_str()), ("/boot/vmlinuz", "root=/dev/xvda ro"));
    let disks = |vbd: &Vbd| (vbd.id.device.clone(), vbd.backend.clone(), vbd.mode, vbd.ty);
    assert_eq!(
        vbds.iter().map(disks).collect::<Vec<_>>(),
        [
            ("xvda".into(), Some(Disk::Local("/dev/vg/web".into())), Mode::ReadWrite, Kind::Disk),
            ("xvdb".into(), Some(Disk::Vdi("sr/vdi".into())), Mode::ReadOnly, Kind::Disk),
            ("xvdc".into(), None, Mode::ReadOnly, Kind::Cdrom),
        ]
    );
    let nic = |vif: &Vif| (vif.id.device.clone(), vif.position, vif.mac.clone(), vif.backend.clone());
    assert_eq!(
        vifs.iter().map(nic).collect::<Vec<_>>(),
        [
            ("0".into(), 0, "00:16:3e:00:00:01".into(), Network::Local("xenbr1".into())),
            ("1".into(), 1, String::new(), Network::Local("xenbr0".into())),
        ]
    );
    assert_eq!(pcis[1].address.to_string(), "0000:3c:00.1");
    assert_eq!((pcis[1].msitranslate, pcis[1].power_mgmt, pcis[0].msitranslate), (Some(false), Some(true), None));
}

#[test]
fn the_kind_of_guest() {
    for (text, kind) in [
        ("", "HVM"),
        ("builder='hvm'", "HVM"),
        ("builder='hvm'; kernel='/k'", "HVM"),
        ("kernel='/k'", "PV"),
        ("bootloader='pygrub'", "PV"),
        ("builder='linux'; kernel='/k'", "PV"),
        ("builder='generic'; kernel='/k'", "PV"),
        ("type='pvh'; kernel='/k'", "PVH"),
        ("type='pvh'; pvshim=1; kernel='/k'", "PVinPVH"),
        ("type='hvm'; builder='linux'", "HVM"),
    ] {
        let ty = read(text).unwrap().0.vm.ty;
        assert!(serde_json::to_string(&ty).unwrap().starts_with(&format!("[\"{kind}\",")), "{text}: {ty:?}");
    }
}

#[test]
fn disks_in_xls_own_form() {
    for element in [
        "/dev/vg/a,raw,hda,rw",
        "/dev/vg/a, ,hda,w",
        "phy:/dev/vg/a,hda,w",
        "format=raw, vdev=hda, access=rw, target=/dev/vg/a",
        "/dev/vg/a,,hda,access=w",
    ] {
        let disk = &vm(&format!("disk = ['{element}']")).vbds[0];
        assert_eq!(disk.id, DeviceId::new(FRESH, "hda"), "{element}");
        assert_eq!(disk.position, DeviceNumber::of_linux_name("hda"), "{element}");
        assert_eq!((&disk.backend, disk.mode), (&Some(Disk::Local("/dev/vg/a".into())), Mode::ReadWrite), "{element}");
    }
    let disk = &vm("disk = ['vdev=hdc,devtype=cdrom']").vbds[0];
    assert_eq!((disk.mode, disk.ty, &disk.backend), (Mode::ReadOnly, Kind::Cdrom, &None));
}

#[test]
fn a_numbered_disk_keeps_its_bus() {
    for text in ["disk = ['phy:/a,2,r']", "disk = ['phy:/a,20,r']", "kernel = '/k'; disk = ['phy:/a,2,r']"] {
        let read = vm(text);
        let printed = print(&read);
        assert_eq!(printed.lost, Vec::<String>::new(), "{text}");
        assert_eq!(vm(&printed.text).vbds, read.vbds, "{text}");
    }
}

#[test]
fn errors_say_where_and_what() {
    for (text, message) in [
        ("name", "line 1, column 5: expected '=' after 'name', found the end of the file"),
        ("\n  = 3", "line 2, column 3: expected a key, found '='"),
        ("name = web", "line 1, column 8: expected a string in quotes, a number or a list for 'name', found 'web'"),
        (
            "name = 'a' 'b'",
            "line 1, column 12: expected the end of the line after the value of 'name', found the string 'b'",
        ),
        ("name = 'a\nb'", "line 1, column 8: string has no closing ' on its line"),
        ("name = 'a\u{1}b'", "line 1, column 10: string holds a control character"),
        ("name = 5", "line 1, column 8: 'name' is no string: put it in quotes"),
        ("memory = 12MB", "line 1, column 10: '12MB' is no number"),
        ("memory = 0", "line 1, column 10: 'memory' must be a number from 1 to 67108864"),
        ("memory = -0x10", "line 1, column 10: 'memory' must be a number from 1 to 67108864"),
        ("memory = 512; maxmem = 256", "line 1, column 24: 'maxmem' is less than 'memory', which is 512"),
        ("vif = ''", "line 1, column 8: 'vif' is no list: put its elements between [ and ]"),
        ("name = ['a']", "line 1, column 8: 'name' is a list, and should be one value"),
        ("disk = [ 'a' 'b' ]", "line 1, column 14: expected ',' or ']' in 'disk', found the string 'b'"),
        ("disk = [ ,", "line 1, column 10: expected an element or ']' in 'disk', found ','"),
        ("disk = [ 'a'\n", "line 1, column 8: list 'disk' has no closing ]"),
        (
            "disk = [\n  'file:/a,xvda,w' ]",
            "line 2, column 4: 'file:' is not understood: write 'phy:' before the path of a block device or image",
        ),
        ("disk = [ 'phy:/a,xvda,x' ]", "line 1, column 23: 'x' is no disk mode: write r or w"),
        ("disk = [ 'phy:/a,xvda1048576,w' ]", "line 1, column 18: 'xvda1048576' is no disk: call it xvda or hda:cdrom"),
        ("disk = [ 'phy:/a,hda:dvd,r' ]", "line 1, column 18: 'hda:dvd' is neither a disk nor :cdrom nor :floppy"),
        ("disk = [ 'phy:/a' ]", "line 1, column 11: a disk is 'phy:/dev/vg/name,xvda,w': source, device and mode"),
        ("disk = [ '/a,qcow2,xvda,w' ]", "line 1, column 14: disk format 'qcow2' is not raw"),
        ("disk = [ ',xvda,w' ]", "line 1, column 11: only a cdrom or floppy drive can be empty"),
        ("disk = [ 'phy:/a,xvda,w', 'phy:/b,d0,r' ]", "line 1, column 28: disk d0 is there already"),
        ("disk = [ '/a,,xvda,vdev=xvdb' ]", "line 1, column 25: disk has a second vdev"),
        ("vif = [ 'mac=00:16:3e:00:00' ]", "line 1, column 14: '00:16:3e:00:00' is no MAC address nor 'random'"),
        (
            "vif = [ 'mac=random, xenbr0' ]",
            "line 1, column 22: expected key=value for a network interface, found 'xenbr0'",
        ),
        ("pci = [ '3b' ]", "line 1, column 10: '3b' is no PCI address: write 0000:3b:00.0"),
        ("uuid = 'x'", "line 1, column 9: 'x' is no UUID"),
        ("type = 'pvhvm'", "line 1, column 9: type 'pvhvm' is none of pv, pvh and hvm"),
        ("type = 'pv'", "line 1, column 1: a PV guest needs a 'kernel', and mostly a 'ramdisk', or a 'bootloader'"),
        (
            "on_crash = 'reboot'",
            "line 1, column 13: 'reboot' is none of destroy, restart, preserve, coredump-destroy, coredump-restart, soft-reset",
        ),
    ] {
        assert_eq!(read(text).unwrap_err().to_string(), message, "{text}");
    }
}

#[test]
fn what_has_no_effect_is_named() {
    for (text, message) in [
        ("memroy = 256", "line 1, column 1: key 'memroy' is not known and has no effect; did you mean 'memory'?"),
        ("MEMORY = 256", "line 1, column 1: key 'MEMORY' is not known and has no effect; did you mean 'memory'?"),
        ("usbdev = ['tablet']", "line 1, column 1: key 'usbdev' is not known and has no effect"),
        ("kernel='/k'; boot='d'", "line 1, column 14: key 'boot' has no effect on a PV guest"),
        ("name='a'\nname='b'", "line 1, column 1: key 'name' has no effect: line 2, column 1 gives it again"),
        ("vif=['brigde=br0']", "line 1, column 7: key 'brigde' is not known and has no effect; did you mean 'bridge'?"),
        (
            "disk=['/a,,hda,w,vdv=a']",
            "line 1, column 18: key 'vdv' is not known and has no effect; did you mean 'vdev'?",
        ),
    ] {
        let (_, warnings) = read(text).unwrap();
        assert_eq!(warnings.iter().map(ToString::to_string).collect::<Vec<_>>(), [message]);
    }
}

#[test]
fn files_are_bounded() {
    let many = |count: usize| format!("disk = [ {} ]", "'',".repeat(count));
    for text in
        ["#".repeat((1 << 20) + 1), "a=1;".repeat(1025), format!("name = '{}'", "x".repeat((16 << 10) + 1)), many(1025)]
    {
        let error = read(&text).unwrap_err().text;
        assert!(error.contains("exceeds") || error.contains("more than"), "{error}");
    }
    assert!(!read(&many(1024)).unwrap_err().text.contains("more than"));
}

/// What has no quotes in one of the two kinds, no comma and no blank at its ends: what an element can hold.
fn word() -> impl Strategy<Value = String> {
    prop_oneof!["[a-zA-Z0-9/_.:=é-]{1,20}", "[a-z]'[a-z]{1,5}", "[a-z]\"[a-z]{1,5}"]
}

fn uuid() -> impl Strategy<Value = String> {
    "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
}

fn pv_info() -> impl Strategy<Value = PvInfo> {
    let direct = (word(), "[a-z=/# ,;]{0,20}", of(word()))
        .prop_map(|(kernel, cmdline, ramdisk)| PvBoot::Direct(PvDirectBoot { kernel, cmdline, ramdisk }));
    let indirect = (word(), "[a-z= ]{0,9}", "[a-z= ]{0,9}", "[a-z= ]{0,9}").prop_map(|(bootloader, a, b, c)| {
        let (extra_args, legacy_args, bootloader_args) = (a, b, c);
        PvBoot::Indirect(PvIndirectBoot { bootloader, extra_args, legacy_args, bootloader_args, devices: Vec::new() })
    });
    prop_oneof![direct, indirect].prop_map(|boot| PvInfo {
        boot,
        framebuffer: false,
        framebuffer_ip: None,
        vncterm: true,
        vncterm_ip: Some("0.0.0.0".into()),
        pci_passthrough: false,
    })
}

fn builder() -> impl Strategy<Value = BuilderInfo> {
    let hvm = ("[cdn]{0,3}", of(uuid())).prop_map(|(boot_order, tpm)| {
        let tpm = tpm.map(|id| Tpm::Vtpm(id.parse().unwrap()));
        BuilderInfo::Hvm(HvmInfo { boot_order, tpm, vnc_ip: Some("0.0.0.0".into()), ..HvmInfo::default() })
    });
    prop_oneof![
        hvm,
        pv_info().prop_map(BuilderInfo::Pv),
        pv_info().prop_map(BuilderInfo::Pvh),
        pv_info().prop_map(BuilderInfo::PvInPvh)
    ]
}

fn bare_vm() -> impl Strategy<Value = Vm> {
    let actions = proptest::sample::select(vec![
        vec![Action::Shutdown],
        vec![Action::Start],
        vec![Action::Pause],
        vec![Action::Coredump, Action::Start],
        vec![Action::Softreboot],
    ]);
    let sizes = (1..4096i64, 0..4096i64, 1..64i64, 0..64i64);
    (uuid(), "[^'\"\\p{Cc}]{0,20}|[a-z]{0,9}['\"]", builder(), sizes, vec(actions, 4), any::<[bool; 3]>()).prop_map(
        |(id, name, ty, (memory, more, vcpus, more_vcpus), actions, [msi, power, vendor])| {
            let mut vm = read("kernel = '/k'").unwrap().0.vm;
            (vm.id, vm.name, vm.ty) = (id, name, ty);
            (vm.memory_dynamic_max, vm.memory_dynamic_min) = (memory << 20, memory << 20);
            vm.memory_static_max = (memory + more) << 20;
            (vm.vcpus, vm.vcpu_max) = (vcpus, vcpus + more_vcpus);
            let [crash, shutdown, reboot, soft] = actions.try_into().unwrap();
            (vm.on_crash, vm.on_shutdown, vm.on_reboot, vm.on_softreboot) = (crash, shutdown, reboot, soft);
            (vm.pci_msitranslate, vm.pci_power_mgmt, vm.has_vendor_device) = (msi, power, vendor);
            vm
        },
    )
}

fn disks() -> impl Strategy<Value = Vec<Vbd>> {
    let backend = prop_oneof![word().prop_map(Disk::Local), "[a-z0-9-]{1,9}/[a-z0-9/]{1,9}".prop_map(Disk::Vdi)];
    let disk = (proptest::sample::select(vec!["xvd", "sd", "hd"]), of(backend), any::<[bool; 2]>());
    vec(disk, 0..6).prop_map(|disks| {
        let disk = |(i, (prefix, backend, [writable, drive])): (usize, (&str, Option<Disk>, [bool; 2]))| {
            let name = format!("{prefix}{}", char::from(b'a' + i as u8));
            let ty = match (drive, &backend) {
                (true, _) => Kind::Floppy,
                (_, None) => Kind::Cdrom,
                _ => Kind::Disk,
            };
            let position = DeviceNumber::of_linux_name(&name);
            let mode = if writable { Mode::ReadWrite } else { Mode::ReadOnly };
            Vbd { id: DeviceId::new("", name), position, backend, ty, mode, ..Vbd::default() }
        };
        disks.into_iter().enumerate().map(disk).collect()
    })
}

/// VMs that a file can describe whole.
fn describable() -> impl Strategy<Value = Metadata> {
    let nic = ("|random|([0-9a-fA-F]{2}:){5}[0-9a-f]{2}", word(), 68..65536i64);
    let pci = (0..0x10000i64, 0..256i64, 0..32i64, of(any::<bool>()), of(any::<bool>()));
    (bare_vm(), disks(), vec(nic, 0..5), vec(pci, 0..3)).prop_map(|(mut vm, mut vbds, nics, pcis)| {
        vbds.iter_mut().for_each(|vbd| vbd.id.vm.clone_from(&vm.id));
        let id = |i: usize| DeviceId::new(vm.id.as_str(), i.to_string());
        let nic = |(i, (mac, bridge, mtu)): (usize, (String, String, i64))| {
            let backend = Network::Local(bridge);
            Vif { id: id(i), position: i as i64, mac, backend, mtu, ..Vif::default() }
        };
        let pci = |(i, (domain, bus, dev, msitranslate, power_mgmt)): (usize, (i64, i64, i64, Option<bool>, _))| {
            let address = pci::Address { domain, bus, dev, func: 0 };
            Pci { id: id(i), position: i as i64, address, msitranslate, power_mgmt }
        };
        let vifs = nics.into_iter().enumerate().map(nic).collect();
        let pcis: Vec<Pci> = pcis.into_iter().enumerate().map(pci).collect();
        match &mut vm.ty {
            BuilderInfo::Hvm(info) => info.pci_passthrough = !pcis.is_empty(),
            BuilderInfo::Pv(info) | BuilderInfo::PvInPvh(info) | BuilderInfo::Pvh(info) => {
                info.pci_passthrough = !pcis.is_empty();
                if let PvBoot::Indirect(boot) = &mut info.boot {
                    let disks = vbds.iter().filter(|vbd| vbd.ty == Kind::Disk);
                    boot.devices = disks.filter_map(|vbd| vbd.backend.clone()).take(1).collect();
                }
            }
        }
        Metadata { vm, vbds, vifs, pcis, vgpus: Vec::new(), vusbs: Vec::new(), domains: None }
    })
}

#[test]
fn a_boot_loader_reads_the_first_disk() {
    let text = "bootloader='pygrub'; disk=[',hdc:cdrom,r', 'phy:/a.img,xvda,w', 'phy:/b.img,xvdb,w']";
    let (metadata, _) = read(text).unwrap();
    let BuilderInfo::Pv(PvInfo { boot: PvBoot::Indirect(boot), .. }) = metadata.vm.ty else { panic!("{metadata:?}") };
    assert_eq!(boot.devices, [Disk::Local("/a.img".to_owned())]);
}

proptest! {
    #[test]
    fn what_is_printed_reads_back(metadata in describable()) {
        let printed = print(&metadata);
        prop_assert_eq!(&printed.lost, &Vec::<String>::new());
        let (again, warnings) = read(&printed.text).unwrap();
        prop_assert_eq!(again, metadata);
        prop_assert_eq!(warnings, []);
    }

    /// Whatever a daemon has: what the file cannot say is named, and only that.
    #[test]
    fn what_is_lost_is_named(mut metadata in describable(), name in ".{0,9}", path in ".{0,9}", uefi: bool, bytes: bool) {
        metadata.vm.name = name;
        metadata.vm.memory_static_max += i64::from(bytes);
        metadata.vm.generation_id = uefi.then(|| "1:2".into());
        if let Some(vbd) = metadata.vbds.first_mut() {
            vbd.backend = Some(Disk::Local(path));
        }
        let printed = print(&metadata);
        let again = read(&printed.text).map(|(again, _)| again);
        prop_assert_eq!(printed.lost.is_empty(), again.as_ref() == Ok(&metadata), "{:?}", printed);
        prop_assert_eq!(printed.lost.contains(&"vm.generation_id".to_owned()), uefi);
        prop_assert_eq!(printed.lost.contains(&"vm.memory_static_max".to_owned()), bytes);
    }

    #[test]
    fn no_bytes_are_too_strange(text in ".{0,200}") {
        let _ = read(&text);
    }

    /// Tokens in any order get further than characters do.
    #[test]
    fn no_tokens_are_too_strange(tokens in vec(proptest::sample::select(vec![
        "disk", "vif", "pci", "name", "memory", "=", "=", "[", "]", ",", "\n", ";", "'phy:/a,xvda,w'", "'mac=random'",
        "'3b:00.0,msitranslate=1'", "'vdev=,=,é'", "-0x", "7", "#", "'", "\"", "0x7fffffffffffffff",
    ]), 0..40)) {
        let text = tokens.concat();
        if let Err(error) = read(&text) {
            // What is wrong stands in the text, or right behind it.
            let line = text.split('\n').nth(error.spot.line as usize - 1);
            prop_assert!(line.is_some_and(|line| error.spot.column as usize <= line.chars().count() + 1), "{} {:?}", error, text);
        }
    }
}
