//! A VM's life, question by question.

use super::*;
use crate::backend::{Product, Reason};
use crate::host::{ImageRecord, ShutdownCode};
use crate::interface::vm::Priority;

fn lines(text: &str) -> String {
    text.trim().lines().map(str::trim_start).collect::<Vec<_>>().join("\n")
}

#[test]
fn p() {
    let mut world = plain(pv());
    start(&mut world);
    println!("PV START {}\n{}", world.requests, world.trace.join("\n"));
    let disk = Disk::Local("/img".to_owned());
    world.ok(MicroOp::VmUnpause);
    world.guest.stops = Some(ShutdownCode::Suspend);
    println!("SAVE\n{}", trace(&mut world, MicroOp::VmSave(disk.clone())));
    println!("DESTROY\n{}", trace(&mut world, MicroOp::VmDestroy { keep_extra: true }));
    println!("CLEAN\n{}", trace(&mut world, MicroOp::VmClean { suspended: true }));
    println!("CREATE\n{}", trace(&mut world, MicroOp::VmCreate));
    println!("RESTORE\n{}", trace(&mut world, MicroOp::VmRestore(disk.clone())));
    plug(&mut world, true);
    world.ok(MicroOp::VmForgetImage);
    println!("LOOK\n{}", trace(&mut world, MicroOp::Look));
    world.guest.stops = Some(ShutdownCode::Suspend);
    println!("FAST\n{}", trace(&mut world, MicroOp::VmFastResume));

    let mut world = plain(hvm());
    let mut disks = world.context.vbds.to_vec();
    disks.push(super::disk("hdc", file("/cd.iso"), Kind::Cdrom));
    disks.push(super::disk("hdd", None, Kind::Cdrom));
    disks.push(super::disk("hda", file("/boot.img"), Kind::Disk));
    world.context.vbds = disks.into();
    start(&mut world);
    println!("HVM START {}\n{}", world.requests, world.trace.join("\n"));
    println!("LOOK\n{}", trace(&mut world, MicroOp::Look));
    println!("EJECT\n{}", trace(&mut world, MicroOp::VbdEject("hdc".into())));
    println!("INSERT\n{}", trace(&mut world, MicroOp::VbdInsert("hdc".into(), Disk::Vdi("sr/vdi".into()))));
    println!("DESTROY\n{}", trace(&mut world, MicroOp::VmDestroy { keep_extra: true }));
    println!("CLEAN\n{}", trace(&mut world, MicroOp::VmClean { suspended: false }));
    println!("{:?}", world.store.keys());
}
